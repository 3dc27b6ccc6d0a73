//! What is on the two streams: progress and errors on one, the result on the other.

use serde_json::Value;
use sqlextract_system_tests::{Dialect, Job, Run, Scenario};

use crate::fingerprint::Orders;

fn extract(scenario: &Scenario, url: &str, arguments: &[&str]) -> Run {
    let output = scenario.output();
    let output = output.to_str().expect("temporary paths are text");
    let fixed = [
        "extract",
        "--source",
        url,
        "--output",
        output,
        "--table",
        "orders",
        "--batch-size",
        "500",
    ];
    scenario.run(&[&fixed[..], arguments].concat()).exits(0)
}

#[test]
fn progress_is_json_lines_plain_lines_or_nothing_by_choice() {
    let orders = Orders::new(Dialect::Postgres, 5000);
    let url = orders.database.url();
    let scenario = Scenario::new();
    scenario.hush();
    let run = extract(&scenario, &url, &["--progress", "json", "--json", "--job", "as-json"]);
    let lines: Vec<Value> = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let last = lines.last().expect("progress was told");
    assert_eq!(
        (&last["event"], &last["table"]),
        (&"progress".into(), &"public.orders".into())
    );
    assert_eq!(
        (last["rows"].as_u64(), last["batches_done"].as_u64()),
        (Some(5000), last["batches"].as_u64())
    );
    for key in [
        "bytes",
        "elapsed_seconds",
        "memory_bytes",
        "memory_limit_bytes",
        "batches_running",
    ] {
        assert!(last[key].is_number(), "{key} is missing in {last}");
    }
    orders.is_in(&Job::of(&run));

    let run = extract(&scenario, &url, &["--progress", "plain", "--job", "as-lines"]);
    assert!(
        run.stderr.contains("public.orders") && run.stderr.contains("batches"),
        "{}",
        run.stderr
    );
    assert!(
        !run.stderr.contains('\u{1b}'),
        "escape sequences outside of a terminal: {}",
        run.stderr
    );
    assert!(
        run.stdout.contains("5000 rows") && run.stdout.contains("next: sqlextract verify"),
        "{}",
        run.stdout
    );

    let run = extract(&scenario, &url, &["--progress", "none", "--json", "--job", "silent"]);
    assert_eq!(run.stderr, "");
    assert_eq!(run.stdout.trim().lines().count(), 1, "one object: {}", run.stdout);
    for key in [
        "job",
        "outcome",
        "manifest",
        "resumed_batches",
        "elapsed_seconds",
        "consistency",
        "tables",
        "scripts",
    ] {
        assert!(!run.json[key].is_null(), "{key} is missing in {}", run.stdout);
    }
    for key in ["table", "rows", "batches", "chunks", "bytes"] {
        assert!(
            !run.json["tables"][0][key].is_null(),
            "{key} is missing in {}",
            run.stdout
        );
    }
}

#[test]
fn an_error_is_one_layer_a_line_and_one_object() {
    let orders = Orders::new(Dialect::Postgres, 10);
    let scenario = Scenario::new();
    let run = scenario
        .extract(
            &orders.database.url(),
            &["--table", "orders", "--where", "no such (column"],
        )
        .exits(4);
    assert!(
        !run.stderr.contains('\u{1b}'),
        "escape sequences outside of a terminal: {}",
        run.stderr
    );
    let lines: Vec<&str> = run
        .stderr
        .lines()
        .skip_while(|line| !line.starts_with("error: "))
        .collect();
    assert!(
        lines[0].starts_with("error: ") && lines[0].ends_with("[source_query_invalid]"),
        "{}",
        run.stderr
    );
    assert!(
        lines
            .last()
            .expect("there are lines")
            .trim_start()
            .starts_with("hint: "),
        "{}",
        run.stderr
    );
    let error = &run.json["error"];
    for key in ["code", "class", "blame", "retryable", "action", "failures"] {
        assert!(!error[key].is_null(), "{key} is missing in {error}");
    }
    assert_eq!(run.json["outcome"], "unfinished", "the same command goes on");
}

#[test]
fn the_reference_holds_every_setting_and_both_files_are_taken() {
    let scenario = Scenario::new();
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let reference = config.join("reference.toml");
    let told = std::fs::read_to_string(&reference).expect("the reference is there");
    for file in ["reference.toml", "embedded.toml"] {
        let file = config.join(file);
        let file = file.to_str().expect("the project's path is text");
        let shown = scenario.run(&["--config", file, "config", "show", "--origin"]).exits(0);
        for line in shown
            .stdout
            .lines()
            .filter(|line| line.contains(" = ") && !line.starts_with('['))
        {
            let key = line.split(" = ").next().unwrap_or_default();
            // Chosen per command, not per installation.
            let listed = key == "consistency"
                || told
                    .lines()
                    .any(|l| l.trim_start_matches("# ").starts_with(&format!("{key} = ")));
            assert!(listed, "{key} is not in the reference");
        }
    }
    // Every key that is shown as a comment is a key too.
    let whole: String = told
        .lines()
        .map(|line| match line.strip_prefix("# ").and_then(|l| l.split_once(" = ")) {
            Some((key, _)) if key.chars().all(|c| c.is_ascii_lowercase() || c == '_') && key != "url_file" => {
                &line[2..]
            }
            _ => line,
        })
        .fold(String::new(), |all, line| all + line + "\n");
    let file = scenario.path("whole.toml");
    std::fs::write(&file, whole).expect("the temporary folder takes files");
    scenario
        .run(&[
            "--config",
            file.to_str().expect("temporary paths are text"),
            "config",
            "show",
        ])
        .exits(0);
}
