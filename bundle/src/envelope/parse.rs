// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads the structure of an EnvelopedData and counts its recipients. Decrypts nothing.
//!
//! ```text
//! ContentInfo { id-envelopedData, [0] SEQUENCE {
//!     version, [0] originatorInfo?, SET of recipient infos:
//!         SEQUENCE key transport | [1] key agreement (several inner keys) | [2] [3] [4] others,
//!     SEQUENCE { id-data, cipher, [0] ciphertext }, [1] unprotectedAttrs? } }
//! ```

use crate::LibraryFault;
use crate::cms::{ID_DATA, ID_ENVELOPED_DATA};
use cms::cert::IssuerAndSerialNumber;
use cms::content_info::ContentInfo;
use cms::enveloped_data::{
    EncryptedContentInfo, KeyAgreeRecipientIdentifier, KeyAgreeRecipientInfo,
    KeyTransRecipientInfo, RecipientIdentifier,
};
use der::asn1::{AnyRef, ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode, Reader, SliceReader, Tag, Tagged};
use openssl::symm::Cipher;

/// Most recipients of all kinds, the inner keys of an agreement counted one by one. Each may cost
/// a private-key operation, and a raised `max-bundle-signature-size` would let in any number.
pub(crate) const MAX_RECIPIENTS: usize = 10_000;

/// Why an EnvelopedData yields nothing.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not DER, or not this structure.
    #[error("encrypted signature is not a CMS EnvelopedData in DER")]
    Malformed(#[source] LibraryFault),
    /// More recipients than any bundle has.
    #[error("encrypted signature has more than {limit} recipients")]
    TooManyRecipients {
        /// The limit.
        limit: usize,
    },
    /// A cipher that we do not have.
    #[error("encrypted signature uses the cipher {found}; AES in CBC mode is supported")]
    Cipher {
        /// The object identifier found.
        found: String,
    },
    /// There is no ciphertext.
    #[error("encrypted signature has no content")]
    NoContent,
    /// None of the recipients is this key.
    #[error("key does not decrypt the CMS EnvelopedData: none of {recipients} recipients fits")]
    NoKeyFits {
        /// How many there are.
        recipients: usize,
        /// What the last attempt said, when one was made.
        #[source]
        cause: Option<LibraryFault>,
    },
    /// The bundle is not encrypted, and was to be.
    #[error("key given for decryption has no use: the signature is not encrypted")]
    NotEncrypted,
}

/// How a recipient got the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientKind {
    /// Encrypted to an RSA key.
    KeyTransport,
    /// Agreed on with a key on an elliptic curve.
    KeyAgreement,
    /// By another method, which RAUC does not write.
    Other,
}

/// How a recipient is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientName {
    /// By its certificate.
    Certificate {
        /// Distinguished name of the issuer.
        issuer: String,
        /// Serial number, upper-case hex.
        serial: String,
    },
    /// By the identifier of its key, upper-case hex.
    KeyId(String),
    /// Not at all.
    Unnamed,
}

/// One recipient as the structure names it, for people: nothing of it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientFacts {
    /// How it got the key.
    pub kind: RecipientKind,
    /// Who it is.
    pub name: RecipientName,
}

/// A recipient, as the structure says.
pub(crate) enum Recipient {
    Transport(KeyTransRecipientInfo),
    Agreement(KeyAgreeRecipientInfo),
    Other,
}

/// A well-formed EnvelopedData; nothing in it is believed.
pub(crate) struct Envelope {
    pub(crate) recipients: Vec<Recipient>,
    /// Of all kinds, with the inner ones.
    pub(crate) count: usize,
    pub(crate) cipher: Cipher,
    pub(crate) iv: [u8; 16],
    pub(crate) ciphertext: Vec<u8>,
}

/// Whether `cms` says that it is one.
pub(crate) fn is_envelope(cms: &[u8]) -> bool {
    content_type(cms) == Some(ID_ENVELOPED_DATA)
}

/// The declared content type; reads no further.
pub(crate) fn content_type(cms: &[u8]) -> Option<ObjectIdentifier> {
    let outer = AnyRef::from_der(cms).ok()?;
    let mut reader = SliceReader::new(outer.value()).ok()?;
    ObjectIdentifier::decode(&mut reader).ok()
}

fn malformed(cause: der::Error) -> EnvelopeError {
    EnvelopeError::Malformed(cause.into())
}

impl Envelope {
    pub(crate) fn parse(cms: &[u8]) -> Result<Self, EnvelopeError> {
        let wrong = || EnvelopeError::Malformed(LibraryFault::of_words("unexpected structure"));
        let info = ContentInfo::from_der(cms).map_err(malformed)?;
        if info.content_type != ID_ENVELOPED_DATA || info.content.tag() != Tag::Sequence {
            return Err(wrong());
        }
        let mut reader = SliceReader::new(info.content.value()).map_err(malformed)?;
        let _version: u8 = reader.decode().map_err(malformed)?;
        let mut part: AnyRef<'_> = reader.decode().map_err(malformed)?;
        if part.tag().is_context_specific() {
            // Certificates of the originator, of which we need none.
            part = reader.decode().map_err(malformed)?;
        }
        if part.tag() != Tag::Set {
            return Err(wrong());
        }
        let (recipients, count) = parse_recipients(part.value())?;
        let content: EncryptedContentInfo = reader.decode().map_err(malformed)?;
        if !reader.is_finished() {
            let _attributes: AnyRef<'_> = reader.decode().map_err(malformed)?;
        }
        reader.finish(()).map_err(malformed)?;
        if content.content_type != ID_DATA {
            return Err(wrong());
        }
        let algorithm = content.content_enc_alg;
        let cipher = match algorithm.oid.to_string().as_str() {
            "2.16.840.1.101.3.4.1.2" => Cipher::aes_128_cbc(),
            "2.16.840.1.101.3.4.1.22" => Cipher::aes_192_cbc(),
            "2.16.840.1.101.3.4.1.42" => Cipher::aes_256_cbc(),
            other => return Err(EnvelopeError::Cipher { found: other.to_owned() }),
        };
        let iv = algorithm.parameters.ok_or_else(wrong)?;
        let iv: OctetString = iv.decode_as().map_err(malformed)?;
        let iv = iv.as_bytes().try_into().map_err(|_| wrong())?;
        let ciphertext = content.encrypted_content.ok_or(EnvelopeError::NoContent)?.into_bytes();
        Ok(Self { recipients, count, cipher, iv, ciphertext })
    }

    /// Who can decrypt it, for people.
    pub(crate) fn facts(&self) -> Vec<RecipientFacts> {
        let mut facts = Vec::new();
        for recipient in &self.recipients {
            match recipient {
                Recipient::Transport(info) => facts.push(RecipientFacts {
                    kind: RecipientKind::KeyTransport,
                    name: match &info.rid {
                        RecipientIdentifier::IssuerAndSerialNumber(name) => by_certificate(name),
                        RecipientIdentifier::SubjectKeyIdentifier(key) => by_key(key.0.as_bytes()),
                    },
                }),
                Recipient::Agreement(info) => {
                    facts.extend(info.recipient_enc_keys.iter().map(|key| RecipientFacts {
                        kind: RecipientKind::KeyAgreement,
                        name: match &key.rid {
                            KeyAgreeRecipientIdentifier::IssuerAndSerialNumber(name) => {
                                by_certificate(name)
                            }
                            KeyAgreeRecipientIdentifier::RKeyId(id) => {
                                by_key(id.subject_key_identifier.0.as_bytes())
                            }
                        },
                    }));
                }
                Recipient::Other => facts.push(RecipientFacts {
                    kind: RecipientKind::Other,
                    name: RecipientName::Unnamed,
                }),
            }
        }
        facts
    }
}

fn by_certificate(name: &IssuerAndSerialNumber) -> RecipientName {
    let issuer = name.issuer.to_string();
    RecipientName::Certificate {
        // Control characters in a name could rewrite the terminal that shows it.
        issuer: issuer.chars().map(|c| if c.is_control() { '?' } else { c }).collect(),
        serial: hex::encode_upper(name.serial_number.as_bytes()),
    }
}

fn by_key(id: &[u8]) -> RecipientName {
    RecipientName::KeyId(hex::encode_upper(id))
}

fn parse_recipients(set: &[u8]) -> Result<(Vec<Recipient>, usize), EnvelopeError> {
    let mut reader = SliceReader::new(set).map_err(malformed)?;
    let (mut recipients, mut count) = (Vec::new(), 0_usize);
    // One by one instead of by the library's type for sets, which sorts by insertion.
    while !reader.is_finished() {
        let one: AnyRef<'_> = reader.decode().map_err(malformed)?;
        #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum of every tag")]
        let recipient = match one.tag() {
            Tag::Sequence => Recipient::Transport(retagged(&one).map_err(malformed)?),
            Tag::ContextSpecific { number, .. } if number.value() == 1 => {
                Recipient::Agreement(retagged(&one).map_err(malformed)?)
            }
            _ => Recipient::Other,
        };
        count += match &recipient {
            Recipient::Agreement(info) => info.recipient_enc_keys.len().max(1),
            Recipient::Transport(_) | Recipient::Other => 1,
        };
        if count > MAX_RECIPIENTS {
            return Err(EnvelopeError::TooManyRecipients { limit: MAX_RECIPIENTS });
        }
        recipients.push(recipient);
    }
    Ok((recipients, count))
}

/// The value of `one`, whose own tag stands for that of a SEQUENCE.
fn retagged<T>(one: &AnyRef<'_>) -> der::Result<T>
where
    T: for<'a> Decode<'a>,
{
    T::from_der(&Any::new(Tag::Sequence, one.value())?.to_der()?)
}
