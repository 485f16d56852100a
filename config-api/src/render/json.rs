// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is JSON written so that the files are those of the reference, byte by byte? Two spaces per
//! level, keys in their given order, everything beyond ASCII as `\uXXXX`, a line end at the end.

use std::fmt::Write;

/// A value of a rendered file.
#[derive(Clone, Debug)]
pub(super) enum Json {
    Boolean(bool),
    Number(u64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// The content of a file.
    pub(super) fn to_file(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out.push('\n');
        out
    }

    fn write(&self, out: &mut String, level: usize) {
        match self {
            Self::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(value) => out.push_str(&value.to_string()),
            Self::Text(text) => write_text(out, text),
            Self::List(items) => write_all(out, level, ['[', ']'], items, |out, item| {
                item.write(out, level + 1);
            }),
            Self::Object(fields) => write_all(out, level, ['{', '}'], fields, |out, field| {
                write_text(out, &field.0);
                out.push_str(": ");
                field.1.write(out, level + 1);
            }),
        }
    }
}

fn write_all<T>(
    out: &mut String,
    level: usize,
    [open, close]: [char; 2],
    items: &[T],
    mut write: impl FnMut(&mut String, &T),
) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        out.push_str(&"  ".repeat(level + 1));
        write(out, item);
    }
    if !items.is_empty() {
        out.push('\n');
        out.push_str(&"  ".repeat(level));
    }
    out.push(close);
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}
