// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a signature say of itself, for people? Nothing here is judged or believed.

use crate::{LibraryFault, SignatureError};

/// The certificates that came with a signature, as OpenSSL prints them.
///
/// # Errors
/// [`SignatureError`] when the signature is none or does not parse.
pub fn certificates_text(cms: &[u8]) -> Result<String, SignatureError> {
    let certificates = crate::cms::certificates(cms)?;
    let mut text = String::new();
    for certificate in certificates {
        let library = |cause| SignatureError::Library(LibraryFault::from(cause));
        text.push_str(&String::from_utf8_lossy(&certificate.to_text().map_err(library)?));
    }
    Ok(text)
}
