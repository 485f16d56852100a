// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a line of a handler mean? `<< handler TEXT`, `<< image NAME TEXT`,
//! `<< bootloader TEXT`, `<< error TEXT` and `<< debug TEXT` are messages of the install, every
//! other line is the handler's own.
//!
//! Deviates: RAUC shows the first word of a TEXT after `handler`, `image` and `bootloader` only;
//! here it is shown whole.

/// Longest line that is passed on.
const MAX_SHOWN_CHARS: usize = 4096;

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlerLine {
    /// A message of the install.
    Message(String),
    /// To be printed, after `# ` as RAUC does.
    Print(String),
    /// Nothing to say.
    Nothing,
}

/// Reads a line.
#[must_use]
pub fn parse_handler_line(line: &str) -> HandlerLine {
    let line: String = line.chars().take(MAX_SHOWN_CHARS).collect();
    let Some(rest) = line.strip_prefix("<< ") else { return HandlerLine::Print(line) };
    let (kind, text) = match rest.split_once(' ') {
        Some((kind, text)) => (kind, Some(text)),
        None => (rest, None),
    };
    HandlerLine::Message(match (kind, text) {
        ("", None) => return HandlerLine::Nothing,
        ("handler", Some(text)) => format!("Handler status: {text}"),
        ("bootloader", Some(text)) => format!("Bootloader status: {text}"),
        ("error", text) => format!("Error: {}", text.unwrap_or_default()),
        ("debug", text) => format!("Debug: {}", text.unwrap_or_default()),
        ("image", Some(text)) => match text.split_once(' ') {
            Some((image, text)) => format!("Image '{image}' status: {text}"),
            None => format!("Unknown handler output: {line}"),
        },
        _ => format!("Unknown handler output: {line}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_from_the_handler_s_own_lines() {
        for (line, expected) in [
            ("<< handler starting up", "Handler status: starting up"),
            ("<< image rootfs written well", "Image 'rootfs' status: written well"),
            ("<< bootloader ok", "Bootloader status: ok"),
            ("<< error no space left", "Error: no space left"),
            ("<< error", "Error: "),
            ("<< debug x", "Debug: x"),
            ("<< image rootfs", "Unknown handler output: << image rootfs"),
            ("<< what is this", "Unknown handler output: << what is this"),
        ] {
            assert_eq!(parse_handler_line(line), HandlerLine::Message(expected.to_owned()));
        }
        for line in ["hello", "<<handler x", ""] {
            assert_eq!(parse_handler_line(line), HandlerLine::Print(line.to_owned()));
        }
        assert_eq!(parse_handler_line("<< "), HandlerLine::Nothing);
    }
}
