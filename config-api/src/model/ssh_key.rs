// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this line a public key that somebody can log in with? The whole blob is parsed: a truncated
//! key as the only administrator's locks everybody out for good.
//!
//! A blob is a row of strings, each a length of four bytes, big-endian, and so many bytes: first
//! the key's type, then its parts (RFC 4253 and 5656, OpenSSH's PROTOCOL.u2f).

use super::name::trim;
use std::fmt;

/// Shorter RSA keys are refused by OpenSSH's own rules for new systems.
const MIN_RSA_BITS: usize = 2048;

/// OpenSSH reads no longer ones.
const MAX_RSA_BITS: usize = 16_384;

/// The longest line: an RSA key of 16384 bits and a long comment.
pub const MAX_KEY_CHARS: usize = 8192;

/// A public key of OpenSSH, `type blob comment` in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshPublicKey {
    line: String,
    blob: Vec<u8>,
}

impl SshPublicKey {
    /// The line as it was written, without space around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.line
    }

    /// The key itself, as it stands in signatures and agents.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`SshKeyFault`].
    pub fn parse(text: &str) -> Result<Self, SshKeyFault> {
        let line = trim(text);
        if line.len() > MAX_KEY_CHARS {
            return Err(SshKeyFault::TooLong);
        }
        if line.chars().any(char::is_control) {
            return Err(SshKeyFault::ControlCharacter);
        }
        // OpenSSH takes the line apart at these alone; other space is a part of the word to it.
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let (Some(kind), Some(encoded)) = (words.next(), words.next()) else {
            return Err(SshKeyFault::NotAKey);
        };
        let kind = KeyType::of(kind).ok_or(SshKeyFault::Type)?;
        let blob = decode_base64(encoded).ok_or(SshKeyFault::Base64)?;
        check_blob(kind, &blob)?;
        Ok(Self { line: line.to_owned(), blob })
    }
}

impl fmt::Display for SshPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Why a line is no usable key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshKeyFault {
    /// Too long.
    #[error("the key is longer than {MAX_KEY_CHARS} characters")]
    TooLong,
    /// A tab, a line end or the like.
    #[error("a control character in the key")]
    ControlCharacter,
    /// One word, or none.
    #[error("no SSH public key: a type and its data are needed")]
    NotAKey,
    /// A type that is not accepted.
    #[error("the key's type is not accepted")]
    Type,
    /// The data are no base64.
    #[error("the key's data are no base64")]
    Base64,
    /// Data end too early, or go on.
    #[error("the key's data are cut short or too long")]
    Length,
    /// The data are of another type than the line says.
    #[error("the key's data are of another type than the line says")]
    Mismatch,
    /// A part has a value that no key has.
    #[error("the key's data hold no key of this type")]
    Part,
    /// An RSA key that is too short to be safe, or too long to be read.
    #[error("an RSA key of {0} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted")]
    RsaBits(usize),
}

impl SshKeyFault {
    /// The way out.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::TooLong | Self::ControlCharacter | Self::NotAKey => {
                "paste the one line of the file ~/.ssh/id_ed25519.pub"
            }
            Self::Type => {
                "ssh-ed25519, ecdsa-sha2-nistp256/384/521, ssh-rsa, or the sk- keys of a token; \
                 no options before it"
            }
            Self::Base64 | Self::Length | Self::Mismatch | Self::Part => {
                "copy the line again, whole; `ssh-keygen -l -f FILE` tells whether it is good"
            }
            Self::RsaBits(_) => "make a new key: ssh-keygen -t ed25519",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyType {
    Ed25519,
    SkEd25519,
    Ecdsa { curve: &'static str, point: usize },
    SkEcdsa,
    Rsa,
}

const P256: &str = "nistp256";

impl KeyType {
    fn of(name: &str) -> Option<Self> {
        let ecdsa = |curve, point| Some(Self::Ecdsa { curve, point });
        match name {
            "ssh-ed25519" => Some(Self::Ed25519),
            "sk-ssh-ed25519@openssh.com" => Some(Self::SkEd25519),
            "ecdsa-sha2-nistp256" => ecdsa(P256, 65),
            "ecdsa-sha2-nistp384" => ecdsa("nistp384", 97),
            "ecdsa-sha2-nistp521" => ecdsa("nistp521", 133),
            "sk-ecdsa-sha2-nistp256@openssh.com" => Some(Self::SkEcdsa),
            "ssh-rsa" => Some(Self::Rsa),
            _ => None,
        }
    }
}

fn check_blob(kind: KeyType, blob: &[u8]) -> Result<(), SshKeyFault> {
    let mut rest = blob;
    let named = std::str::from_utf8(take_string(&mut rest)?).ok().and_then(KeyType::of);
    if named != Some(kind) {
        return Err(SshKeyFault::Mismatch);
    }
    match kind {
        KeyType::Ed25519 => exactly(take_string(&mut rest)?, 32)?,
        KeyType::SkEd25519 => {
            exactly(take_string(&mut rest)?, 32)?;
            application(take_string(&mut rest)?)?;
        }
        KeyType::Ecdsa { curve, point } => ec_point(&mut rest, curve, point)?,
        KeyType::SkEcdsa => {
            ec_point(&mut rest, P256, 65)?;
            application(take_string(&mut rest)?)?;
        }
        KeyType::Rsa => {
            let exponent = positive(take_string(&mut rest)?)?;
            let modulus = positive(take_string(&mut rest)?)?;
            let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
            if !odd(exponent) || exponent == [1] || !odd(modulus) {
                return Err(SshKeyFault::Part);
            }
            let lead = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
            let bits = modulus.len() * 8 - lead;
            if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
                return Err(SshKeyFault::RsaBits(bits));
            }
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(SshKeyFault::Length) }
}

fn take_string<'b>(rest: &mut &'b [u8]) -> Result<&'b [u8], SshKeyFault> {
    let (len, after) = rest.split_first_chunk::<4>().ok_or(SshKeyFault::Length)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| SshKeyFault::Length)?;
    let (string, after) = after.split_at_checked(len).ok_or(SshKeyFault::Length)?;
    *rest = after;
    Ok(string)
}

const fn exactly(part: &[u8], len: usize) -> Result<(), SshKeyFault> {
    if part.len() == len { Ok(()) } else { Err(SshKeyFault::Length) }
}

/// What a token's key is for, `ssh:` as a rule.
const fn application(part: &[u8]) -> Result<(), SshKeyFault> {
    if part.is_empty() { Err(SshKeyFault::Part) } else { Ok(()) }
}

/// A point that is not compressed, behind the name of its curve.
fn ec_point(rest: &mut &[u8], curve: &str, len: usize) -> Result<(), SshKeyFault> {
    if take_string(rest)? != curve.as_bytes() {
        return Err(SshKeyFault::Mismatch);
    }
    let point = take_string(rest)?;
    exactly(point, len)?;
    if point.first() == Some(&4) { Ok(()) } else { Err(SshKeyFault::Part) }
}

/// A number greater than 0 in its shortest form, without the byte that keeps it positive.
fn positive(part: &[u8]) -> Result<&[u8], SshKeyFault> {
    match part {
        [0, rest @ ..] if rest.first().is_some_and(|byte| *byte >= 0x80) => Ok(rest),
        [1..0x80, ..] => Ok(part),
        _ => Err(SshKeyFault::Part),
    }
}

/// Base64 with its padding and nothing else.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let body = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in body.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    // What is left over fills the last character and is zero in every encoder's output.
    (bits == 0).then_some(bytes)
}
