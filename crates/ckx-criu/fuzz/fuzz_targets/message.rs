#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ckx_criu::fuzz::message(data));
