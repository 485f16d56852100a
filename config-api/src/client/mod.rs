// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operator's side: what does it ask a device, what does it sign, and what do the answers mean?
//!
//! Values in, values out: whoever uses this brings the connection and the key. What is signed is
//! made by the code that the device verifies with ([`crate::auth::SignedRequest`]), so the two
//! cannot come to differ.

mod address;
mod answers;
mod call;
mod difference;
mod refusal;
mod signed;

pub use address::{AddressError, DEFAULT_PORT, DeviceAddress};
pub use answers::{
    Accepted, IssuedNonce, RequestFileError, is_object, parse_accepted, parse_job, parse_nonce,
    parse_request_file,
};
pub use call::{Call, Method};
pub use difference::{
    Difference, FileAct, FileChange, PayloadDigests, ServiceAct, ServiceChange, Side, compare,
    payload_digests,
};
pub use refusal::{Advice, AdviceClass, NOT_OURS, Refusal};
pub use signed::{SignedHeaders, SignedHeadersError};
