//! The corpus without a fuzzer: every seed, and every seed cut short or with a byte changed.

use std::path::Path;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = std::fs::read_dir(&folder).expect("the corpus is there");
    let seeds: Vec<Vec<u8>> = entries
        .map(|entry| std::fs::read(entry.expect("the corpus can be listed").path()).expect("a seed can be read"))
        .collect();
    assert!(seeds.len() >= 8, "{} seeds of {target}", seeds.len());
    seeds
}

fn each_way(target: &str, run: impl Fn(&[u8])) {
    for seed in seeds(target) {
        run(&seed);
        for place in 0..seed.len().min(2000) {
            run(&seed[..place]);
            for change in [0x01, 0x80, 0xff] {
                let mut damaged = seed.clone();
                damaged[place] ^= change;
                run(&damaged);
            }
        }
    }
}

#[test]
fn every_row_of_the_corpus_is_survived_whole_and_damaged() {
    each_way("rows", sqlextract_fuzz::rows);
}

#[test]
fn every_record_of_the_corpus_is_survived_whole_and_damaged() {
    each_way("records", sqlextract_fuzz::record);
}
