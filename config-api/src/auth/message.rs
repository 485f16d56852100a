// SPDX-License-Identifier: MIT OR Apache-2.0
//! What exactly does an administrator sign? One line for each thing that a request means, so that
//! none of them can be exchanged: not the method, not the target with its query, not the file's
//! name, not the device.
//!
//! ```text
//! atomixos-reapply-v2
//! device:0a1b2c3d4e5f
//! nonce:…
//! method:PUT
//! target:/api/config/users/guest
//! content-type:application/json
//! filename:
//! if-match:
//! sha256:…64 hexadecimal digits of the body…
//! ```
//!
//! Every line ends with a line feed, the last one too; a header that the request lacks leaves its
//! line's value empty. The first version (the reference's) bound nonce, path and body only, and is
//! refused: it has another first line.

use std::fmt;

/// The purpose that `ssh-keygen -Y sign -n` is given; a signature for another one is refused.
pub const NAMESPACE: &str = "atomixos-reapply";

/// Header of the file's name.
pub const FILE_NAME_HEADER: &str = "x-config-filename";

/// Longest value of a line.
pub const MAX_FIELD_BYTES: usize = 2048;

const FIRST_LINE: &str = "atomixos-reapply-v2";

/// Which device is meant. A nonce that another device issued is of no use here, even when somebody
/// in between shows it to the operator as this one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceId(String);

impl DeviceId {
    /// Takes 1 to 64 letters, digits and `-_.:`, as on the device's label.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        ((1..=64).contains(&text.len()) && text.bytes().all(known)).then(|| Self(text.to_owned()))
    }

    /// Takes what somebody typed or read off a label. A hardware address is one, however its digits
    /// are grouped and written: what is signed has twelve small digits in a row. What has colons
    /// and is no hardware address is none; any other name is one as it is.
    #[must_use]
    pub fn typed(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(digits) = hardware_address(text) {
            return Some(Self(digits));
        }
        if text.contains(':') { None } else { Self::new(text) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `0A:1B:2C:3D:4E:5F`, `0a-1b-2c-3d-4e-5f`, `0a1b.2c3d.4e5f` or the digits alone.
fn hardware_address(text: &str) -> Option<String> {
    let digits = match text.chars().find(|letter| !letter.is_ascii_hexdigit()) {
        None => text.to_owned(),
        Some(mark @ (':' | '-' | '.')) => {
            let groups: Vec<&str> = text.split(mark).collect();
            let size = if groups.len() == 3 { 4 } else { 2 };
            groups.iter().all(|group| group.len() == size).then(|| groups.concat())?
        }
        Some(_) => return None,
    };
    let is_one = digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| digits.to_ascii_lowercase())
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request, as far as its signature is about it. Values as they travel: the target is not
/// decoded, since two decoders could differ.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'r> {
    /// The device.
    pub device: &'r DeviceId,
    /// The nonce.
    pub nonce: &'r str,
    /// The method, in capitals.
    pub method: &'r str,
    /// Path and query.
    pub target: &'r str,
    /// The header `Content-Type`, or nothing.
    pub content_type: &'r str,
    /// The header `X-Config-Filename`, or nothing.
    pub file_name: &'r str,
    /// The header `If-Match`, or nothing.
    pub if_match: &'r str,
    /// SHA-256 of the body, 64 small hexadecimal digits.
    pub sha256: &'r str,
}

impl SignedRequest<'_> {
    /// The bytes that are signed; none when a value could not stand in a line of its own.
    #[must_use]
    pub fn message(&self) -> Option<Vec<u8>> {
        let lines = [
            ("device", self.device.as_str()),
            ("nonce", self.nonce),
            ("method", self.method),
            ("target", self.target),
            ("content-type", self.content_type),
            ("filename", self.file_name),
            ("if-match", self.if_match),
            ("sha256", self.sha256),
        ];
        let mut message = format!("{FIRST_LINE}\n");
        for (name, value) in lines {
            // Space at an end would be lost in a header on its way, and a line's end would let a
            // value pass for the next line.
            let is_line = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            if !is_line || value.len() > MAX_FIELD_BYTES || value.trim_ascii() != value {
                return None;
            }
            message.push_str(name);
            message.push(':');
            message.push_str(value);
            message.push('\n');
        }
        Some(message.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_has_one_form_however_it_is_written() {
        for text in [
            "0a1b2c3d4e5f",
            "0A1B2C3D4E5F",
            "0A:1B:2C:3D:4E:5F",
            "0a-1b-2c-3d-4e-5f",
            "0a1b.2c3d.4e5f",
            " 0a:1b:2c:3d:4e:5f\n",
        ] {
            assert_eq!(DeviceId::typed(text).unwrap().as_str(), "0a1b2c3d4e5f", "{text}");
        }
        for text in ["gw-7", "Gate.Hall_2", "0a1b2c3d4e5", "0a1b2c3d4e5f0"] {
            assert_eq!(DeviceId::typed(text).unwrap().as_str(), text);
        }
        for text in [
            "",
            "0a:1b:2c:3d:4e",
            "0a:1b:2c:3d:4e:5g",
            "0a:1b:2c:3d:4e5:f",
            "0a:1b-2c:3d-4e:5f",
            "a:b",
            "gate hall",
            "größe",
        ] {
            assert_eq!(DeviceId::typed(text), None, "{text}");
        }
    }
}
