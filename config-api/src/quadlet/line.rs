// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does this text stay the one value that it looks like, once it is a line of a unit file?

use super::Refused;
use super::words::words;

/// What systemd would do to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expansion {
    /// `%` is a specifier.
    Specifiers,
    /// The value ends up in `ExecStart=`: `$` and `${NAME}` are variables too.
    Command,
}

/// Refuses what would end the line, join it with the next or be replaced by something else.
pub(crate) fn check_line(value: &str, expansion: Expansion) -> Result<(), Refused> {
    if value.contains(['\n', '\r', '\0']) {
        let hint = "write a list: each of its texts becomes a line";
        return Err(Refused::new("has a line end or NUL in it", hint));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Refused::new("has a control character in it", "take it out"));
    }
    if value.trim_end().ends_with('\\') {
        let hint = "systemd would join the next line to it";
        return Err(Refused::new("ends with a backslash", hint));
    }
    check_expansion(value, expansion)?;
    if expansion == Expansion::Command {
        // Quadlet decodes escapes and writes what comes out, so that systemd reads that.
        for word in words(value) {
            if word.trim() == ";" {
                let hint = "to systemd a semicolon by itself ends a command and begins another, on \
                            the host; write it in one word with others";
                return Err(Refused::new("has a semicolon by itself in it", hint));
            }
            check_expansion(&word, expansion)?;
        }
    }
    Ok(())
}

/// Refuses what systemd would replace.
fn check_expansion(value: &str, expansion: Expansion) -> Result<(), Refused> {
    if value.contains('%') && value.replace("%%", "").contains('%') {
        let hint = "systemd would replace it; write %% for a percent sign";
        return Err(Refused::new("has a single % in it", hint));
    }
    if expansion == Expansion::Command && has_variable(value) {
        let hint = "systemd would replace it by a variable of the service; write $$ for a dollar \
                    sign, or use the tokens ${CONFIG_DIR} and ${FILES_DIR}";
        return Err(Refused::new("has a variable in it", hint));
    }
    Ok(())
}

/// `${` anywhere and `$NAME` as a word of its own are variables to systemd, other `$` are not.
fn has_variable(value: &str) -> bool {
    if !value.contains('$') {
        return false;
    }
    let plain = value
        .replace(super::host_path::CONFIG_TOKEN, "")
        .replace(super::host_path::FILES_TOKEN, "")
        .replace("$$", "");
    let is_name = |c: char| c.is_ascii_alphabetic() || c == '_';
    plain.contains("${")
        || plain
            .split([' ', '\t', '"', '\''])
            .any(|word| word.strip_prefix('$').is_some_and(|name| name.starts_with(is_name)))
}
