// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is the story told? As text of at most 80 columns, or as one JSON event per line. A claim is
//! printed only after it was checked; one that does not hold ends the story.

use crate::failure::Failure;
use crate::output::{Output, Style};
use crate::progress::InstallProgress;
use serde::Serialize;
use serde_json::{Value, json};
use storage::ByteLen;
use updater::InstallEvent;

/// Version of every event's object.
const EVENTS_VERSION: u32 = 1;

/// The widest line; serial consoles and the README have 80 columns.
pub const WIDTH: usize = 80;

/// What stands before every line below a chapter's title.
const INDENT: &str = "  ";

/// The teller.
pub struct Story<'a, 'b> {
    out: &'a mut Output<'b>,
    chapter: u8,
}

impl<'a, 'b> Story<'a, 'b> {
    /// Begins before the first chapter.
    pub fn new(out: &'a mut Output<'b>) -> Self {
        Self { out, chapter: 0 }
    }

    /// Opens the next chapter.
    ///
    /// # Errors
    /// [`Failure::Print`] or [`Failure::Json`].
    pub fn chapter(&mut self, title: &str) -> Result<(), Failure> {
        self.chapter += 1;
        let number = self.chapter;
        self.event("chapter", json!({ "title": title }))?;
        self.line("")?;
        self.line(&format!("{number}. {title}"))?;
        self.line(&"-".repeat(title.chars().count() + 3))
    }

    /// Opens what comes after the last chapter.
    ///
    /// # Errors
    /// As [`Story::chapter`].
    pub fn epilogue(&mut self, title: &str) -> Result<(), Failure> {
        self.event("epilogue", json!({ "title": title }))?;
        self.line("")?;
        self.line(title)?;
        self.line(&"-".repeat(title.chars().count()))
    }

    /// Tells one thing that is done or seen.
    ///
    /// # Errors
    /// As [`Story::chapter`].
    pub fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.event("step", json!({ "text": text }))?;
        for line in wrap(text, WIDTH - INDENT.len()) {
            self.line(&format!("{INDENT}{line}"))?;
        }
        Ok(())
    }

    /// States something that was just checked.
    ///
    /// # Errors
    /// [`Failure::Claim`] when it does not hold.
    pub fn claim(&mut self, holds: bool, text: &str) -> Result<(), Failure> {
        if !holds {
            return Err(Failure::Claim { claim: format!("\"{text}\"") });
        }
        self.event("claim", json!({ "text": text, "holds": true }))?;
        for (number, line) in (0..).zip(wrap(text, WIDTH - INDENT.len() - 3)) {
            let mark = if number == 0 { "ok " } else { "   " };
            self.line(&format!("{INDENT}{mark}{line}"))?;
        }
        Ok(())
    }

    /// Shows facts: as data of event `name` for programs, as `text` for people.
    ///
    /// # Errors
    /// As [`Story::chapter`].
    pub fn show<T: Serialize>(&mut self, name: &str, facts: &T, text: &str) -> Result<(), Failure> {
        let facts = serde_json::to_value(facts)?;
        self.event(name, json!({ "data": facts }))?;
        for line in text.lines() {
            self.line(format!("{INDENT}{line}").trim_end())?;
        }
        Ok(())
    }

    /// Runs a command of the program and shows its answer, as a person at the board would see it.
    ///
    /// # Errors
    /// Those of the command.
    pub fn command(
        &mut self,
        words: &str,
        run: impl FnOnce(&mut Output) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (mut data, mut people) = (Vec::new(), Vec::new());
        let mut inner = Output { style: self.out.style, data: &mut data, people: &mut people };
        run(&mut inner)?;
        self.line(&format!("{INDENT}$ atomix {words}"))?;
        let warnings = String::from_utf8_lossy(&people).into_owned();
        if self.out.style == Style::Json {
            let answer: Value = serde_json::from_slice(&data)?;
            return self.event(
                "command",
                json!({ "command": words, "answer": answer, "people": warnings }),
            );
        }
        for line in warnings.lines().chain(String::from_utf8_lossy(&data).lines()) {
            // A line as wide as a console keeps its end and loses its indent.
            let fits = line.chars().count() + INDENT.len() <= WIDTH;
            self.line(format!("{}{line}", if fits { INDENT } else { "" }).trim_end())?;
        }
        Ok(())
    }

    /// Shows the progress of an install that `run` does: a bar or lines for people, steps for
    /// programs.
    ///
    /// # Errors
    /// Those of `run`, and of printing.
    pub fn install<T>(
        &mut self,
        run: impl FnOnce(&mut dyn FnMut(InstallEvent)) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.out.style == Style::Json {
            let mut printed = Ok(());
            let done = run(&mut |event| {
                let told = match &event {
                    InstallEvent::Step(step) => crate::progress::describe(step),
                    InstallEvent::Note(text) | InstallEvent::Warning(text) => text.clone(),
                    InstallEvent::Bytes { .. } => return,
                };
                if printed.is_ok() {
                    printed = self.event("install", json!({ "text": told }));
                }
            });
            printed?;
            return done;
        }
        let mut progress = InstallProgress::new(self.out);
        let done = run(&mut |event| progress.show(&event));
        progress.finish();
        done
    }

    /// A line of progress for people while bytes go by.
    pub fn progress(&mut self, what: &str, done: ByteLen, total: ByteLen) {
        if self.out.style == Style::Lines {
            // What cannot be shown does not stop the work.
            let _ = writeln!(self.out.people, "{INDENT}{what} {done} of {total}");
        }
    }

    fn event(&mut self, name: &str, fields: Value) -> Result<(), Failure> {
        let mut event = json!({
            "version": EVENTS_VERSION, "event": name, "chapter": self.chapter,
        });
        if let (Value::Object(event), Value::Object(fields)) = (&mut event, fields) {
            event.extend(fields);
        }
        self.out.event(&event)
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        if self.out.style == Style::Lines {
            writeln!(self.out.data, "{text}")?;
        }
        Ok(())
    }
}

/// Breaks text between words so that no line has more than `width` characters, unless a single
/// word has.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_asked_and_no_word_is_lost() {
        let text = "one two three four five six seven";
        let lines = wrap(text, 10);
        assert!(lines.iter().all(|line| line.len() <= 10), "{lines:?}");
        assert_eq!(lines.join(" "), text);
    }

    #[test]
    fn a_claim_that_does_not_hold_ends_the_story_unprinted() {
        let (mut data, mut people) = (Vec::new(), Vec::new());
        let mut out = Output { style: Style::Lines, data: &mut data, people: &mut people };
        let ended = Story::new(&mut out).claim(false, "two is three");
        assert!(matches!(ended, Err(Failure::Claim { .. })));
        assert!(data.is_empty());
    }
}
