// SPDX-License-Identifier: MIT OR Apache-2.0
//! The payload of format crypt: AES-256-CBC, sector by sector, under the hash tree.
//!
//! As dm-crypt's `aes-cbc-plain64` with 4096-byte sectors does it: each sector stands alone, without
//! padding, with an IV of 16 bytes: its number times 8 (dm-crypt counts 512-byte units), little
//! endian, then zeros (source: the kernel's `dm-crypt` documentation). The hash tree is over the ciphertext: nothing is decrypted that was not
//! compared with the signature.

use crate::{CryptKey, LibraryFault};
use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a sector.
pub(crate) const SECTOR_BYTES: usize = 4096;
const SECTOR: u64 = SECTOR_BYTES as u64;
/// 512-byte units of a sector.
const UNITS: u64 = 8;

/// Encrypts and decrypts sectors.
pub(crate) struct SectorCipher(CryptKey);

impl SectorCipher {
    pub(crate) fn new(key: CryptKey) -> Self {
        Self(key)
    }

    /// Decrypts whole sectors in place; `offset` is where they stand in the payload.
    pub(crate) fn decrypt(&self, offset: u64, bytes: &mut [u8]) -> Result<(), LibraryFault> {
        self.run(Mode::Decrypt, offset, bytes).map_err(LibraryFault::from)
    }

    fn encrypt(&self, offset: u64, bytes: &mut [u8]) -> Result<(), LibraryFault> {
        self.run(Mode::Encrypt, offset, bytes).map_err(LibraryFault::from)
    }

    /// Encrypts the first `len` bytes of `file`, which are whole sectors, in their place.
    pub(crate) fn encrypt_file(&self, file: &File, len: u64) -> io::Result<()> {
        let mut chunk = vec![0; 256 * SECTOR_BYTES];
        let mut at = 0;
        while at < len {
            let count = usize::try_from(len - at).unwrap_or(usize::MAX).min(chunk.len());
            let bytes = chunk.get_mut(..count).unwrap_or_default();
            file.read_exact_at(bytes, at)?;
            self.encrypt(at, bytes).map_err(io::Error::other)?;
            file.write_all_at(bytes, at)?;
            at += count as u64;
        }
        Ok(())
    }

    fn run(&self, mode: Mode, offset: u64, bytes: &mut [u8]) -> Result<(), ErrorStack> {
        let mut context = CipherCtx::new()?;
        let cipher = Cipher::aes_256_cbc();
        match mode {
            Mode::Encrypt => context.encrypt_init(Some(cipher), Some(&self.0.0), None)?,
            Mode::Decrypt => context.decrypt_init(Some(cipher), Some(&self.0.0), None)?,
        }
        // The library wants room for one more block than goes in.
        let mut out = [0; SECTOR_BYTES + 16];
        for (sector, bytes) in (offset / SECTOR..).zip(bytes.chunks_mut(SECTOR_BYTES)) {
            let mut iv = [0; 16];
            for (to, from) in iv.iter_mut().zip(sector.wrapping_mul(UNITS).to_le_bytes()) {
                *to = from;
            }
            match mode {
                Mode::Encrypt => context.encrypt_init(None, None, Some(&iv))?,
                Mode::Decrypt => context.decrypt_init(None, None, Some(&iv))?,
            }
            context.set_padding(false);
            context.cipher_update(bytes, Some(&mut out))?;
            for (to, from) in bytes.iter_mut().zip(&out) {
                *to = *from;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Mode {
    Encrypt,
    Decrypt,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn cipher() -> SectorCipher {
        SectorCipher::new(CryptKey([7; 32]))
    }

    #[test]
    fn sectors_come_back_from_any_place_they_were_written_to() {
        let plain: Vec<u8> =
            (0..5 * SECTOR_BYTES).map(|i| u8::try_from(i / 33 % 251).unwrap()).collect();
        let cipher = cipher();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&plain).unwrap();
        cipher.encrypt_file(&file, plain.len() as u64).unwrap();
        let mut crypt = vec![0; plain.len()];
        file.read_exact_at(&mut crypt, 0).unwrap();
        assert_eq!(crypt.len(), plain.len());
        assert_ne!(crypt, plain);
        let at = 2 * SECTOR_BYTES;
        let mut part = crypt[at..at + 2 * SECTOR_BYTES].to_vec();
        cipher.decrypt(at as u64, &mut part).unwrap();
        assert_eq!(part, plain[at..at + 2 * SECTOR_BYTES]);
        // In another place the same bytes are other data: the IV is the place.
        let mut moved = crypt[..SECTOR_BYTES].to_vec();
        cipher.decrypt(SECTOR, &mut moved).unwrap();
        assert_ne!(moved, plain[..SECTOR_BYTES]);
    }

    /// By `openssl enc -aes-256-cbc -nopad`, with key 07… and the IV of sector 3: 24, little endian.
    #[test]
    fn a_sector_is_as_openssl_makes_it() {
        let mut sector = [0; SECTOR_BYTES];
        cipher().encrypt(3 * SECTOR, &mut sector).unwrap();
        let mut iv = [0; 16];
        iv[0] = 24;
        let expected = openssl::symm::encrypt(
            openssl::symm::Cipher::aes_256_cbc(),
            &[7; 32],
            Some(&iv),
            &[0; SECTOR_BYTES],
        )
        .unwrap();
        assert_eq!(sector[..], expected[..SECTOR_BYTES]);
    }
}
