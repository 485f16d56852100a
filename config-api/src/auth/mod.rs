// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who asks? A request to a provisioned device is believed when one of its administrators signed
//! it with an SSH key: this method, this target, this body, on this device, once.
//!
//! All of it is decided from the request's head, before a byte of its body is read: the digest of
//! the body is claimed in a header and signed, so that the body only has to keep the promise.
//! The order is from cheap to dear ([`authenticate`]); a stranger without a key costs one look
//! into two tables, never a signature's arithmetic, and never a byte of memory beyond the head.
//! No clock and no randomness of its own: both are arguments.

mod armor;
mod error;
mod guard;
mod message;
mod nonce;
mod signers;
mod verifying_key;
mod wire;

pub use armor::{SshSignature, parse_armored};
pub use error::{Denied, KeyError, NonceRefused, SignatureError};
pub use guard::{Body, Claim, DIGEST_HEADER, SIGNATURE_HEADER, Verified, authenticate};
pub(crate) use guard::{NONCE_HEADER, signature_header};
pub use message::{DeviceId, NAMESPACE, SignedRequest};
pub(crate) use message::{FILE_NAME_HEADER, MAX_FIELD_BYTES};
pub use nonce::{ClientKey, NONCE_TTL_SECS, Nonce, NonceStore, Uptime};
pub use signers::AdminSigners;
pub use verifying_key::VerifyingKey;
