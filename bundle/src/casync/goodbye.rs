// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of names at the end of each directory of an archive.
//!
//! Items (offset back to the entry, its length, SipHash-2-4 of its name) stand as a binary search
//! tree laid out in an array: left child of `i` at `2i + 1`, right at `2i + 2`. One byte at another
//! place, and the archive would be cut into other chunks than casync's.

/// casync's key for hashes of names.
const NAME_KEY: (u64, u64) = (0x8574_442b_0f1d_84b3, 0x2736_ed30_d1c2_2ec1);

/// One name of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NameItem {
    pub hash: u64,
    /// Where its filename record begins in the archive, and where its entry ends.
    pub start: u64,
    pub end: u64,
}

/// The items in the order of the table.
pub(crate) fn search_tree(mut items: Vec<NameItem>) -> Vec<NameItem> {
    items.sort_unstable();
    let mut laid_out = items.clone();
    // The tree is complete: in-order positions are visited by walking the array as a tree.
    let mut in_order = items.into_iter();
    place(&mut laid_out, 0, &mut in_order);
    laid_out
}

fn place(out: &mut [NameItem], at: usize, in_order: &mut impl Iterator<Item = NameItem>) {
    if at >= out.len() {
        return;
    }
    place(out, 2 * at + 1, in_order);
    if let (Some(slot), Some(item)) = (out.get_mut(at), in_order.next()) {
        *slot = item;
    }
    place(out, 2 * at + 2, in_order);
}

/// SipHash-2-4 of a name under casync's key.
pub(crate) fn name_hash(name: &[u8]) -> u64 {
    let (k0, k1) = NAME_KEY;
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = name.as_chunks::<8>();
    for word in words {
        absorb(&mut v, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    absorb(&mut v, u64::from_le_bytes(last) | ((name.len() as u64) << 56));
    v[2] ^= 0xff;
    (0..4).for_each(|_| round(&mut v));
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_can_be_searched() {
        for count in 0..70_u64 {
            let items: Vec<_> =
                (0..count).map(|n| NameItem { hash: n * 3, start: n, end: n + 1 }).rev().collect();
            let table = search_tree(items);
            for wanted in 0..count {
                let mut at = 0;
                while table[at].hash != wanted * 3 {
                    at = 2 * at + if wanted * 3 < table[at].hash { 1 } else { 2 };
                }
            }
        }
    }

    #[test]
    fn hashes_are_those_in_an_archive_of_casync() {
        // Read from an archive that casync 2 made of the names "a" and "l".
        assert_eq!(name_hash(b"l"), 0xa1a7_aeca_9969_d80a);
        assert_eq!(name_hash(b"a"), 0x51ba_5a19_e058_c7ad);
    }
}
