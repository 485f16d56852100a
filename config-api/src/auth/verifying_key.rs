// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does this signature belong to this key? The arithmetic is OpenSSL's; which algorithm a key may
//! sign with is decided here: the key names it, never the signature alone.
//!
//! A security key signs `SHA256(application) ‖ flags ‖ counter ‖ SHA256(data)` (`PROTOCOL.u2f`),
//! and only a touch counts, as for a login; `ssh-keygen -Y verify` does not ask for one. The counter
//! is not compared with an older one: the nonce already forbids a second use.

use super::wire::Reader;
use super::{KeyError, SignatureError, SshSignature};
use crate::model::SshPublicKey;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::sign::Verifier;

/// Set in a token's flags when somebody touched it.
const USER_PRESENT: u8 = 0x01;

/// Longest public exponent; a longer one makes every verification dear and no key has one.
const MAX_EXPONENT_BITS: i32 = 64;

/// Longest RSA modulus that signs here: the cost of a verification grows with its square.
const MAX_MODULUS_BITS: i32 = 8192;

/// A key that signatures can be held against.
pub struct VerifyingKey {
    blob: Vec<u8>,
    key: PKey<Public>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
    P521,
}

enum Kind {
    Ed25519,
    Ecdsa(Curve),
    Rsa { modulus_bytes: usize },
    SkEd25519 { application: Vec<u8> },
    SkEcdsa { application: Vec<u8> },
}

impl Curve {
    const fn nid(self) -> Nid {
        match self {
            Self::P256 => Nid::X9_62_PRIME256V1,
            Self::P384 => Nid::SECP384R1,
            Self::P521 => Nid::SECP521R1,
        }
    }

    fn digest(self) -> MessageDigest {
        match self {
            Self::P256 => MessageDigest::sha256(),
            Self::P384 => MessageDigest::sha384(),
            Self::P521 => MessageDigest::sha512(),
        }
    }

    const fn algorithm(self) -> &'static [u8] {
        match self {
            Self::P256 => b"ecdsa-sha2-nistp256",
            Self::P384 => b"ecdsa-sha2-nistp384",
            Self::P521 => b"ecdsa-sha2-nistp521",
        }
    }
}

impl VerifyingKey {
    /// Makes a key usable whose shape the model has already found good.
    ///
    /// # Errors
    /// [`KeyError::Numbers`] when it is no point of its curve, or an RSA key too long.
    pub fn new(key: &SshPublicKey) -> Result<Self, KeyError> {
        let (pkey, kind) = decode_key(key.blob()).map_err(|_| KeyError::Numbers)?;
        Ok(Self { blob: key.blob().to_vec(), key: pkey, kind })
    }

    /// The key as it stands in signatures.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The name that OpenSSH prints for a key.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let encoded = openssl::base64::encode_block(&sha256(&self.blob));
        format!("SHA256:{}", encoded.trim_end_matches('='))
    }

    /// Whether `signature` is this key's signature of `message`.
    ///
    /// # Errors
    /// [`SignatureError`] says why not.
    pub fn verify(&self, signature: &SshSignature, message: &[u8]) -> Result<(), SignatureError> {
        let data = signature.signed_data(message);
        let mut reader = Reader::new(signature.value());
        let algorithm = reader.string()?;
        match &self.kind {
            Kind::Ed25519 => {
                named(algorithm, b"ssh-ed25519")?;
                let value = reader.string()?;
                reader.end()?;
                settle(self.verify_plain(value, &data))
            }
            Kind::Ecdsa(curve) => {
                named(algorithm, curve.algorithm())?;
                let value = reader.string()?;
                reader.end()?;
                self.verify_ecdsa(curve.digest(), value, &data)
            }
            Kind::Rsa { modulus_bytes } => {
                let digest = match algorithm {
                    b"rsa-sha2-256" => MessageDigest::sha256(),
                    b"rsa-sha2-512" => MessageDigest::sha512(),
                    _ => return Err(SignatureError::Algorithm),
                };
                let value = reader.string()?;
                reader.end()?;
                settle(self.verify_rsa(digest, *modulus_bytes, value, &data))
            }
            Kind::SkEd25519 { application } => {
                named(algorithm, b"sk-ssh-ed25519@openssh.com")?;
                let value = reader.string()?;
                let data = touched(&mut reader, application, &data)?;
                settle(self.verify_plain(value, &data))
            }
            Kind::SkEcdsa { application } => {
                named(algorithm, b"sk-ecdsa-sha2-nistp256@openssh.com")?;
                let value = reader.string()?;
                let data = touched(&mut reader, application, &data)?;
                self.verify_ecdsa(MessageDigest::sha256(), value, &data)
            }
        }
    }

    fn verify_plain(&self, value: &[u8], data: &[u8]) -> Result<bool, ErrorStack> {
        Verifier::new_without_digest(&self.key)?.verify_oneshot(value, data)
    }

    fn verify_rsa(
        &self,
        digest: MessageDigest,
        modulus_bytes: usize,
        value: &[u8],
        data: &[u8],
    ) -> Result<bool, ErrorStack> {
        // Old agents leave leading zeros away; OpenSSL wants the modulus's length.
        let Some(missing) = modulus_bytes.checked_sub(value.len()) else { return Ok(false) };
        let whole = [vec![0; missing], value.to_vec()].concat();
        Verifier::new(digest, &self.key)?.verify_oneshot(&whole, data)
    }

    fn verify_ecdsa(
        &self,
        digest: MessageDigest,
        value: &[u8],
        data: &[u8],
    ) -> Result<(), SignatureError> {
        let mut reader = Reader::new(value);
        let (r, s) = (reader.string()?, reader.string()?);
        reader.end()?;
        settle(self.verify_numbers(digest, r, s, data))
    }

    fn verify_numbers(
        &self,
        digest: MessageDigest,
        r: &[u8],
        s: &[u8],
        data: &[u8],
    ) -> Result<bool, ErrorStack> {
        let pair =
            EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
        Verifier::new(digest, &self.key)?.verify_oneshot(&pair.to_der()?, data)
    }
}

/// Whatever OpenSSL objects to: the signature is wrong.
fn settle(verdict: Result<bool, ErrorStack>) -> Result<(), SignatureError> {
    match verdict {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(SignatureError::Wrong),
    }
}

fn named(found: &[u8], wanted: &[u8]) -> Result<(), SignatureError> {
    if found == wanted { Ok(()) } else { Err(SignatureError::Algorithm) }
}

/// What a security key signs in place of `data`.
fn touched(
    reader: &mut Reader<'_>,
    application: &[u8],
    data: &[u8],
) -> Result<Vec<u8>, SignatureError> {
    let flags = reader.byte()?;
    let counter: [u8; 4] = reader.array()?;
    reader.end()?;
    if flags & USER_PRESENT == 0 {
        return Err(SignatureError::NotTouched);
    }
    Ok([&sha256(application)[..], &[flags], &counter, &sha256(data)].concat())
}

/// Anything that is wrong here is a key that nobody has.
struct NoKey;

impl From<ErrorStack> for NoKey {
    fn from(_: ErrorStack) -> Self {
        Self
    }
}

impl From<SignatureError> for NoKey {
    fn from(_: SignatureError) -> Self {
        Self
    }
}

fn decode_key(blob: &[u8]) -> Result<(PKey<Public>, Kind), NoKey> {
    let mut reader = Reader::new(blob);
    let (key, kind) = match reader.string()? {
        b"ssh-ed25519" => (ed25519(&mut reader)?, Kind::Ed25519),
        b"ecdsa-sha2-nistp256" => (point(&mut reader, Curve::P256)?, Kind::Ecdsa(Curve::P256)),
        b"ecdsa-sha2-nistp384" => (point(&mut reader, Curve::P384)?, Kind::Ecdsa(Curve::P384)),
        b"ecdsa-sha2-nistp521" => (point(&mut reader, Curve::P521)?, Kind::Ecdsa(Curve::P521)),
        b"ssh-rsa" => rsa(&mut reader)?,
        b"sk-ssh-ed25519@openssh.com" => {
            let key = ed25519(&mut reader)?;
            (key, Kind::SkEd25519 { application: reader.string()?.to_vec() })
        }
        b"sk-ecdsa-sha2-nistp256@openssh.com" => {
            let key = point(&mut reader, Curve::P256)?;
            (key, Kind::SkEcdsa { application: reader.string()?.to_vec() })
        }
        _ => return Err(NoKey),
    };
    reader.end()?;
    Ok((key, kind))
}

fn ed25519(reader: &mut Reader<'_>) -> Result<PKey<Public>, NoKey> {
    Ok(PKey::public_key_from_raw_bytes(reader.string()?, Id::ED25519)?)
}

fn point(reader: &mut Reader<'_>, curve: Curve) -> Result<PKey<Public>, NoKey> {
    // The curve's name, which the model held against the key's type.
    reader.string()?;
    let group = EcGroup::from_curve_name(curve.nid())?;
    let mut context = BigNumContext::new()?;
    let point = EcPoint::from_bytes(&group, reader.string()?, &mut context)?;
    let key = EcKey::from_public_key(&group, &point)?;
    key.check_key()?;
    Ok(PKey::from_ec_key(key)?)
}

fn rsa(reader: &mut Reader<'_>) -> Result<(PKey<Public>, Kind), NoKey> {
    let exponent = BigNum::from_slice(reader.string()?)?;
    let modulus = BigNum::from_slice(reader.string()?)?;
    if exponent.num_bits() > MAX_EXPONENT_BITS || modulus.num_bits() > MAX_MODULUS_BITS {
        return Err(NoKey);
    }
    let modulus_bytes = usize::try_from(modulus.num_bytes()).map_err(|_| NoKey)?;
    let key = PKey::from_rsa(Rsa::from_public_components(modulus, exponent)?)?;
    Ok((key, Kind::Rsa { modulus_bytes }))
}
