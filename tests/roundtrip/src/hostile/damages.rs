// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bundles that were good before their bytes were changed.

use super::{Refusal, Rig, Told};
use anyhow::Result;
use std::fs;

/// What is told of a bundle, what is done to its bytes, and what is said then: of `plain`, of
/// `verity`.
type Damage = (&'static str, fn(&mut Vec<u8>), [&'static str; 2]);

const DAMAGES: [Damage; 7] = [
    ("a payload with another byte", |bytes| flip(bytes, 5000), ["signature", "hash"]),
    (
        "a hash tree, or the payload's end, with another byte",
        |bytes| {
            let end = signature(bytes).0;
            flip(bytes, end.saturating_sub(100));
        },
        ["signature", "hash"],
    ),
    (
        "a signature with another byte",
        |bytes| {
            let end = bytes.len();
            flip(bytes, end.saturating_sub(200));
        },
        ["signature", "signature"],
    ),
    ("no end", |bytes| bytes.truncate(bytes.len() / 2), ["signature", "signature"]),
    (
        "a signature longer than the file",
        |bytes| {
            let length = bytes.len();
            bytes.splice(length.saturating_sub(8).., u64::MAX.to_be_bytes());
        },
        ["signature", "signature"],
    ),
    ("nothing in it", Vec::clear, ["", ""]),
    (
        "noise instead of it",
        |bytes| {
            bytes.clear();
            bytes.extend((0..1024_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]));
        },
        ["signature", "signature"],
    ),
];

fn flip(bytes: &mut [u8], place: usize) {
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= 1;
    }
}

/// Where the signature begins, and its length.
fn signature(bytes: &[u8]) -> (usize, usize) {
    let length = bytes.last_chunk::<8>().map_or(0, |last| u64::from_be_bytes(*last));
    let length = usize::try_from(length).unwrap_or(0);
    (bytes.len().saturating_sub(8).saturating_sub(length), length)
}

impl Rig<'_> {
    pub(super) fn damaged(&self, out: &mut Told<'_>) -> Result<()> {
        for (number, format) in ["plain", "verity"].into_iter().enumerate() {
            let good = fs::read(self.bundle(&format!("good-{format}"), format)?)?;
            for (name, damage, says) in DAMAGES {
                let mut bytes = good.clone();
                damage(&mut bytes);
                let file = self.dir.join("damaged.raucb");
                fs::write(&file, bytes)?;
                let refusal = Refusal {
                    what: &format!("{format}: {name}"),
                    bundle: &file.display().to_string(),
                    setup: self.setup(),
                    says: says.get(number).copied().unwrap_or_default(),
                    arguments: &[],
                    variables: &[],
                };
                self.refuse(&refusal, out)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_stands_before_its_length() {
        let mut bytes = vec![0; 100];
        bytes.extend([1; 30]);
        bytes.extend(30_u64.to_be_bytes());
        assert_eq!(signature(&bytes), (100, 30));
        assert_eq!(signature(&[]), (0, 0));
    }

    #[test]
    fn every_damage_changes_a_bundle() {
        let mut good = vec![7; 10_000];
        good.extend(2000_u64.to_be_bytes());
        for (name, damage, _) in DAMAGES {
            let mut bytes = good.clone();
            damage(&mut bytes);
            assert_ne!(bytes, good, "{name}");
        }
    }
}
