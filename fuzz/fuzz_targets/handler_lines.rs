// SPDX-License-Identifier: MIT OR Apache-2.0
//! libFuzzer's entry to [`atomix_fuzz::handler_lines`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| atomix_fuzz::handler_lines(data));
