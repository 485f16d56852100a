// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a `config.toml`, where, and what helps? All faults of a file at once, in the
//! order of their places.

use serde::Serialize;
use std::fmt::{self, Write};
use std::ops::Range;

/// So many faults are told; a file with more has one cause, not a thousand.
pub const MAX_FAULTS: usize = 200;

/// A key may be as long as the file, and stand in the path of each fault below it.
const MAX_PATH_CHARS: usize = 240;
const MAX_PROBLEM_CHARS: usize = 300;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Line in the file, from 1; 0 where the fault has no place.
    pub line: usize,
    /// Column in characters, from 1; 0 where the fault has no place.
    pub column: usize,
    /// The key, for example `containers.container.web.Container.PublishPort[1]`; empty for the
    /// file as a whole.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// The way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How many characters of the line the fault is about.
    #[serde(skip)]
    pub(crate) width: usize,
}

impl Fault {
    /// A fault of what the file came in.
    #[must_use]
    pub fn of_input(problem: String, hint: &str) -> Self {
        let hint = Some(hint.to_owned());
        Self { line: 0, column: 0, path: String::new(), problem, hint, width: 1 }
    }
}

/// Everything that is wrong with one file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    list: Vec<Fault>,
    untold: usize,
}

impl Faults {
    /// The faults in the order of their places.
    #[must_use]
    pub fn list(&self) -> &[Fault] {
        &self.list
    }

    /// How many more there were than are told.
    #[must_use]
    pub const fn untold(&self) -> usize {
        self.untold
    }

    /// A fault of the file as a whole.
    pub(crate) fn of_file(line: usize, problem: impl Into<String>, hint: &str) -> Self {
        let fault = Fault {
            line,
            column: usize::from(line > 0),
            path: String::new(),
            problem: problem.into(),
            hint: Some(hint.to_owned()),
            width: 1,
        };
        Self { list: vec![fault], untold: 0 }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.list.len() + self.untold;
        let noun = if count == 1 { "fault" } else { "faults" };
        write!(f, "the configuration has {count} {noun}")?;
        if let Some(first) = self.list.first() {
            let at = if first.path.is_empty() { "the file" } else { &first.path };
            write!(f, "; the first at {at}: {}", first.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Where a value stands: keys and indices down from the root, without allocating until it is told.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(crate) const fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }

    pub(crate) const fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Self::Key(parent, key) => {
                if !matches!(parent, Self::Root) {
                    write!(f, "{parent}.")?;
                }
                let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                if !key.is_empty() && key.chars().all(bare) {
                    f.write_str(key)
                } else {
                    write!(f, "{key:?}")
                }
            }
        }
    }
}

/// A path without what is too long of it; the rest is never put together.
#[derive(Default)]
struct Bounded {
    text: String,
    count: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for letter in part.chars() {
            if self.count == MAX_PATH_CHARS {
                self.text.push('…');
                return Err(fmt::Error);
            }
            self.text.push(letter);
            self.count += 1;
        }
        Ok(())
    }
}

fn bounded(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => text.get(..at).unwrap_or_default().chars().chain(['…']).collect(),
        None => text,
    }
}

/// Takes faults as they are found; places become lines at the end.
#[derive(Default)]
pub(crate) struct Sink {
    found: Vec<(Range<usize>, String, String, Option<String>)>,
    untold: usize,
}

impl Sink {
    pub(crate) fn fault(
        &mut self,
        span: &Range<usize>,
        path: &Path<'_>,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.is_full() {
            self.untold += 1;
            return;
        }
        let hint: String = hint.into();
        let hint = (!hint.is_empty()).then_some(hint);
        let mut told = Bounded::default();
        // Its end is told by the text.
        let _ = write!(told, "{path}");
        let problem = bounded(problem.into(), MAX_PROBLEM_CHARS);
        self.found.push((span.clone(), told.text, problem, hint));
    }

    /// Whether further faults are counted only, so that nothing helpful need be found for them.
    pub(crate) const fn is_full(&self) -> bool {
        self.found.len() >= MAX_FAULTS
    }

    pub(crate) const fn count(&self) -> usize {
        self.found.len() + self.untold
    }

    /// The faults with their lines in `text`; `None` when there are none.
    pub(crate) fn into_faults(mut self, text: &str) -> Option<Faults> {
        if self.found.is_empty() {
            return None;
        }
        self.found.sort_by_key(|(span, ..)| span.start);
        let starts: Vec<usize> =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let list = self.found.into_iter().map(|(span, path, problem, hint)| {
            let line = starts.partition_point(|start| *start <= span.start).max(1);
            let start = starts.get(line - 1).copied().unwrap_or(0);
            let before = text.get(start..span.start).unwrap_or_default();
            let about = text.get(span).unwrap_or_default().lines().next().unwrap_or_default();
            let column = before.chars().count() + 1;
            let width = about.chars().count().max(1);
            Fault { line, column, path, problem, hint, width }
        });
        Some(Faults { list: list.collect(), untold: self.untold })
    }
}
