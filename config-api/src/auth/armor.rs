// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does an armored SSH signature say? The format of OpenSSH's `PROTOCOL.sshsig`:
//!
//! ```text
//! byte[6] "SSHSIG"   uint32 version = 1   string public key   string namespace
//! string reserved    string hash algorithm ("sha256", "sha512")    string signature
//! ```
//!
//! in base64 between two lines. Signed is not the message but `"SSHSIG"`, namespace, reserved, hash
//! algorithm and the message's hash, in the same encoding: a signature for another purpose, or of
//! another protocol, can never be mistaken for one of these.

use super::wire::{Reader, put_string};
use super::{NAMESPACE, SignatureError};
use crate::model::decode_base64;
use openssl::sha::{sha256, sha512};

const MAGIC: [u8; 6] = *b"SSHSIG";
const VERSION: u32 = 1;
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

/// Longest armored signature: an RSA key and signature of 16384 bits each take 5.6 KiB.
pub const MAX_ARMORED_BYTES: usize = 8192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

/// A signature as it was read; nothing about it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshSignature {
    public_key: Vec<u8>,
    hash: Hash,
    signature: Vec<u8>,
}

impl SshSignature {
    /// The key that claims to have signed.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The signature's own bytes: algorithm and value.
    pub(super) fn value(&self) -> &[u8] {
        &self.signature
    }

    /// What is signed when `message` is.
    pub(super) fn signed_data(&self, message: &[u8]) -> Vec<u8> {
        let mut data = MAGIC.to_vec();
        put_string(&mut data, NAMESPACE.as_bytes());
        put_string(&mut data, b"");
        match self.hash {
            Hash::Sha256 => {
                put_string(&mut data, b"sha256");
                put_string(&mut data, &sha256(message));
            }
            Hash::Sha512 => {
                put_string(&mut data, b"sha512");
                put_string(&mut data, &sha512(message));
            }
        }
        data
    }
}

/// Reads the text that `ssh-keygen -Y sign` writes.
///
/// # Errors
/// [`SignatureError`] for everything that is not whole, or made for another namespace.
pub fn parse_armored(text: &str) -> Result<SshSignature, SignatureError> {
    if text.len() > MAX_ARMORED_BYTES {
        return Err(SignatureError::TooLong { limit: MAX_ARMORED_BYTES });
    }
    let body = text.trim_ascii().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    let encoded: String =
        body.ok_or(SignatureError::NotArmored)?.split_ascii_whitespace().collect();
    parse_blob(&decode_base64(&encoded).ok_or(SignatureError::NotArmored)?)
}

fn parse_blob(blob: &[u8]) -> Result<SshSignature, SignatureError> {
    let mut reader = Reader::new(blob);
    if reader.array()? != MAGIC || reader.number()? != VERSION {
        return Err(SignatureError::Format);
    }
    let public_key = reader.string()?.to_vec();
    if reader.string()? != NAMESPACE.as_bytes() {
        return Err(SignatureError::Namespace { expected: NAMESPACE });
    }
    // Reserved: a later version may mean something by it that this one would not see.
    if !reader.string()?.is_empty() {
        return Err(SignatureError::Format);
    }
    let hash = match reader.string()? {
        b"sha256" => Hash::Sha256,
        b"sha512" => Hash::Sha512,
        _ => return Err(SignatureError::Algorithm),
    };
    let signature = reader.string()?.to_vec();
    reader.end()?;
    Ok(SshSignature { public_key, hash, signature })
}
