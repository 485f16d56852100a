// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a release say of the file of its bundle?

use openssl::sha::Sha256;
use std::io::{self, Read, Write};
use storage::{ByteLen, Digest};

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 128 * 1024;

/// Hands every byte on and tells SHA-256 and length of them all.
///
/// # Errors
/// The reader's or the writer's.
pub fn measure(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(Digest, ByteLen)> {
    let mut piece = vec![0; PIECE_BYTES];
    let (mut sha256, mut bytes) = (Sha256::new(), 0_u64);
    loop {
        let read = match from.read(&mut piece) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let Some(read @ [_, ..]) = piece.get(..read) else {
            return Ok((Digest::from_bytes(sha256.finish()), ByteLen::new(bytes)));
        };
        sha256.update(read);
        to.write_all(read)?;
        bytes += read.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_counted_and_handed_on() {
        let bytes = vec![7; PIECE_BYTES * 2 + 5];
        let mut copy = Vec::new();
        let (digest, len) = measure(&mut bytes.as_slice(), &mut copy).unwrap();
        assert_eq!(copy, bytes);
        assert_eq!(len.get(), bytes.len() as u64);
        assert_eq!(digest.as_bytes(), &openssl::sha::sha256(&bytes));
    }
}
