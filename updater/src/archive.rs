// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is an archive compressed? By its first bytes, never by its file's name: `tar` looks at a file
//! itself, but not at a pipe, because it cannot read that twice.

use std::io::{self, Cursor, Read};

/// How the beginning of an archive tells its compression, and `tar`'s option for it.
const COMPRESSIONS: [(&[u8], &str); 7] = [
    (&[0x1f, 0x8b], "-z"),
    (&[0x1f, 0x9d], "-Z"),
    (b"BZh", "-j"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "-J"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "--zstd"),
    (b"LZIP", "--lzip"),
    (&[0x89, b'L', b'Z', b'O'], "--lzop"),
];
/// LZMA without a container has no magic number: the default settings, then the size of its
/// dictionary in 64 KiB. A plain archive of a file named `]` begins the same but for the size.
const LZMA_SETTINGS: &[u8] = &[0x5d, 0, 0];
/// Longest of these beginnings.
const MAGIC_BYTES: u64 = 6;

/// `tar`'s option for an archive that begins like this; none for one that is not compressed.
fn option_for(begin: &[u8]) -> Option<&'static str> {
    let is_lzma = |size: &[u8]| size.iter().take(2).any(|byte| *byte != 0);
    if begin.strip_prefix(LZMA_SETTINGS).is_some_and(is_lzma) {
        return Some("--lzma");
    }
    COMPRESSIONS.iter().find(|(magic, _)| begin.starts_with(magic)).map(|(_, option)| *option)
}

/// Looks at the first bytes of an archive: `tar`'s option for its compression, and the archive
/// from its first byte on.
///
/// # Errors
/// What reading it says.
pub(crate) fn look<R: Read>(
    mut archive: R,
) -> io::Result<(Option<&'static str>, impl Read + use<R>)> {
    let mut begin = Vec::new();
    archive.by_ref().take(MAGIC_BYTES).read_to_end(&mut begin)?;
    Ok((option_for(&begin), Cursor::new(begin).chain(archive)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_and_stay_in_the_stream() {
        for (bytes, option) in [
            (&b"\x1f\x8b\x08 gzip"[..], Some("-z")),
            (b"BZh9", Some("-j")),
            (b"\xfd7zXZ\0\0", Some("-J")),
            (b"\x28\xb5\x2f\xfd", Some("--zstd")),
            (b"\x5d\0\0\x80\0", Some("--lzma")),
            (b"]\0\0\0\0\0", None),
            (b"./\0\0\0\0\0\0", None),
            (b"\x1f", None),
            (b"", None),
        ] {
            let (found, mut whole) = look(bytes).unwrap();
            let mut read = Vec::new();
            whole.read_to_end(&mut read).unwrap();
            assert_eq!((found, &*read), (option, bytes));
        }
    }
}
