// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does this TOML say, key by key, in the order in which it says it?
//!
//! A pass over the tokens comes first and refuses what would cost more than it can be worth: the
//! parser builds a table per part of a dotted key and drops them recursively, so a file of dots
//! would overflow the stack. The same pass refuses the spellings of TOML 1.1, which the devices'
//! former reader (1.0) refuses as well: a file that is valid here is valid there.
//!
//! The parser keeps tables sorted by name and forgets the place of a table that a later header
//! completes. The order in which names are first mentioned is the contract (users, units and
//! interfaces are rendered in it), and is the smallest place in everything below a key.

use super::fault::{Faults, Path, Sink};
use std::borrow::Cow;
use std::ops::Range;
use toml::de::{DeTable, DeValue};
use toml_parser::Source;
use toml_parser::lexer::{Token, TokenKind};

/// The longest `config.toml`. The parsers need about 40 times the input in memory, and a megabyte
/// of flat keys takes whole seconds where it was accepted before.
pub const MAX_CONFIG_BYTES: usize = 256 * 1024;

/// Tables and arrays within each other, and parts of one key. The contract needs 7.
pub const MAX_DEPTH: usize = 16;

/// A value with its place.
#[derive(Debug)]
pub(crate) struct Node<'s> {
    pub span: Range<usize>,
    pub value: Value<'s>,
}

impl Node<'_> {
    /// The members of a list, else the value itself as the only one.
    pub(crate) fn each(&self) -> &[Self] {
        if let Value::List(nodes) = &self.value { nodes } else { std::slice::from_ref(self) }
    }
}

#[derive(Debug)]
pub(crate) enum Value<'s> {
    Text(Cow<'s, str>),
    /// Decimal digits, a `-` before them for less than nothing; of any length.
    Integer(String),
    Boolean(bool),
    /// A number with a fraction.
    Float,
    /// A date, a time or both.
    Date,
    List(Vec<Node<'s>>),
    Table(Vec<Entry<'s>>),
}

/// A key with its place, and its value.
#[derive(Debug)]
pub(crate) struct Entry<'s> {
    pub key: Cow<'s, str>,
    pub key_span: Range<usize>,
    pub node: Node<'s>,
}

/// The text of the file: UTF-8 without byte order mark, every line end a `\n`.
///
/// Line ends are unified before anything is parsed, within strings too; no place moves to another
/// line or column by that.
///
/// # Errors
/// The one fault of a file that is no text.
pub(crate) fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, Faults> {
    if bytes.len() > MAX_CONFIG_BYTES {
        let problem = format!("the file has {} bytes, more than {MAX_CONFIG_BYTES}", bytes.len());
        return Err(Faults::of_file(0, problem, "put large content into files/ of a bundle"));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        let problem = "the file begins with a byte order mark";
        return Err(Faults::of_file(1, problem, "save it as UTF-8 without BOM"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        Faults::of_file(line, "the file is not UTF-8", "save it as UTF-8")
    })?;
    if text.contains('\r') {
        return Ok(Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")));
    }
    Ok(Cow::Borrowed(text))
}

/// The entries of the root table.
///
/// # Errors
/// All faults of syntax.
pub(crate) fn parse_toml(text: &str) -> Result<Vec<Entry<'_>>, Faults> {
    let mut sink = Sink::default();
    check_tokens(text, &mut sink);
    if let Some(faults) = sink.into_faults(text) {
        return Err(faults);
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut sink = Sink::default();
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let problem = format!("no valid TOML: {}", error.message());
        sink.fault(&span, &Path::Root, problem, "");
    }
    if let Some(faults) = sink.into_faults(text) {
        return Err(faults);
    }
    let mut sink = Sink::default();
    let (entries, _) = entries_of(table.into_inner(), &mut sink);
    match sink.into_faults(text) {
        Some(faults) => Err(faults),
        None => Ok(entries),
    }
}

/// A table's entries in the order of their first mention, and the first mention of all.
fn entries_of<'s>(table: DeTable<'s>, sink: &mut Sink) -> (Vec<Entry<'s>>, usize) {
    let mut placed: Vec<(usize, Entry<'_>)> = table
        .into_iter()
        .map(|(key, value)| {
            let key_span = key.span();
            let span = value.span();
            let (value, below) = value_of(value.into_inner(), &span, sink);
            let first = key_span.start.min(below);
            (first, Entry { key: key.into_inner(), key_span, node: Node { span, value } })
        })
        .collect();
    placed.sort_by_key(|(first, _)| *first);
    let first = placed.first().map_or(usize::MAX, |(first, _)| *first);
    (placed.into_iter().map(|(_, entry)| entry).collect(), first)
}

fn value_of<'s>(value: DeValue<'s>, span: &Range<usize>, sink: &mut Sink) -> (Value<'s>, usize) {
    let value = match value {
        DeValue::String(text) => Value::Text(text),
        DeValue::Integer(number) => {
            if !is_whole(number.as_str(), number.radix()) {
                let problem = "no valid TOML: digits of a number are missing, or others among them";
                sink.fault(span, &Path::Root, problem, "");
            }
            Value::Integer(decimal(number.as_str(), number.radix()))
        }
        DeValue::Float(_) => Value::Float,
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => {
            let mut nodes = Vec::with_capacity(items.len());
            for item in items {
                let span = item.span();
                let (value, _) = value_of(item.into_inner(), &span, sink);
                nodes.push(Node { span, value });
            }
            Value::List(nodes)
        }
        DeValue::Table(table) => {
            let (entries, first) = entries_of(table, sink);
            return (Value::Table(entries), first);
        }
    };
    (value, usize::MAX)
}

/// Whether these are digits and nothing else. The parser leaves that to whoever converts the
/// number: to it `0x` and `1_0"` are numbers.
fn is_whole(digits: &str, radix: u32) -> bool {
    let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix))
}

/// The number in decimal digits: integers are passed on as they were meant, however long.
fn decimal(digits: &str, radix: u32) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.strip_prefix('+').unwrap_or(digits)),
    };
    if radix == 10 {
        let digits = if digits.bytes().all(|digit| digit == b'0') { "0" } else { digits };
        let sign = if digits == "0" { "" } else { sign };
        return format!("{sign}{digits}");
    }
    // Nine decimal digits each, the least first. The square of a file's length at worst would be
    // too much, so what no machine's word holds is refused by its length in `check_tokens`.
    let mut limbs: Vec<u64> = vec![0];
    for digit in digits.chars().filter_map(|digit| digit.to_digit(radix)) {
        let mut carry = u64::from(digit);
        for limb in &mut limbs {
            let value = *limb * u64::from(radix) + carry;
            *limb = value % 1_000_000_000;
            carry = value / 1_000_000_000;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let mut text = limbs.last().map_or_else(|| "0".to_owned(), u64::to_string);
    for limb in limbs.iter().rev().skip(1) {
        text.push_str(&format!("{limb:09}"));
    }
    format!("{sign}{text}")
}

/// The longest number that is not decimal.
const MAX_NUMBER_CHARS: usize = 256;

/// Refuses what is too deep and what only TOML 1.1 has.
fn check_tokens(text: &str, sink: &mut Sink) {
    let mut open: Vec<TokenKind> = Vec::new();
    let (mut dots, mut comma) = (0_usize, None);
    for token in Source::new(text).lex() {
        let span = token.span().start()..token.span().end();
        let kind = token.kind();
        let in_table = open.last() == Some(&TokenKind::LeftCurlyBracket);
        match kind {
            TokenKind::Dot => dots += 1,
            TokenKind::LeftCurlyBracket | TokenKind::LeftSquareBracket => open.push(kind),
            TokenKind::RightCurlyBracket | TokenKind::RightSquareBracket => {
                if let (TokenKind::RightCurlyBracket, Some(comma)) = (kind, &comma) {
                    newer(sink, comma, "a comma behind the last entry of an inline table");
                }
                open.pop();
            }
            TokenKind::Newline | TokenKind::Comment if in_table => {
                newer(sink, &span, "a line end or comment within an inline table");
                open.pop();
            }
            TokenKind::BasicString | TokenKind::MlBasicString => check_escapes(text, token, sink),
            TokenKind::Atom if span.len() > MAX_NUMBER_CHARS && is_radix(text, &span) => {
                sink.fault(&span, &Path::Root, "the number has too many digits", "");
            }
            TokenKind::Equals
            | TokenKind::Comma
            | TokenKind::Whitespace
            | TokenKind::Newline
            | TokenKind::Comment
            | TokenKind::LiteralString
            | TokenKind::MlLiteralString
            | TokenKind::Atom
            | TokenKind::Eof => {}
        }
        if kind == TokenKind::Comma && in_table {
            comma = Some(span.clone());
        } else if kind != TokenKind::Whitespace {
            comma = None;
        }
        if matches!(kind, TokenKind::Equals | TokenKind::Newline | TokenKind::Comma) {
            dots = 0;
        }
        if open.len() > MAX_DEPTH || dots >= MAX_DEPTH {
            let problem = format!("more than {MAX_DEPTH} levels within each other");
            sink.fault(&span, &Path::Root, problem, "no key of the contract is so deep");
            return;
        }
    }
}

fn is_radix(text: &str, span: &Range<usize>) -> bool {
    let text = text.get(span.clone()).unwrap_or_default();
    ["0x", "0o", "0b"].iter().any(|prefix| text.starts_with(prefix))
}

fn newer(sink: &mut Sink, span: &Range<usize>, what: &str) {
    sink.fault(span, &Path::Root, format!("no valid TOML 1.0: {what}"), "write TOML 1.0");
}

/// `\e` and `\xHH` came with TOML 1.1.
fn check_escapes(text: &str, token: Token, sink: &mut Sink) {
    let start = token.span().start();
    let raw = text.get(start..token.span().end()).unwrap_or_default();
    let mut bytes = raw.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        if byte != b'\\' {
            continue;
        }
        if let Some((_, b'e' | b'x')) = bytes.next() {
            newer(sink, &(start + at..start + at + 2), r"the escapes \e and \x");
        }
    }
}
