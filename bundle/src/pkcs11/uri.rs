// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which object on which token does this URI name?
//!
//! RFC 7512: `pkcs11:` then `name=value` separated by `;`, then optionally `?` and `name=value`
//! separated by `&`; values are percent-encoded. An attribute that we would have to match and
//! cannot is refused: ignoring it could choose another key. Attributes of vendors in the query
//! (`x-…`) are ignored, as the RFC demands.

use crate::Secret;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Longest URI read; far longer than any label, and short enough to show.
const MAX_URI_BYTES: usize = 4096;

/// Why a text is no URI of a token's object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs11UriError {
    /// It does not begin with `pkcs11:`.
    #[error("PKCS#11 URI does not begin with pkcs11:")]
    Scheme,
    /// Longer than any URI we read.
    #[error("PKCS#11 URI has more than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// An attribute without `=`, or a character that must be percent-encoded.
    #[error("PKCS#11 URI is malformed at byte {at}")]
    Malformed {
        /// Where.
        at: usize,
    },
    /// An attribute that we do not know or cannot match.
    #[error("PKCS#11 URI has the unsupported attribute {name}")]
    Unsupported {
        /// Its name.
        name: String,
    },
    /// An attribute that is there twice.
    #[error("PKCS#11 URI has the attribute {name} more than once")]
    Twice {
        /// Its name.
        name: String,
    },
    /// A value that its attribute cannot have.
    #[error("PKCS#11 URI has an impossible value of {name}")]
    Value {
        /// Its name.
        name: String,
    },
}

/// What sort of object is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectType {
    /// `type=cert`.
    Certificate,
    /// `type=private`.
    PrivateKey,
    /// Another one, which nothing here uses.
    Other,
}

/// An object on a token.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    /// Label of the token.
    pub token: Option<String>,
    /// Maker of the token.
    pub manufacturer: Option<String>,
    /// Model of the token.
    pub model: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// Number of the slot it is in.
    pub slot_id: Option<u64>,
    /// Label of the object.
    pub object: Option<String>,
    /// Identifier of the object.
    pub id: Option<Vec<u8>>,
    /// Sort of the object.
    pub object_type: Option<ObjectType>,
    /// The PIN itself.
    pub pin_value: Option<Secret>,
    /// A file with the PIN.
    pub pin_source: Option<PathBuf>,
    /// The module to load.
    pub module_path: Option<PathBuf>,
}

impl fmt::Debug for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Uri({self})")
    }
}

/// The part that names the object; without the query, where a PIN may be.
impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        let slot = self.slot_id.map(|slot| slot.to_string());
        let named = [
            ("token", self.token.as_deref()),
            ("manufacturer", self.manufacturer.as_deref()),
            ("model", self.model.as_deref()),
            ("serial", self.serial.as_deref()),
            ("slot-id", slot.as_deref()),
            ("object", self.object.as_deref()),
        ];
        let mut gap = "";
        for (name, value) in named {
            let Some(value) = value else { continue };
            write!(f, "{gap}{name}=")?;
            encode(f, value.as_bytes())?;
            gap = ";";
        }
        if let Some(id) = &self.id {
            write!(f, "{gap}id=")?;
            id.iter().try_for_each(|byte| write!(f, "%{byte:02x}"))?;
            gap = ";";
        }
        match self.object_type {
            Some(ObjectType::Certificate) => write!(f, "{gap}type=cert"),
            Some(ObjectType::PrivateKey) => write!(f, "{gap}type=private"),
            Some(ObjectType::Other) | None => Ok(()),
        }
    }
}

fn encode(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            write!(f, "{}", char::from(*byte))
        }
        _ => write!(f, "%{byte:02x}"),
    })
}

impl Pkcs11Uri {
    /// Whether `text` means to be one.
    #[must_use]
    pub fn is_uri(text: &str) -> bool {
        text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("pkcs11:"))
    }

    /// Whether the URI says which token it means. Only such a token is ever given a PIN: three
    /// wrong ones lock it.
    #[must_use]
    pub fn names_token(&self) -> bool {
        self.token.is_some() || self.serial.is_some() || self.slot_id.is_some()
    }
}

impl FromStr for Pkcs11Uri {
    type Err = Pkcs11UriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !Self::is_uri(text) {
            return Err(Pkcs11UriError::Scheme);
        }
        if text.len() > MAX_URI_BYTES {
            return Err(Pkcs11UriError::TooLong { limit: MAX_URI_BYTES });
        }
        let mut uri = Self::default();
        let body = text.get(7..).unwrap_or_default();
        let (path, query) = match body.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (body, None),
        };
        let mut at = 7;
        let mut parts = |list: &str, separator, query: bool| -> Result<(), Pkcs11UriError> {
            for part in list.split(separator) {
                if !part.is_empty() {
                    uri.attribute(part, at, query)?;
                }
                at += part.len() + 1;
            }
            Ok(())
        };
        parts(path, ';', false)?;
        if let Some(query) = query {
            parts(query, '&', true)?;
        }
        // What was written bare may be escaped where it is shown, three bytes for one, and what is
        // shown must be read again.
        if uri.to_string().len() > MAX_URI_BYTES {
            return Err(Pkcs11UriError::TooLong { limit: MAX_URI_BYTES });
        }
        Ok(uri)
    }
}

impl Pkcs11Uri {
    fn attribute(&mut self, part: &str, at: usize, query: bool) -> Result<(), Pkcs11UriError> {
        let (name, value) = part.split_once('=').ok_or(Pkcs11UriError::Malformed { at })?;
        let owned = || name.to_owned();
        let bytes = decode(value, at + name.len() + 1)?;
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes);
            // A NUL would end the text early for a module written in C.
            text.ok()
                .filter(|text| !text.contains('\0'))
                .ok_or(Pkcs11UriError::Value { name: owned() })
        };
        let twice = match (query, name) {
            (false, "token") => self.token.replace(text(bytes)?).is_some(),
            (false, "manufacturer") => self.manufacturer.replace(text(bytes)?).is_some(),
            (false, "model") => self.model.replace(text(bytes)?).is_some(),
            (false, "serial") => self.serial.replace(text(bytes)?).is_some(),
            (false, "object") => self.object.replace(text(bytes)?).is_some(),
            (false, "id") => self.id.replace(bytes).is_some(),
            (false, "slot-id") => {
                let slot = text(bytes)?.parse();
                let slot = slot.map_err(|_| Pkcs11UriError::Value { name: owned() })?;
                self.slot_id.replace(slot).is_some()
            }
            (false, "type" | "object-type") => {
                let sort = match text(bytes)?.as_str() {
                    "cert" => ObjectType::Certificate,
                    "private" => ObjectType::PrivateKey,
                    "public" | "secret-key" | "data" => ObjectType::Other,
                    _ => return Err(Pkcs11UriError::Value { name: owned() }),
                };
                self.object_type.replace(sort).is_some()
            }
            (true, "pin-value") => self.pin_value.replace(Secret::new(text(bytes)?)).is_some(),
            (true, "pin-source") => {
                let place = text(bytes)?;
                let path = place.strip_prefix("file:").unwrap_or(&place);
                let path = path.strip_prefix("//").unwrap_or(path);
                if !path.starts_with('/') {
                    // RFC 7512 knows programs here too; none is run for a PIN.
                    return Err(Pkcs11UriError::Value { name: owned() });
                }
                self.pin_source.replace(PathBuf::from(path)).is_some()
            }
            (true, "module-path") => {
                self.module_path.replace(PathBuf::from(text(bytes)?)).is_some()
            }
            (true, vendor) if vendor.starts_with("x-") => false,
            _ => return Err(Pkcs11UriError::Unsupported { name: owned() }),
        };
        if twice {
            return Err(Pkcs11UriError::Twice { name: owned() });
        }
        Ok(())
    }
}

fn decode(text: &str, at: usize) -> Result<Vec<u8>, Pkcs11UriError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let malformed = Pkcs11UriError::Malformed { at: at + (text.len() - rest.len()) };
        rest = match byte {
            b'%' => {
                let (pair, tail) = tail.split_at_checked(2).ok_or(malformed.clone())?;
                out.extend(hex::decode(pair).map_err(|_| malformed)?);
                tail
            }
            0..=0x20 | 0x7f => return Err(malformed),
            other => {
                out.push(*other);
                tail
            }
        };
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Pkcs11Uri, Pkcs11UriError> {
        text.parse()
    }

    #[test]
    fn every_part_of_a_full_uri_is_read() {
        let uri = parse(
            "pkcs11:token=my%20token;manufacturer=M;model=X;serial=12;slot-id=3;object=a%3bb;\
             id=%00%ff;type=private?pin-value=12%3634&module-path=/lib/m.so&x-vendor=1",
        )
        .unwrap();
        assert_eq!(uri.token.as_deref(), Some("my token"));
        assert_eq!(uri.object.as_deref(), Some("a;b"));
        assert_eq!(uri.id.as_deref(), Some(&[0, 0xff][..]));
        assert_eq!((uri.slot_id, uri.object_type), (Some(3), Some(ObjectType::PrivateKey)));
        assert_eq!(uri.pin_value, Some(Secret::new("12634")));
        assert_eq!(uri.module_path, Some(PathBuf::from("/lib/m.so")));
        let shown = format!("{uri} {uri:?}");
        assert!(!shown.contains("12634") && !shown.contains("pin"), "{shown}");
    }

    #[test]
    fn each_fault_has_its_refusal() {
        let name = |name: &str| name.to_owned();
        for (text, expected) in [
            ("pkcs12:token=a", Pkcs11UriError::Scheme),
            ("pkcs11:token", Pkcs11UriError::Malformed { at: 7 }),
            ("pkcs11:token=%4", Pkcs11UriError::Malformed { at: 13 }),
            ("pkcs11:token=%zz", Pkcs11UriError::Malformed { at: 13 }),
            ("pkcs11:token=a b", Pkcs11UriError::Malformed { at: 14 }),
            ("pkcs11:token=a;token=b", Pkcs11UriError::Twice { name: name("token") }),
            ("pkcs11:token=a%00b", Pkcs11UriError::Value { name: name("token") }),
            ("pkcs11:slot-id=x", Pkcs11UriError::Value { name: name("slot-id") }),
            ("pkcs11:type=secret", Pkcs11UriError::Value { name: name("type") }),
            ("pkcs11:colour=red", Pkcs11UriError::Unsupported { name: name("colour") }),
            ("pkcs11:pin-value=1", Pkcs11UriError::Unsupported { name: name("pin-value") }),
            ("pkcs11:?module-name=m", Pkcs11UriError::Unsupported { name: name("module-name") }),
            ("pkcs11:?pin-source=|cat", Pkcs11UriError::Value { name: name("pin-source") }),
        ] {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
        let long = format!("pkcs11:token={}", "a".repeat(MAX_URI_BYTES));
        assert_eq!(parse(&long), Err(Pkcs11UriError::TooLong { limit: MAX_URI_BYTES }));
    }

    #[test]
    fn what_is_too_long_once_it_is_escaped_is_refused_at_once() {
        let of = |count| format!("pkcs11:object={}", "ö".repeat(count));
        let most = parse(&of(500)).unwrap();
        assert_eq!(parse(&most.to_string()), Ok(most));
        assert_eq!(parse(&of(1000)), Err(Pkcs11UriError::TooLong { limit: MAX_URI_BYTES }));
    }

    #[test]
    fn only_label_serial_and_slot_name_a_token() {
        for (text, named) in [
            ("pkcs11:token=a", true),
            ("pkcs11:serial=a", true),
            ("pkcs11:slot-id=1", true),
            ("pkcs11:object=a;manufacturer=SoftHSM;model=x", false),
            ("pkcs11:", false),
        ] {
            assert_eq!(parse(text).unwrap().names_token(), named, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_is_shown_is_read_again(token in "[^\0]{0,12}", object in "[^\0]{0,12}", id: Vec<u8>) {
            let uri = Pkcs11Uri {
                token: Some(token),
                object: Some(object),
                id: Some(id),
                ..Pkcs11Uri::default()
            };
            prop_assert_eq!(parse(&uri.to_string()), Ok(uri));
        }

        #[test]
        fn any_text_is_judged(text in "pkcs11:.{0,60}") {
            let _ = parse(&text);
        }
    }
}
