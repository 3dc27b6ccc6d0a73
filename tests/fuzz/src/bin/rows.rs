//! libFuzzer on the decoder of PostgreSQL's rows.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sqlextract_fuzz::rows(input));
