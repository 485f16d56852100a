// SPDX-License-Identifier: MIT OR Apache-2.0
//! How are values of other crates kept over a restart? As the texts that they print themselves.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};
use std::fmt::Display;
use std::str::FromStr;

/// Longest of them.
const MAX_TEXT_BYTES: usize = 128;

/// A slot.
pub(super) mod text {
    use super::{Deserializer, Display, FromStr, Serializer, from_text};

    pub fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        from_text(from)
    }
}

/// A digest that may be missing.
pub(super) mod digest {
    use super::{Deserialize, Deserializer, Serializer};
    use serde::de::Error as _;
    use storage::Digest;

    pub fn serialize<S: Serializer>(value: &Option<Digest>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Digest>, D::Error> {
        let text: Option<String> = Option::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// A length that may be missing.
pub(super) mod length {
    use super::{Deserialize, Deserializer, Serializer};
    use storage::ByteLen;

    pub fn serialize<S: Serializer>(value: &Option<ByteLen>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_u64(value.get()),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ByteLen>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(ByteLen::new))
    }
}

fn from_text<'de, T: FromStr, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    if text.len() > MAX_TEXT_BYTES {
        return Err(D::Error::custom("longer than any such text"));
    }
    text.parse().map_err(|_| D::Error::custom("not as it was written"))
}
