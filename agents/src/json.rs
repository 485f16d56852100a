// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does this JSON say, and could it keep its reader busy?
//!
//! For answers of servers. Depth and number of values are counted while the text is read, before
//! anything is kept; a member that stands twice is refused, since two readers would take different
//! ones. Types are strict: text is no number, `7.0` is no whole number. Length is the caller's
//! affair: it knows how much it fetches.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// What a text may be made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonLimits {
    /// Objects and lists inside each other.
    pub depth: usize,
    /// Values of all kinds, members of objects and of lists included.
    pub values: usize,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    /// `null`.
    Null,
    /// `true`, `false`.
    Truth(bool),
    /// A number from 0 on without a fraction.
    Whole(u64),
    /// Any other number; nobody here asks for one.
    OtherNumber,
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Members(BTreeMap<String, Self>),
}

/// Why a text says nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// No JSON, or beyond the limits; the cause names line and column.
    #[error("cannot read it as JSON")]
    Text(#[source] serde_json::Error),
    /// A value has another type.
    #[error("{place} is {found} where {expected} is needed")]
    Type {
        /// Which.
        place: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A member must be there.
    #[error("{place} is missing")]
    Missing {
        /// Which.
        place: String,
    },
    /// A member means nothing.
    #[error("{place} has a member {name:?}, which is not known")]
    Unknown {
        /// Of what.
        place: String,
        /// Its name, cut short.
        name: String,
    },
    /// A value breaks a rule of its own.
    #[error("{place} {rule}")]
    Value {
        /// Which.
        place: String,
        /// What is wrong with it.
        rule: &'static str,
    },
}

/// Letters of a stranger's name that are repeated in a message.
const SHOWN_LETTERS: usize = 40;

impl Json {
    /// Reads a text.
    pub fn parse(text: &[u8], limits: JsonLimits) -> Result<Self, JsonError> {
        let mut values = limits.values;
        let seed = Seed { limits, depth: limits.depth, values: &mut values };
        let mut reader = serde_json::Deserializer::from_slice(text);
        let read = seed.deserialize(&mut reader).map_err(JsonError::Text)?;
        reader.end().map_err(JsonError::Text)?;
        Ok(read)
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Truth(_) => "a truth value",
            Self::Whole(_) => "a whole number",
            Self::OtherNumber => "a number that is negative or has a fraction",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Members(_) => "an object",
        }
    }
}

/// A value and where it stands, for messages: `rollout.percent`.
#[derive(Clone, Debug)]
pub(crate) struct At<'a> {
    value: &'a Json,
    place: String,
}

impl<'a> At<'a> {
    /// The outermost value, which messages call `name`.
    pub fn root(value: &'a Json, name: &str) -> Self {
        Self { value, place: name.to_owned() }
    }

    fn wrong_type(&self, expected: &'static str) -> JsonError {
        JsonError::Type { place: self.place.clone(), expected, found: self.value.kind() }
    }

    /// This value breaks a rule.
    pub fn breaks(&self, rule: &'static str) -> JsonError {
        JsonError::Value { place: self.place.clone(), rule }
    }

    fn object(&self) -> Result<&'a BTreeMap<String, Json>, JsonError> {
        match self.value {
            Json::Members(members) => Ok(members),
            Json::Null
            | Json::Truth(_)
            | Json::Whole(_)
            | Json::OtherNumber
            | Json::Text(_)
            | Json::List(_) => Err(self.wrong_type("an object")),
        }
    }

    /// Refuses members that are not `known`; those that begin with `x-` are for others and free.
    pub fn only(&self, known: &[&str]) -> Result<(), JsonError> {
        let strange = |name: &&String| !known.contains(&name.as_str()) && !name.starts_with("x-");
        match self.object()?.keys().find(strange) {
            None => Ok(()),
            Some(name) => Err(JsonError::Unknown {
                place: self.place.clone(),
                name: name.chars().take(SHOWN_LETTERS).collect(),
            }),
        }
    }

    /// A member that may be absent. `null` is a value, not its absence.
    pub fn find(&self, name: &str) -> Result<Option<Self>, JsonError> {
        let place = format!("{}.{name}", self.place);
        Ok(self.object()?.get(name).map(|value| Self { value, place }))
    }

    /// A member that must be there.
    pub fn get(&self, name: &str) -> Result<Self, JsonError> {
        let missing = || JsonError::Missing { place: format!("{}.{name}", self.place) };
        self.find(name)?.ok_or_else(missing)
    }

    /// Its text.
    pub fn text(&self) -> Result<&'a str, JsonError> {
        match self.value {
            Json::Text(text) => Ok(text),
            Json::Null
            | Json::Truth(_)
            | Json::Whole(_)
            | Json::OtherNumber
            | Json::List(_)
            | Json::Members(_) => Err(self.wrong_type("text")),
        }
    }

    /// Its number.
    pub fn whole(&self) -> Result<u64, JsonError> {
        match self.value {
            Json::Whole(number) => Ok(*number),
            Json::Null
            | Json::Truth(_)
            | Json::OtherNumber
            | Json::Text(_)
            | Json::List(_)
            | Json::Members(_) => Err(self.wrong_type("a whole number")),
        }
    }

    /// Whether it is true.
    pub fn truth(&self) -> Result<bool, JsonError> {
        match self.value {
            Json::Truth(truth) => Ok(*truth),
            Json::Null
            | Json::Whole(_)
            | Json::OtherNumber
            | Json::Text(_)
            | Json::List(_)
            | Json::Members(_) => Err(self.wrong_type("true or false")),
        }
    }

    /// What is in the list.
    pub fn list(&self) -> Result<Vec<Self>, JsonError> {
        match self.value {
            Json::List(values) => Ok(values
                .iter()
                .enumerate()
                .map(|(at, value)| Self { value, place: format!("{}[{at}]", self.place) })
                .collect()),
            Json::Null
            | Json::Truth(_)
            | Json::Whole(_)
            | Json::OtherNumber
            | Json::Text(_)
            | Json::Members(_) => Err(self.wrong_type("a list")),
        }
    }

    /// Whether it says nothing: `null`, `false` or an empty text.
    pub fn says_nothing(&self) -> bool {
        match self.value {
            Json::Null | Json::Truth(false) => true,
            Json::Text(text) => text.is_empty(),
            Json::Truth(true)
            | Json::Whole(_)
            | Json::OtherNumber
            | Json::List(_)
            | Json::Members(_) => false,
        }
    }
}

/// Reads one value inside `depth` further levels.
struct Seed<'a> {
    limits: JsonLimits,
    depth: usize,
    values: &'a mut usize,
}

impl Seed<'_> {
    fn inner(&mut self) -> Seed<'_> {
        Seed { limits: self.limits, depth: self.depth.saturating_sub(1), values: self.values }
    }

    fn deeper<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth == 0 {
            return Err(E::custom(format_args!("more than {} levels", self.limits.depth)));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Json, D::Error> {
        match self.values.checked_sub(1) {
            None => Err(D::Error::custom(format_args!("more than {} values", self.limits.values))),
            Some(left) => {
                *self.values = left;
                from.deserialize_any(self)
            }
        }
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json, E> {
        Ok(Json::Truth(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Whole(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::OtherNumber)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::OtherNumber)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut from: A) -> Result<Json, A::Error> {
        self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = from.next_element_seed(self.inner())? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut from: A) -> Result<Json, A::Error> {
        self.deeper()?;
        let mut members = BTreeMap::new();
        while let Some(name) = from.next_key::<String>()? {
            let value = from.next_value_seed(self.inner())?;
            let again = members.insert(name.clone(), value).is_some();
            if again {
                let name: String = name.chars().take(SHOWN_LETTERS).collect();
                return Err(A::Error::custom(format_args!("the member {name:?} stands twice")));
            }
        }
        Ok(Json::Members(members))
    }
}

/// An object of a derived type. What serde derives takes a list as well, and hands its values to the
/// members in their order: so a document of another type would be read as one of ours.
#[derive(Default)]
pub(crate) struct Members<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(OnlyMembers(PhantomData)).map(Self)
    }
}

struct OnlyMembers<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMembers<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, from: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(from))
    }
}

/// Whether a body is a page for people, as networks send that want somebody to log in first.
pub(crate) fn is_web_page(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    body.trim_ascii_start().starts_with(b"<")
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::chain;

    const LIMITS: JsonLimits = JsonLimits { depth: 3, values: 20 };

    fn refusal(text: &str) -> String {
        chain(&Json::parse(text.as_bytes(), LIMITS).unwrap_err())
    }

    #[test]
    fn values_keep_their_types() {
        let text = r#"{"a":[null,true,7,-7,7.0,"7"],"b":{"c":{}}}"#;
        let Json::Members(members) = Json::parse(text.as_bytes(), LIMITS).unwrap() else {
            panic!()
        };
        let list = vec![
            Json::Null,
            Json::Truth(true),
            Json::Whole(7),
            Json::OtherNumber,
            Json::OtherNumber,
            Json::Text("7".to_owned()),
        ];
        assert_eq!(members["a"], Json::List(list));
    }

    #[test]
    fn what_is_deep_long_twice_or_cut_is_refused() {
        assert!(refusal("[[[[]]]]").contains("more than 3 levels"));
        assert!(refusal(&format!("[{}0]", "0,".repeat(20))).contains("more than 20 values"));
        assert!(refusal(r#"{"a":1,"a":1}"#).contains("\"a\" stands twice"));
        assert!(refusal(r#"{"a":1"#).contains("EOF"));
        assert!(refusal("{} {}").contains("trailing"));
        assert!(refusal("[\"\u{0}\"]").contains("control character"));
        assert!(refusal(&"[".repeat(1_000_000)).contains("more than 3 levels"));
        assert!(Json::parse(b"\"\xff\"", LIMITS).is_err());
    }

    #[test]
    fn messages_name_the_place() {
        let value = Json::parse(br#"{"a":{"b":[1,"x"]},"x-note":1}"#, LIMITS).unwrap();
        let root = At::root(&value, "answer");
        let list = root.get("a").unwrap().get("b").unwrap().list().unwrap();
        let refused = list[1].whole().unwrap_err().to_string();
        assert_eq!(refused, "answer.a.b[1] is text where a whole number is needed");
        assert_eq!(root.get("c").unwrap_err().to_string(), "answer.c is missing");
        assert!(root.only(&["a"]).is_ok());
        let refused = root.only(&[]).unwrap_err().to_string();
        assert_eq!(refused, "answer has a member \"a\", which is not known");
    }

    #[test]
    fn a_page_of_a_network_that_wants_a_login_is_known() {
        for page in [&b"<!DOCTYPE html>"[..], b"\xef\xbb\xbf\r\n <html>", b"<?xml"] {
            assert!(is_web_page(page));
        }
        for other in [&b"{}"[..], b"", b"0<", b"\xef\xbb\xbf{}"] {
            assert!(!is_web_page(other));
        }
    }
}
