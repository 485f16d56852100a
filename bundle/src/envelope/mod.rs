// SPDX-License-Identifier: MIT OR Apache-2.0
//! The outer layer of an encrypted bundle's signature: for whom is it, and what is in it?
//!
//! A CMS EnvelopedData holds the whole SignedData, encrypted with a key that was encrypted in turn
//! for each recipient (RSA: key transport, RFC 5652 6.2.1; elliptic curves: key agreement, RFC
//! 5753). It comes from strangers and proves nothing: whatever it yields is judged as if it had
//! come unencrypted. Reading is ours alone, so that keys on tokens work as those in files and no
//! second parser sees a structure whose recipients were not counted; writing is OpenSSL's.

mod open;
mod parse;
mod seal;

pub use open::DecryptionIdentity;
pub use parse::{EnvelopeError, RecipientFacts, RecipientKind, RecipientName};
pub use seal::{Recipients, SealError};

pub(crate) use open::open_envelope;
pub(crate) use parse::{Envelope, is_envelope};
