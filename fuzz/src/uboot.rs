// SPDX-License-Identifier: MIT OR Apache-2.0
//! The formats of the firmware: environment, `fw_env.config`, boot script.

use crate::text::lossy;
use storage::MemoryStorage;
use uboot::{
    CopyPlace, Env, EnvStore, FlagScheme, FwEnvConfig, Redundancy, encode_image, encode_script,
    parse_image, parse_script,
};

const REDUNDANCIES: [Redundancy; 3] = [
    Redundancy::Single,
    Redundancy::Redundant(FlagScheme::Nor),
    Redundancy::Redundant(FlagScheme::Counter),
];

/// The data area of an environment: what is read is written and read again as the same.
pub fn env_data(data: &[u8]) {
    if let Ok(env) = Env::parse_data(data) {
        assert!(env.used_bytes() <= data.len(), "reading made the environment larger");
        let written = env.encode_data(data.len().max(2)).expect("it was that long before");
        assert_eq!(Env::parse_data(&written).ok().as_ref(), Some(&env));
        for (name, value) in env.iter() {
            assert_eq!(env.get(name), Some(value));
        }
    }
}

/// The text of a default environment: every line is a variable, blank or a comment, and what was
/// read is written as text and read again as the same.
pub fn env_text(data: &[u8]) {
    let text = lossy(data);
    let Ok(env) = Env::parse_text(&text) else { return };
    for line in text.lines() {
        assert!(line.contains('=') || line.trim().is_empty() || line.starts_with('#'), "{line:?}");
    }
    let written: String = env.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    assert_eq!(Env::parse_text(&written), Ok(env), "{written:?}");
}

/// One copy of an environment, as it is and with the checksum made right.
pub fn env_image(data: &[u8]) {
    for redundancy in REDUNDANCIES {
        check_image(data, redundancy);
        let mut mended = data.to_vec();
        if let Some((head, covered)) = mended.split_at_mut_checked(redundancy.header_bytes()) {
            head[..4].copy_from_slice(&crc32fast::hash(covered).to_le_bytes());
            check_image(&mended, redundancy);
        }
    }
}

fn check_image(image: &[u8], redundancy: Redundancy) {
    if let Ok((flag, env)) = parse_image(image, redundancy) {
        assert_eq!(flag.is_some(), redundancy != Redundancy::Single);
        let written = encode_image(&env, image.len(), flag).expect("it was that long before");
        assert_eq!(parse_image(&written, redundancy).ok(), Some((flag, env)));
    }
}

/// Two copies on flash and on a disk, the halves of the input: whatever they hold, one of them is
/// chosen or the environment is lost, and afterwards an environment can be stored and read.
pub fn env_store(data: &[u8]) {
    const COPY_BYTES: usize = 512;
    for erase_bytes in [0, 512] {
        for mend in [Mend::Nothing, Mend::Checksums] {
            let copies = [0, 1].map(|index| {
                let half = data.get(index * data.len() / 2..).unwrap_or_default();
                let mut bytes: Vec<u8> = half.iter().copied().take(data.len() / 2).collect();
                bytes.resize(COPY_BYTES, 0);
                if mend == Mend::Checksums {
                    let crc = crc32fast::hash(&bytes[5..]);
                    bytes[..4].copy_from_slice(&crc.to_le_bytes());
                }
                let storage = match erase_bytes {
                    0 => MemoryStorage::disk("copy", bytes),
                    _ => MemoryStorage::nor("copy", bytes, erase_bytes),
                };
                let env_bytes = u32::try_from(COPY_BYTES).expect("it is 512");
                let device = format!("copy-{index}").into();
                (storage, CopyPlace { device, offset: 0, env_bytes, erase_bytes, sectors: 0 })
            });
            check_store(copies.to_vec());
        }
    }
}

/// What is made right before a structure is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mend {
    Nothing,
    Checksums,
}

fn check_store(copies: Vec<(MemoryStorage, CopyPlace)>) {
    let mut store = EnvStore::open(copies).expect("the places fit their devices");
    if let Ok(loaded) = store.load() {
        assert_eq!(loaded.copies.len(), 2);
        assert!(loaded.active < 2);
    }
    let mut env = Env::new();
    env.set("fuzz", "1").expect("the name and the value are ordinary");
    // Other people's bytes are refused; the firmware does not look.
    if store.store(&env).is_err() {
        assert!(store.load().is_err(), "an environment in force vouches for its place");
        store.store_as_firmware(&env).expect("memory does not fail");
    }
    assert_eq!(store.load().expect("it was just stored").env, env);
}

/// `fw_env.config`: what is read is written and read again as the same.
pub fn fw_env_config(data: &[u8]) {
    if let Ok(config) = FwEnvConfig::parse(&lossy(data)) {
        assert!(matches!(config.copies.len(), 1 | 2));
        assert_eq!(FwEnvConfig::parse(&config.encode()), Ok(config));
    }
}

/// A wrapped boot script, as it is and with both checksums made right.
pub fn boot_script(data: &[u8]) {
    check_script(data);
    let mut mended = data.to_vec();
    if let Some((header, content)) = mended.split_at_mut_checked(64) {
        let size = u32::from_be_bytes([header[12], header[13], header[14], header[15]]);
        let covered = content.get(..size as usize).unwrap_or(content);
        header[24..28].copy_from_slice(&crc32fast::hash(covered).to_be_bytes());
        header[4..8].fill(0);
        let crc = crc32fast::hash(header);
        header[4..8].copy_from_slice(&crc.to_be_bytes());
        check_script(&mended);
    }
}

fn check_script(image: &[u8]) {
    let Ok(script) = parse_script(image) else { return };
    // A name that is no text comes back with replacement characters, which may not fit.
    if let Ok(written) = encode_script(&script.name, &script.text, script.timestamp) {
        assert_eq!(parse_script(&written), Ok(script));
    }
}
