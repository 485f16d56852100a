// SPDX-License-Identifier: MIT OR Apache-2.0
//! Outside bytes never make a parser panic, and what a parser accepts comes back the same.

use proptest::prelude::*;
use uboot::{
    Env, FlagScheme, FwEnvConfig, Redundancy, encode_image, encode_script, parse_image,
    parse_script,
};

fn redundancies() -> impl Strategy<Value = Redundancy> {
    prop::sample::select(vec![
        Redundancy::Single,
        Redundancy::Redundant(FlagScheme::Nor),
        Redundancy::Redundant(FlagScheme::Counter),
    ])
}

/// Bytes an environment is made of, so that deep branches are reached.
fn env_like() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(b"ab=#\0\0 \t\xff".to_vec());
    prop::collection::vec(byte, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_an_answer(bytes: Vec<u8>, redundancy in redundancies()) {
        let _ = parse_image(&bytes, redundancy);
        let _ = Env::parse_data(&bytes);
        let _ = parse_script(&bytes);
        let _ = FwEnvConfig::parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_is_read_from_hostile_data_is_written_and_read_again(data in env_like()) {
        if let Ok(env) = Env::parse_data(&data) {
            let written = env.encode_data(data.len().max(2)).unwrap();
            prop_assert_eq!(Env::parse_data(&written).unwrap(), env.clone());
            let image = encode_image(&env, data.len() + 7, Some(3)).unwrap();
            let read = parse_image(&image, Redundancy::Redundant(FlagScheme::Nor)).unwrap();
            prop_assert_eq!(read, (Some(3), env));
        }
    }

    #[test]
    fn a_script_header_with_right_checksums_and_hostile_fields_is_an_answer(
        at in 0usize..80, value: u8, text in "[a-z\n]{1,40}",
    ) {
        let mut image = encode_script("hostile", text.as_bytes(), 0).unwrap();
        if let Some(byte) = image.get_mut(at) {
            *byte = value;
        }
        let data = crc32fast::hash(image.get(64..).unwrap());
        image.get_mut(24..28).unwrap().copy_from_slice(&data.to_be_bytes());
        image.get_mut(4..8).unwrap().fill(0);
        let header = crc32fast::hash(image.get(..64).unwrap());
        image.get_mut(4..8).unwrap().copy_from_slice(&header.to_be_bytes());
        let _ = parse_script(&image);
    }

    #[test]
    fn a_configuration_that_is_read_is_written_and_read_again(
        text in "(/dev/mtd0|env) (0x)?[0-9a-f]{1,6} (0x)?[0-9a-f]{1,6}( [0-9a-f]{1,4}( [0-9]{1,3})?)?",
    ) {
        if let Ok(config) = FwEnvConfig::parse(&text) {
            prop_assert_eq!(FwEnvConfig::parse(&config.encode()), Ok(config));
        }
    }
}
