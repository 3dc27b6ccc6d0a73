//! libFuzzer on records, messages and names.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sqlextract_fuzz::record(input));
