// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a command's answer goes: data on standard output, as lines or as JSON; words for people
//! on standard error. Wide tables are for nobody: everything fits 80 columns.

use crate::failure::Failure;
use crate::terminal::one_line;
pub use atomix_repart::wrap;
use serde::Serialize;
use std::io::Write;

/// What a serial console shows of a line.
const COLUMNS: usize = 80;

/// Prints `text` in lines of 80 columns behind `title`; a word may be longer than one of them. Line
/// ends in it are shown: whoever chose it must not begin a line.
///
/// # Errors
/// The writer's.
pub fn fold(to: &mut dyn Write, title: &str, text: &str) -> std::io::Result<()> {
    let room = COLUMNS.saturating_sub(title.len()).max(1);
    let mut folded = String::new();
    for word in one_line(text).split(' ') {
        for (count, letter) in word.chars().enumerate() {
            if count > 0 && count % room == 0 {
                folded.push(' ');
            }
            folded.push(letter);
        }
        folded.push(' ');
    }
    wrap(to, title, folded.trim_end())
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Lines for people.
    Lines,
    /// JSON for programs.
    Json,
}

/// The two streams of a command.
pub struct Output<'a> {
    /// How.
    pub style: Style,
    /// Data.
    pub data: &'a mut dyn Write,
    /// People.
    pub people: &'a mut dyn Write,
}

impl Output<'_> {
    /// Prints `value` as one JSON object, or what `lines` makes of it.
    ///
    /// # Errors
    /// [`Failure::Print`] or [`Failure::Json`].
    pub fn answer<T: Serialize>(
        &mut self,
        value: &T,
        lines: impl FnOnce(&mut dyn Write, &T) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        match self.style {
            Style::Json => {
                serde_json::to_writer_pretty(&mut self.data, value)?;
                writeln!(self.data)?;
            }
            Style::Lines => lines(self.data, value)?,
        }
        Ok(())
    }

    /// Prints one event of long work as a line of JSON; nothing for people.
    ///
    /// # Errors
    /// [`Failure::Print`] or [`Failure::Json`].
    pub fn event<T: Serialize>(&mut self, event: &T) -> Result<(), Failure> {
        if self.style == Style::Json {
            serde_json::to_writer(&mut self.data, event)?;
            writeln!(self.data)?;
            self.data.flush()?;
        }
        Ok(())
    }

    /// Tells people that something was done, where the answer is not data.
    ///
    /// # Errors
    /// [`Failure::Print`].
    pub fn done(&mut self, text: &str) -> Result<(), Failure> {
        match self.style {
            Style::Lines => writeln!(self.data, "{text}")?,
            Style::Json => self.event(&serde_json::json!({ "version": 1, "done": text }))?,
        }
        Ok(())
    }

    /// Tells people what does not stop the command.
    ///
    /// # Errors
    /// [`Failure::Print`].
    pub fn warn(&mut self, warnings: &[String]) -> Result<(), Failure> {
        for warning in warnings {
            writeln!(self.people, "warning: {warning}")?;
        }
        Ok(())
    }

    /// The same for what a person wrote and now reads again, as its faults are shown: in lines of
    /// 80 columns wherever they go.
    ///
    /// # Errors
    /// [`Failure::Print`].
    pub fn warn_in_columns(&mut self, warnings: &[String]) -> Result<(), Failure> {
        for warning in warnings {
            fold(self.people, "warning: ", warning)?;
        }
        Ok(())
    }
}
