// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does RAUC's JSON look, to the byte? Scripts match it literally: keys in a fixed order, in
//! the pretty form two spaces a level and a space before each colon, as json-glib writes.

use std::fmt::Write as _;

/// A JSON value whose object keys keep their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(i128),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Self>),
    /// An object.
    Object(Vec<(String, Self)>),
}

impl Json {
    /// Text, or `null`.
    #[must_use]
    pub fn maybe(text: Option<&str>) -> Self {
        text.map_or(Self::Null, Self::from)
    }

    /// An array of texts.
    #[must_use]
    pub fn texts<T: AsRef<str>>(texts: &[T]) -> Self {
        Self::List(texts.iter().map(|text| Self::from(text.as_ref())).collect())
    }

    /// An object.
    #[must_use]
    pub fn object<K: Into<String>>(members: Vec<(K, Self)>) -> Self {
        Self::Object(members.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// On one line, without spaces.
    #[must_use]
    pub fn compact(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, None);
        text
    }

    /// On many lines.
    #[must_use]
    pub fn pretty(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, Some(0));
        text
    }

    fn write(&self, to: &mut String, level: Option<usize>) {
        match self {
            Self::Null => to.push_str("null"),
            Self::Bool(value) => to.push_str(if *value { "true" } else { "false" }),
            // Writing to a String cannot fail.
            Self::Number(value) => drop(write!(to, "{value}")),
            Self::Text(text) => quote(to, text),
            Self::List(items) => {
                let items = items.iter().map(|item| (None, item));
                write_members(to, level, ['[', ']'], items);
            }
            Self::Object(members) => {
                let members = members.iter().map(|(key, value)| (Some(key.as_str()), value));
                write_members(to, level, ['{', '}'], members);
            }
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

fn write_members<'a>(
    to: &mut String,
    level: Option<usize>,
    [open, close]: [char; 2],
    members: impl Iterator<Item = (Option<&'a str>, &'a Json)>,
) {
    let line = |to: &mut String, level: usize| {
        to.push('\n');
        to.push_str(&"  ".repeat(level));
    };
    to.push(open);
    let mut is_empty = true;
    for (key, value) in members {
        if !is_empty {
            to.push(',');
        }
        is_empty = false;
        if let Some(level) = level {
            line(to, level + 1);
        }
        if let Some(key) = key {
            quote(to, key);
            to.push_str(if level.is_some() { " : " } else { ":" });
        }
        value.write(to, level.map(|level| level + 1));
    }
    if let Some(level) = level.filter(|_| !is_empty) {
        line(to, level);
    }
    to.push(close);
}

fn quote(to: &mut String, text: &str) {
    to.push('"');
    for c in text.chars() {
        match c {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\u{8}' => to.push_str("\\b"),
            '\u{c}' => to.push_str("\\f"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            // As `atomix_repart::Tame`: what steers a terminal is shown, and is inside JSON the
            // very character again. json-glib escapes the ASCII ones alone.
            c if c.is_control() => drop(write!(to, "\\u{:04x}", u32::from(c))),
            c => to.push(c),
        }
    }
    to.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Json {
        Json::object(vec![
            ("compatible", Json::from("Test Config")),
            ("build", Json::Null),
            ("hooks", Json::List(Vec::new())),
            ("images", Json::List(vec![Json::object(vec![("size", Json::Number(65536))])])),
            ("meta", Json::Object(Vec::new())),
        ])
    }

    /// As json-glib 1.6 writes it, seen with the real program.
    #[test]
    fn both_forms_are_those_of_json_glib() {
        let compact = r#"{"compatible":"Test Config","build":null,"hooks":[],"images":[{"size":65536}],"meta":{}}"#;
        assert_eq!(sample().compact(), compact);
        let pretty = "{\n  \"compatible\" : \"Test Config\",\n  \"build\" : null,\n  \"hooks\" : \
                      [],\n  \"images\" : [\n    {\n      \"size\" : 65536\n    }\n  ],\n  \
                      \"meta\" : {}\n}";
        assert_eq!(sample().pretty(), pretty);
    }

    proptest! {
        /// Any text comes back through another reader.
        #[test]
        fn any_text_is_read_back_by_serde(key in any::<String>(), text in any::<String>()) {
            let value = Json::object(vec![(key.clone(), Json::from(text.as_str()))]);
            for written in [value.compact(), value.pretty()] {
                let read: serde_json::Value = serde_json::from_str(&written).unwrap();
                prop_assert_eq!(read.get(&key).and_then(|v| v.as_str()), Some(text.as_str()));
            }
        }
    }
}
