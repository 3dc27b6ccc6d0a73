//! libFuzzer on the decoder of binary COPY.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sqlextract_fuzz::copy_stream(input));
