// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does a value have the kind that its key wants? Each question that is answered with no puts one
//! fault into the sink, and the reading goes on.

use super::fault::{Path, Sink};
use super::toml_tree::{Entry, Node, Value};
use std::ops::Range;

/// A table with its place, and the keys that it may have.
#[derive(Clone, Copy)]
pub(crate) struct Table<'t, 's> {
    pub entries: &'t [Entry<'s>],
    pub span: &'t Range<usize>,
    pub path: Path<'t>,
}

/// A value with its key.
#[derive(Clone, Copy)]
pub(crate) struct Item<'t, 's> {
    pub node: &'t Node<'s>,
    pub path: Path<'t>,
}

impl<'t, 's> Table<'t, 's> {
    /// The value of `key`.
    pub(crate) fn get(&'t self, key: &'t str) -> Option<Item<'t, 's>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Item { node: &entry.node, path: self.path.key(key) })
    }

    /// The value of `key`, which must be there.
    pub(crate) fn require(&'t self, key: &'t str, sink: &mut Sink) -> Option<Item<'t, 's>> {
        let found = self.get(key);
        if found.is_none() {
            sink.fault(self.span, &self.path.key(key), "is missing", "this key is required");
        }
        found
    }

    /// Refuses every key that is not in `known`.
    pub(crate) fn only(&self, known: &[&str], sink: &mut Sink) {
        for entry in self.entries {
            if !known.contains(&entry.key.as_ref()) {
                let hint = match closest(&entry.key, known.iter().copied(), sink) {
                    Some(close) => format!("did you mean {close}?"),
                    None => format!("known here: {}", known.join(", ")),
                };
                let path = self.path.key(&entry.key);
                sink.fault(&entry.key_span, &path, "is no key of the contract", hint);
            }
        }
    }

    /// The entries as items with their own keys.
    pub(crate) fn items(&'t self) -> impl Iterator<Item = (&'t Entry<'s>, Item<'t, 's>)> {
        self.entries
            .iter()
            .map(|entry| (entry, Item { node: &entry.node, path: self.path.key(&entry.key) }))
    }

    /// The table below `key`; none when it is absent or no table.
    pub(crate) fn table(&'t self, key: &'t str, sink: &mut Sink) -> Option<Table<'t, 's>> {
        self.get(key)?.table(sink)
    }
}

impl<'t, 's> Item<'t, 's> {
    /// A fault of this value.
    pub(crate) fn fault(
        &self,
        sink: &mut Sink,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) {
        sink.fault(&self.node.span, &self.path, problem, hint);
    }

    fn wrong_kind(&self, sink: &mut Sink, wanted: &str) {
        let found = kind_of(&self.node.value);
        self.fault(sink, format!("is {found}, not {wanted}"), "");
    }

    pub(crate) fn table(self, sink: &mut Sink) -> Option<Table<'t, 's>> {
        if let Value::Table(entries) = &self.node.value {
            return Some(Table { entries, span: &self.node.span, path: self.path });
        }
        self.wrong_kind(sink, "a table");
        None
    }

    /// Whether this is a table with `key` in it.
    pub(crate) fn has(&self, key: &str) -> bool {
        matches!(&self.node.value, Value::Table(entries) if entries.iter().any(|e| e.key == key))
    }

    pub(crate) fn text(&self, sink: &mut Sink) -> Option<&'t str> {
        if let Value::Text(text) = &self.node.value {
            return Some(text);
        }
        self.wrong_kind(sink, "a string");
        None
    }

    pub(crate) fn boolean(&self, sink: &mut Sink) -> Option<bool> {
        if let Value::Boolean(value) = self.node.value {
            return Some(value);
        }
        self.wrong_kind(sink, "true or false");
        None
    }

    /// A whole number within bounds.
    pub(crate) fn number(&self, least: u16, most: u16, sink: &mut Sink) -> Option<u16> {
        let number = self.whole(u32::from(least), u32::from(most), sink)?;
        u16::try_from(number).ok()
    }

    /// The same of greater numbers.
    pub(crate) fn whole(&self, least: u32, most: u32, sink: &mut Sink) -> Option<u32> {
        let Value::Integer(digits) = &self.node.value else {
            self.wrong_kind(sink, "a whole number");
            return None;
        };
        let number = digits.parse::<u32>().ok();
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.fault(sink, format!("is {}, not {least} to {most}", shortened(digits)), "");
        }
        number
    }

    /// The members of a list.
    pub(crate) fn list(&self, sink: &mut Sink) -> Option<&'t [Node<'s>]> {
        if let Value::List(items) = &self.node.value {
            return Some(items);
        }
        self.wrong_kind(sink, "a list");
        None
    }

    /// The members of a list that has some.
    pub(crate) fn filled_list(&self, sink: &mut Sink) -> Option<&'t [Node<'s>]> {
        let items = self.list(sink)?;
        if items.is_empty() {
            self.fault(sink, "is an empty list", "leave the key out, or fill the list");
            return None;
        }
        Some(items)
    }

    /// Reads every member of a list of strings; a member with a fault is left out.
    pub(crate) fn texts<T>(
        &self,
        items: &'t [Node<'s>],
        sink: &mut Sink,
        mut read: impl FnMut(&str, &Item<'_, 's>, &mut Sink) -> Option<T>,
    ) -> Vec<T> {
        let mut values = Vec::with_capacity(items.len());
        for (index, node) in items.iter().enumerate() {
            let item = Item { node, path: self.path.index(index) };
            let value = item.text(sink).and_then(|text| read(text, &item, sink));
            values.extend(value);
        }
        values
    }
}

/// What a value is, with its article.
pub(crate) const fn kind_of(value: &Value<'_>) -> &'static str {
    match value {
        Value::Text(_) => "a string",
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "a truth value",
        Value::Float => "a number with a fraction",
        Value::Date => "a date or time",
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// A text of the input for a message, which no input makes long.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(std::iter::once('…')).collect()
}

/// The known key that a mistyped one is closest to: one or two letters away. Only for faults that
/// are told: a file of mistyped keys is not compared with everything for nothing.
pub(crate) fn closest<'k>(
    typed: &str,
    known: impl Iterator<Item = &'k str>,
    sink: &Sink,
) -> Option<&'k str> {
    if typed.len() > 64 || sink.is_full() {
        return None;
    }
    let near = known.filter(|key| key.len().abs_diff(typed.len()) <= 2);
    let near = near.map(|key| (distance(typed, key), key));
    let near = near.filter(|(far, key)| *far <= 2 && far * 2 < key.chars().count());
    near.min_by_key(|(far, _)| *far).map(|(_, key)| key)
}

/// Letters to change, insert or drop, whatever their case.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let value = (*cell + 1).min(left + 1).min(diagonal + usize::from(x != *y));
            diagonal = *cell;
            *cell = value;
            left = value;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
