// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures, envelopes and token URIs: what strangers write before anything is verified.

use crate::measure::{KIB, MIB, alone, grows_slowly, holds};

/// `members` of two bytes each as the certificates of a SignedData, the last one first.
fn signature_of(members: usize) -> Vec<u8> {
    let der = |tag: u8, value: &[u8]| {
        let len = u16::try_from(value.len()).expect("it fits 64 KiB").to_be_bytes();
        [&[tag, 0x82], &len[..], value].concat()
    };
    let member = |number: usize| [&[4, 2], &number.to_be_bytes()[6..]].concat();
    let members: Vec<u8> = (0..members).rev().flat_map(member).collect();
    let data = [
        vec![2, 1, 1],
        der(0x31, &[]),
        der(0x30, &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 7, 1]),
        der(0xa0, &members),
        der(0x31, &[]),
    ];
    let signed_data = vec![6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 7, 2];
    der(0x30, &[signed_data, der(0xa0, &der(0x30, &data.concat()))].concat())
}

/// Sequences inside each other, as deep as fits.
fn nested_signature(levels: usize) -> Vec<u8> {
    let levels = levels.min(16_000);
    let open = (0..levels).flat_map(|level| {
        let inside = u16::try_from(4 * (levels - level - 1)).expect("it fits 64 KiB");
        [&[0x30, 0x82][..], &inside.to_be_bytes()].concat()
    });
    open.collect()
}

#[test]
fn signatures_of_strangers() {
    let _alone = alone();
    let worst = [
        ("members in the wrong order", signature_of(15_000)),
        ("deep", nested_signature(16_000)),
        ("zeros", vec![0; 64 * KIB]),
    ];
    holds("signature", 2 * MIB, &worst);
    grows_slowly("signature", "members in the wrong order", signature_of, 3_500);
    grows_slowly("signature", "deep", nested_signature, 4_000);
    let trailer = |size: u64| [vec![0; 9000], size.to_be_bytes().to_vec()].concat();
    let worst = [("a lie", trailer(u64::MAX)), ("too much", trailer(64 * 1024 + 1))];
    holds("bundle", 2 * MIB, &worst);
}

fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let len = u32::try_from(value.len()).expect("it is short").to_be_bytes();
    [&[tag, 0x83], &len[1..], value].concat()
}

/// An EnvelopedData for `count` recipients whose encrypted keys have `len` bytes.
fn envelope_for(count: usize, len: usize) -> Vec<u8> {
    let rsa = [0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let id = [0x80, 1, 7];
    let key = der(4, &vec![0x11; len]);
    let one = der(0x30, &[&[2, 1, 2][..], &id, &rsa, &key].concat());
    let aes = [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];
    let cipher = [&[6, 9][..], &aes, &[4, 16], &[0; 16]].concat();
    let data = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    let content = der(0x30, &[&data[..], &[0x30, 29], &cipher, &[0x80, 16], &[9; 16]].concat());
    let all = [vec![2, 1, 2], der(0x31, &one.repeat(count)), content].concat();
    let enveloped = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3];
    // The parser takes the shortest form of a length only.
    shortest(&[&enveloped[..], &der(0xa0, &der(0x30, &all))].concat())
}

/// The content as a ContentInfo with every length in its shortest form.
fn shortest(content: &[u8]) -> Vec<u8> {
    fn rewrite(mut bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while let [tag, first, rest @ ..] = bytes {
            let (len, rest) = match first {
                0x83 => (u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize, &rest[3..]),
                short => (usize::from(*short), rest),
            };
            let (value, rest) = rest.split_at(len);
            let value = if tag & 0x20 == 0 { value.to_vec() } else { rewrite(value) };
            let len = u32::try_from(value.len()).expect("it is short").to_be_bytes();
            out.push(*tag);
            match value.len() {
                0..=0x7f => out.push(len[3]),
                0x80..=0xff => out.extend([0x81, len[3]]),
                0x100..=0xffff => out.extend([0x82, len[2], len[3]]),
                _ => out.extend([0x83, len[1], len[2], len[3]]),
            }
            out.extend(value);
            bytes = rest;
        }
        out
    }
    rewrite(&der(0x30, content))
}

#[test]
fn envelopes_of_strangers() {
    let _alone = alone();
    let recipients = envelope_for(1_500, 1);
    assert!(recipients.len() < 64 * KIB);
    let parsed = |cms: &[u8]| {
        let bytes =
            [vec![0; 8192], cms.to_vec(), (cms.len() as u64).to_be_bytes().to_vec()].concat();
        let source = std::sync::Arc::new(bundle::MemorySource::new("m", bytes));
        let bundle = bundle::UntrustedBundle::open(source, &bundle::Limits::default());
        bundle.expect("the trailer is right").recipients().expect("it parses").len()
    };
    assert_eq!(parsed(&recipients), 1_500);
    let worst = [
        ("many recipients", recipients),
        ("recipients that could be meant", envelope_for(200, 256)),
        ("zeros", vec![0; 64 * KIB]),
    ];
    holds("envelope", 2 * MIB, &worst);
    grows_slowly("envelope", "recipients", |count| envelope_for(count, 1), 350);
}

#[test]
fn token_uris() {
    let _alone = alone();
    let long = |part: &str| part.repeat(4096 / part.len()).into_bytes();
    let worst = [
        ("escapes", [b"pkcs11:token=".to_vec(), b"%41".repeat(1_360)].concat()),
        ("separators", [b"pkcs11:".to_vec(), long(";")].concat()),
        ("vendors", [b"pkcs11:?".to_vec(), b"x-a=1&".repeat(680)].concat()),
    ];
    holds("pkcs11_uri", MIB, &worst);
}
