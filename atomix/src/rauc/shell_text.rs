// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text that a shell reads: `NAME='value'` lines for `eval`, and names of variables. A value that
//! a bundle chose must never end its quotes.

/// `NAME='value'` lines, without a line end behind the last.
#[derive(Debug, Default)]
pub struct ShellText {
    lines: Vec<String>,
}

impl ShellText {
    /// Adds a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.lines.push(format!("{name}={}", quote(value)));
    }

    /// Adds a variable whose name carries a number.
    pub fn set_at(&mut self, name: &str, number: usize, value: &str) {
        self.set(&format!("{name}_{number}"), value);
    }

    /// The lines.
    #[must_use]
    pub fn finish(self) -> String {
        self.lines.join("\n")
    }
}

/// The text in single quotes, as GLib quotes.
#[must_use]
pub fn quote(text: &str) -> String {
    // A NUL would end what the shell reads; it cannot stand in a variable either.
    format!("'{}'", text.replace('\0', "").replace('\'', "'\\''"))
}

/// A name of a manifest's `[meta.*]` as part of a variable's name; `None` where it is none.
#[must_use]
pub fn variable_part(name: &str) -> Option<String> {
    let part = |c: char| match c {
        '-' => Some('_'),
        c if c.is_ascii_alphanumeric() || c == '_' => Some(c.to_ascii_uppercase()),
        _ => None,
    };
    name.chars().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn no_value_leaves_its_quotes_in_a_real_shell() {
        for value in ["Test Config", "", "it's", "'; touch /x; '", "$(id) `id` \\ \"", "a\nb"] {
            let mut text = ShellText::default();
            text.set("VALUE", value);
            let script = format!("{}\nprintf %s \"$VALUE\"", text.finish());
            #[expect(clippy::disallowed_methods, reason = "the shell is the judge here")]
            let shell = Command::new("sh").arg("-c").arg(script).output().unwrap();
            assert_eq!(String::from_utf8(shell.stdout).unwrap(), value);
        }
    }

    #[test]
    fn names_become_parts_of_variables_or_nothing() {
        assert_eq!(variable_part("update-1_x").as_deref(), Some("UPDATE_1_X"));
        assert_eq!(variable_part("a.b"), None);
        assert_eq!(variable_part("ä"), None);
    }
}
