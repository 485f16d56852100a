// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is asked: a request before anybody signed it.

use super::SignedHeaders;
use crate::auth::{DeviceId, FILE_NAME_HEADER, SignedRequest};
use crate::input::{GZIP_MAGIC, ZSTD_MAGIC};
use crate::jobs::JobId;
use crate::protocol::FileName;
use openssl::sha::sha256;

/// The methods that are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Changes.
    Post,
}

impl Method {
    /// Its name in capitals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `X-Config-Filename`.
    pub file_name: Option<String>,
    /// `If-Match`, with its quotes.
    pub if_match: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Call {
    /// A request without a body.
    #[must_use]
    pub fn new(method: Method, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            content_type: None,
            file_name: None,
            if_match: None,
            body: Vec::new(),
        }
    }

    /// A request whose body is a configuration or a bundle, which its sender calls `name`.
    #[must_use]
    pub fn with_file(target: impl Into<String>, name: &str, body: Vec<u8>) -> Self {
        let name = wire_name(name, &body);
        let kind = if name.ends_with(".toml") { "application/toml" } else { BINARY };
        Self {
            content_type: Some(kind.to_owned()),
            file_name: Some(name),
            body,
            ..Self::new(Method::Post, target)
        }
    }

    /// Puts a configuration in force; with a time, the device goes back unless it is confirmed.
    #[must_use]
    pub fn submit(name: &str, body: Vec<u8>, confirm_secs: Option<u32>) -> Self {
        let target = match confirm_secs {
            Some(secs) => format!("/api/config?confirm_within={secs}"),
            None => "/api/config".to_owned(),
        };
        Self::with_file(target, name, body)
    }

    /// Reads the configuration in force.
    #[must_use]
    pub fn export() -> Self {
        Self::new(Method::Get, "/api/config/export")
    }

    /// Confirms that the device is reached.
    #[must_use]
    pub fn confirm(job: &JobId) -> Self {
        Self::new(Method::Post, format!("/api/jobs/{job}/confirm"))
    }

    /// Looks at a job.
    #[must_use]
    pub fn job(job: &JobId) -> Self {
        Self::new(Method::Get, format!("/api/jobs/{job}"))
    }

    /// Asks for a nonce.
    #[must_use]
    pub fn nonce() -> Self {
        Self::new(Method::Get, "/api/nonce")
    }

    /// SHA-256 of the body in hexadecimal.
    #[must_use]
    pub fn body_sha256(&self) -> String {
        hex::encode(sha256(&self.body))
    }

    /// The headers that are the request's own, signed or not.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        [
            ("content-type", &self.content_type),
            (FILE_NAME_HEADER, &self.file_name),
            ("if-match", &self.if_match),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
        .collect()
    }

    /// The bytes to sign; none where a value cannot be part of a request.
    #[must_use]
    pub fn message(&self, device: &DeviceId, nonce: &str) -> Option<Vec<u8>> {
        SignedRequest {
            device,
            nonce,
            method: self.method.name(),
            target: &self.target,
            content_type: self.content_type.as_deref().unwrap_or_default(),
            file_name: self.file_name.as_deref().unwrap_or_default(),
            if_match: self.if_match.as_deref().unwrap_or_default(),
            sha256: &self.body_sha256(),
        }
        .message()
    }

    /// The headers of this request with its signature, as `ssh-keygen` wrote it.
    #[must_use]
    pub fn signed(&self, nonce: &str, armored: &str) -> SignedHeaders {
        SignedHeaders::new(self, nonce, armored)
    }
}

const BINARY: &str = "application/octet-stream";

/// The name under which a file is sent: its own where a header and the device take it, else one
/// that tells the same kind of file.
#[must_use]
pub fn wire_name(name: &str, body: &[u8]) -> String {
    // A header takes ASCII, and the device says which names it takes.
    if name.is_ascii() && FileName::new(name).as_str() == name {
        name.to_owned()
    } else if body.starts_with(&GZIP_MAGIC) {
        "bundle.tar.gz".to_owned()
    } else if body.starts_with(&ZSTD_MAGIC) {
        "bundle.tar.zst".to_owned()
    } else {
        "config.toml".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_header_takes_is_replaced_by_one_of_its_kind() {
        assert_eq!(wire_name("site 7.toml", b""), "site 7.toml");
        assert_eq!(wire_name("größe.toml", b""), "config.toml");
        assert_eq!(wire_name("größe.tgz", &[0x1f, 0x8b, 8]), "bundle.tar.gz");
        assert_eq!(wire_name("a\r\nb", &[0x28, 0xb5, 0x2f, 0xfd]), "bundle.tar.zst");
        assert_eq!(wire_name(" a.toml", b""), "config.toml");
        assert_eq!(wire_name("...", b""), "config.toml");
        assert_eq!(wire_name(&"x".repeat(256), &[0x1f, 0x8b]), "bundle.tar.gz");
        assert_eq!(wire_name("", &[0x1f, 0x8b]), "bundle.tar.gz");
    }

    #[test]
    fn what_is_signed_is_what_is_sent() {
        let mut call = Call::submit("config.toml", b"x".to_vec(), Some(60));
        call.if_match = Some("\"tag\"".to_owned());
        let device = DeviceId::new("0a1b2c3d4e5f").unwrap();
        let text = String::from_utf8(call.message(&device, "n").unwrap()).unwrap();
        for (name, value) in call.headers() {
            let line = if name == FILE_NAME_HEADER { "filename" } else { name.as_str() };
            assert!(text.contains(&format!("\n{line}:{value}\n")), "{text}");
        }
        assert!(text.contains("\nmethod:POST\ntarget:/api/config?confirm_within=60\n"), "{text}");
        assert!(text.ends_with(&format!("\nsha256:{}\n", call.body_sha256())), "{text}");
        call.target = "/a\nsha256:0".to_owned();
        assert_eq!(call.message(&device, "n"), None);
    }
}
