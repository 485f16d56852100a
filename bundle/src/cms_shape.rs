// SPDX-License-Identifier: MIT OR Apache-2.0
//! Could this CMS structure keep its reader busy?
//!
//! The DER parser sorts the members of each SET by insertion, which takes the square of their
//! number when they come in the wrong order: 16000 members fit into the 64 KiB that a stranger may
//! send, and would be compared a hundred million times before the refusal. So the members are
//! counted first, in one pass over at most [`LEVELS`] levels. Never judges whether the rest is DER:
//! where it is not, the parser stops as well.
//!
//! ```text
//! ContentInfo 1   [0] 2   SignedData 3   SETs of it 4   SignerInfo 5   attributes 6
//! Attribute 7     its values 8
//! ```

/// Most members of one set: of certificates, more than any chain that OpenSSL would follow.
pub(crate) const MAX_MEMBERS: usize = 64;
/// Levels on which the parser meets sets.
const LEVELS: u32 = 8;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0]` and `[1]`: where they are IMPLICIT they stand for SETs, else they have one member.
const CONTEXT: [u8; 2] = [0xa0, 0xa1];

/// Whether no set that the parser will meet has more than [`MAX_MEMBERS`] members.
pub(crate) fn sets_are_small(cms: &[u8]) -> bool {
    let mut pending = vec![(SEQUENCE, cms, 0)];
    while let Some((tag, mut content, level)) = pending.pop() {
        let mut members = 0;
        while let Some((inner, value, rest)) = next(content) {
            members += 1;
            if tag != SEQUENCE && members > MAX_MEMBERS {
                return false;
            }
            let holds_members = inner == SEQUENCE || inner == SET || CONTEXT.contains(&inner);
            if holds_members && level < LEVELS {
                pending.push((inner, value, level + 1));
            }
            content = rest;
        }
    }
    true
}

/// The tag and value at the front, and what follows; `None` where no definite form stands.
fn next(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (len, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    Some((*tag, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        let len = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &len[..], value].concat()
    }

    /// `inner` as the certificates of a SignedData.
    fn certificates(inner: &[u8]) -> Vec<u8> {
        tlv(SEQUENCE, &tlv(0xa0, &tlv(SEQUENCE, &tlv(0xa0, inner))))
    }

    #[test]
    fn a_set_of_many_members_is_found_on_every_level_of_the_parser() {
        let many = [5, 0].repeat(MAX_MEMBERS + 1);
        let few = [5, 0].repeat(MAX_MEMBERS);
        for levels in 0..LEVELS {
            for tag in [SET, 0xa0, 0xa1] {
                let nested = |members: &[u8]| {
                    (0..levels).fold(tlv(tag, members), |inner, _| tlv(SEQUENCE, &inner))
                };
                assert!(!sets_are_small(&nested(&many)), "{levels} {tag:x}");
                assert!(sets_are_small(&nested(&few)), "{levels} {tag:x}");
            }
        }
    }

    /// What is broken in one certificate, which only OpenSSL reads, hides nothing behind it.
    #[test]
    fn a_broken_certificate_hides_no_set_behind_it() {
        let many = [5, 0].repeat(MAX_MEMBERS + 1);
        let broken = tlv(SEQUENCE, &[0x30, 0x7f]);
        assert!(sets_are_small(&certificates(&broken)));
        let hidden = [broken, tlv(SET, &many)].concat();
        assert!(!sets_are_small(&certificates(&hidden)));
    }

    #[test]
    fn bytes_that_are_no_der_are_left_to_the_parser() {
        for bytes in [&[][..], &[0x30], &[0x30, 0x80, 0, 0], &[0x30, 0x84, 0, 0, 0, 1, 5], &[9; 99]]
        {
            assert!(sets_are_small(bytes), "{bytes:?}");
        }
    }
}
