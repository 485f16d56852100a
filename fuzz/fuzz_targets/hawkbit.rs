// SPDX-License-Identifier: MIT OR Apache-2.0
//! libFuzzer's entry to [`atomix_fuzz::hawkbit`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| atomix_fuzz::hawkbit(data));
