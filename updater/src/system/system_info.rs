// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did the system-info handler say? Lines `RAUC_NAME=value` on either output; others are
//! ignored, and the last of a name counts.

use std::collections::BTreeMap;

/// More than this is no handler's answer, but a program gone wild.
pub const MAX_VARIABLES: usize = 1024;
/// Longest name or value kept; the kernel takes no longer argument or variable than 128 KiB.
const MAX_LINE_BYTES: usize = 32 * 1024;
/// What names of HTTP headers begin with in the handler's answer.
const HTTP_PREFIX: &str = "RAUC_HTTP_";

/// The variables of the system-info handler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemInfo {
    variables: BTreeMap<String, String>,
}

impl SystemInfo {
    /// Takes a line of the handler; gives back what is odd about it.
    pub fn take_line(&mut self, line: &str) -> Option<String> {
        if !line.starts_with("RAUC_") {
            return None;
        }
        let Some((name, value)) = line.split_once('=') else {
            let shown: String = line.chars().take(80).collect();
            return Some(format!("Failed to convert '{shown}' line to variable"));
        };
        if name.contains('\0') || value.contains('\0') || line.len() > MAX_LINE_BYTES {
            return Some("Ignoring a system-info line that cannot be a variable".to_owned());
        }
        if self.variables.len() >= MAX_VARIABLES && !self.variables.contains_key(name) {
            return Some(format!("Ignoring more than {MAX_VARIABLES} system-info variables"));
        }
        self.variables.insert(name.to_owned(), value.to_owned());
        None
    }

    /// A variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// All variables by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `RAUC_HTTP_<X>` as headers `RAUC-<X>`; what could end a header line is left out.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let named = self.iter().filter_map(|(name, value)| {
            let header = name.strip_prefix(HTTP_PREFIX)?.replace('_', "-");
            let fits = !header.is_empty()
                && header.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !value.contains(char::is_control);
            fits.then(|| (format!("RAUC-{header}"), value.to_owned()))
        });
        named.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_taken_and_everything_else_is_ignored() {
        let mut info = SystemInfo::default();
        let lines = ["hello", "RAUC_SYSTEM_SERIAL=12 34", "RAUC_X=a=b", "RAUC_X=c=d", "XRAUC_Y=1"];
        assert!(lines.iter().all(|line| info.take_line(line).is_none()));
        assert_eq!(
            info.take_line("RAUC_BROKEN").unwrap(),
            "Failed to convert 'RAUC_BROKEN' line to variable"
        );
        let all: Vec<_> = info.iter().collect();
        assert_eq!(all, [("RAUC_SYSTEM_SERIAL", "12 34"), ("RAUC_X", "c=d")]);
    }

    #[test]
    fn http_variables_become_headers_and_none_can_smuggle_another() {
        let mut info = SystemInfo::default();
        for line in ["RAUC_HTTP_MY_NAME=1", "RAUC_HTTP_A:B=2", "RAUC_HTTP_C=x\ry", "RAUC_HTTP_=3"] {
            assert_eq!(info.take_line(line), None);
        }
        assert_eq!(info.headers(), [("RAUC-MY-NAME".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn a_handler_gone_wild_does_not_fill_the_memory() {
        let mut info = SystemInfo::default();
        for number in 0..MAX_VARIABLES + 10 {
            let said = info.take_line(&format!("RAUC_{number}=1"));
            assert_eq!(said.is_some(), number >= MAX_VARIABLES);
        }
        assert_eq!(info.take_line("RAUC_1=2"), None);
        assert_eq!(info.get("RAUC_1"), Some("2"));
        assert!(info.take_line(&format!("RAUC_1={}", "x".repeat(40_000))).is_some());
    }
}
