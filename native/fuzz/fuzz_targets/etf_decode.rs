#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| auth_store_fuzz::etf_decode(bytes));
