// SPDX-License-Identifier: MIT OR Apache-2.0
//! Certificates and keys that live on a PKCS#11 token: their URIs, and what the token does with
//! them. A private key never leaves its token; it signs, decrypts and agrees on secrets there.

mod pin;
mod token;
mod uri;

pub use token::TokenError;
pub(crate) use token::{TokenKey, TokenKeyKind, is_seen, load_certificate, load_key};
pub use uri::{ObjectType, Pkcs11Uri, Pkcs11UriError};
