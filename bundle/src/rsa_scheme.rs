// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does an RSA recipient's key travel, and which hash does a key derivation use? The names
//! that CMS has for it (RFC 8017 A.2.1, RFC 5753 7.1.4) as values.

use der::asn1::{ObjectIdentifier, OctetString};
use der::{Any, Sequence};
use openssl::hash::MessageDigest;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_OAEP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.7");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const LABEL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.9");

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub(crate) fn digest(self) -> MessageDigest {
        match self {
            Self::Sha1 => MessageDigest::sha1(),
            Self::Sha224 => MessageDigest::sha224(),
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
            Self::Sha512 => MessageDigest::sha512(),
        }
    }

    fn of(oid: ObjectIdentifier) -> Option<Self> {
        Some(match oid.to_string().as_str() {
            "1.3.14.3.2.26" => Self::Sha1,
            "2.16.840.1.101.3.4.2.4" => Self::Sha224,
            "2.16.840.1.101.3.4.2.1" => Self::Sha256,
            "2.16.840.1.101.3.4.2.2" => Self::Sha384,
            "2.16.840.1.101.3.4.2.3" => Self::Sha512,
            _ => return None,
        })
    }

    /// The hash of a `dhSinglePass-stdDH-…kdf-scheme`.
    pub(crate) fn of_key_agreement(oid: ObjectIdentifier) -> Option<Self> {
        Some(match oid.to_string().as_str() {
            "1.3.133.16.840.63.0.2" => Self::Sha1,
            "1.3.132.1.11.0" => Self::Sha224,
            "1.3.132.1.11.1" => Self::Sha256,
            "1.3.132.1.11.2" => Self::Sha384,
            "1.3.132.1.11.3" => Self::Sha512,
            _ => return None,
        })
    }
}

/// How a key was encrypted to an RSA key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RsaScheme {
    Pkcs1,
    Oaep { hash: Hash, mask: Hash, label: Vec<u8> },
}

#[derive(Sequence)]
struct Algorithm {
    oid: ObjectIdentifier,
    parameters: Option<Any>,
}

#[derive(Sequence)]
struct OaepParameters {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    hash: Option<Algorithm>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    mask: Option<Algorithm>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    label: Option<Algorithm>,
}

impl RsaScheme {
    /// The scheme that an AlgorithmIdentifier names; `None` for one we do not know.
    pub(crate) fn of(oid: ObjectIdentifier, parameters: Option<&Any>) -> Option<Self> {
        if oid == RSA {
            return Some(Self::Pkcs1);
        }
        if oid != RSA_OAEP {
            return None;
        }
        let oaep: OaepParameters = parameters?.decode_as().ok()?;
        let hash = match oaep.hash {
            Some(hash) => Hash::of(hash.oid)?,
            None => Hash::Sha1,
        };
        let mask = match oaep.mask {
            Some(mask) if mask.oid == MGF1 => {
                Hash::of(mask.parameters?.decode_as::<Algorithm>().ok()?.oid)?
            }
            Some(_) => return None,
            None => Hash::Sha1,
        };
        let label = match oaep.label {
            Some(label) if label.oid == LABEL => {
                label.parameters?.decode_as::<OctetString>().ok()?.into_bytes()
            }
            Some(_) => return None,
            None => Vec::new(),
        };
        Some(Self::Oaep { hash, mask, label })
    }

    #[cfg(test)]
    fn of_der(der: &[u8]) -> Option<Self> {
        use der::Decode;
        let algorithm = Algorithm::from_der(der).ok()?;
        Self::of(algorithm.oid, algorithm.parameters.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oaep_has_sha1_where_it_says_nothing_and_what_it_says_otherwise() {
        let plain = hex::decode("300d06092a864886f70d0101010500").unwrap();
        assert_eq!(RsaScheme::of_der(&plain), Some(RsaScheme::Pkcs1));
        let short = hex::decode("300d06092a864886f70d0101073000").unwrap();
        let oaep = |hash, mask| RsaScheme::Oaep { hash, mask, label: Vec::new() };
        assert_eq!(RsaScheme::of_der(&short), Some(oaep(Hash::Sha1, Hash::Sha1)));
        // As `openssl cms -encrypt -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256` writes.
        let full = "303c06092a864886f70d010107302fa00f300d06096086480165030402010500\
                    a11c301a06092a864886f70d010108300d06096086480165030402010500";
        let full = hex::decode(full).unwrap();
        assert_eq!(RsaScheme::of_der(&full), Some(oaep(Hash::Sha256, Hash::Sha256)));
        let pss = hex::decode("300d06092a864886f70d01010a3000").unwrap();
        assert_eq!(RsaScheme::of_der(&pss), None);
    }
}
