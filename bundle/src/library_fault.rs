// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did a cryptographic library object to, in words for people?
//!
//! OpenSSL keeps a stack of reasons, the first the deepest, each with codes and places in its own
//! source that help nobody who installs a bundle. The reasons are kept, the rest is not. This is
//! the only place where words of these libraries become ours.

use openssl::error::ErrorStack;

/// Why a cryptographic library refused, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct LibraryFault {
    words: String,
}

impl From<ErrorStack> for LibraryFault {
    fn from(stack: ErrorStack) -> Self {
        let mut reasons: Vec<String> = Vec::new();
        // The last reason is the act that failed, the ones before it say why.
        for reason in stack.errors().iter().rev() {
            let told = reason.reason().filter(|reason| !only_forwards(reason));
            let Some(mut words) = told.map(in_plain_words) else { continue };
            // What stands in the place of the PEM block that was looked for is the reason.
            if let Some(expected) = reason.data().filter(|data| data.starts_with("Expecting: ")) {
                words = format!("{words} ({expected})");
            }
            if !reasons.contains(&words) {
                reasons.push(words);
            }
        }
        if reasons.is_empty() {
            reasons.push("OpenSSL gives no reason".to_owned());
        }
        Self { words: reasons.join(": ") }
    }
}

impl LibraryFault {
    /// The words of a library that has no type of its own here.
    pub(crate) fn of_words(words: &str) -> Self {
        Self { words: in_plain_words(words) }
    }
}

impl From<der::Error> for LibraryFault {
    fn from(cause: der::Error) -> Self {
        Self { words: in_plain_words(&cause.to_string()) }
    }
}

/// Whether the reason only says that another one, further down the stack, is the reason.
fn only_forwards(reason: &str) -> bool {
    reason.ends_with(" lib") || reason == "nested asn1 error"
}

/// A library's text as a part of a sentence of ours: names such as CMS keep their capitals, other
/// first words lose theirs, and "error" is no word of ours.
pub(crate) fn in_plain_words(text: &str) -> String {
    let words: Vec<String> = text.split_ascii_whitespace().map(plain_word).collect();
    let mut letters = words.join(" ");
    let mut start = letters.chars();
    let is_name = match (start.next(), start.next()) {
        (Some(_), Some(second)) => !second.is_lowercase(),
        (Some(_) | None, None) | (None, Some(_)) => true,
    };
    if !is_name && let Some(first) = letters.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    letters
}

fn plain_word(word: &str) -> String {
    match word.to_ascii_lowercase().as_str() {
        "error" | "error:" => word.to_ascii_lowercase().replace("error", "failure"),
        "errors" => "failures".to_owned(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_capitals_and_errors_and_names_do_not() {
        let cases = [
            ("Certificate verify error", "certificate verify failure"),
            ("Verify error: date/time", "verify failure: date/time"),
            ("CRL is not yet valid", "CRL is not yet valid"),
            ("EE certificate key too weak", "EE certificate key too weak"),
            ("Different CRL scope", "different CRL scope"),
            ("date/time error at DER byte 4", "date/time failure at DER byte 4"),
            ("", ""),
            ("É", "É"),
        ];
        for (text, expected) in cases {
            assert_eq!(in_plain_words(text), expected);
        }
    }

    #[test]
    fn stack_without_a_reason_still_says_something() {
        assert!(ErrorStack::get().errors().is_empty());
        let fault = LibraryFault::from(ErrorStack::get());
        assert_eq!(fault.to_string(), "OpenSSL gives no reason");
    }
}
