// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which words does a line of options have? The quoting of a POSIX shell without its substitutions,
//! as GLib's `g_shell_parse_argv` understands it; nothing is ever run by a shell.

/// A line that has no words by these rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShellWordsError {
    /// A quote has no end.
    #[error("a quote {0} has no end")]
    OpenQuote(char),
    /// The line ends with a backslash.
    #[error("nothing follows the backslash at the end")]
    LoneBackslash,
}

/// The words of `line`; none when it is blank.
///
/// # Errors
/// [`ShellWordsError`].
pub fn split_shell_words(line: &str) -> Result<Vec<String>, ShellWordsError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(letter) = rest.next() {
        match letter {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            // A comment, where a word could begin.
            '#' if word.is_none() => {
                rest.by_ref().find(|letter| *letter == '\n');
            }
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(letter) => word.push(letter),
                        None => return Err(ShellWordsError::OpenQuote('\'')),
                    }
                }
            }
            '"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            '\\' => match rest.next() {
                Some('\n') => {}
                Some(letter) => word.get_or_insert_default().push(letter),
                None => return Err(ShellWordsError::LoneBackslash),
            },
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Up to the closing quote; a backslash protects `$`, `` ` ``, `"`, `\` and a line's end alone.
fn double_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), ShellWordsError> {
    loop {
        match rest.next() {
            Some('"') => return Ok(()),
            Some('\\') => match rest.next() {
                Some(letter @ ('$' | '`' | '"' | '\\')) => word.push(letter),
                Some('\n') => {}
                Some(letter) => word.extend(['\\', letter]),
                None => return Err(ShellWordsError::OpenQuote('"')),
            },
            Some(letter) => word.push(letter),
            None => return Err(ShellWordsError::OpenQuote('"')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_a_shells() {
        for (line, words) in [
            ("", &[][..]),
            (" \t\n ", &[]),
            (
                "-E lazy_itable_init=0  -O ^metadata_csum",
                &["-E", "lazy_itable_init=0", "-O", "^metadata_csum"],
            ),
            ("a'b c'd \"e f\"", &["ab cd", "e f"]),
            ("'' \"\" x", &["", "", "x"]),
            (r#"a\ b "\$\`\"\\\n" '\'"#, &["a b", "$`\"\\\\n", "\\"]),
            ("a#b #comment here\nc", &["a#b", "c"]),
            ("$HOME `id` $(id) ; |", &["$HOME", "`id`", "$(id)", ";", "|"]),
        ] {
            assert_eq!(split_shell_words(line).unwrap(), words, "{line:?}");
        }
    }

    #[test]
    fn what_has_no_end_is_refused() {
        assert_eq!(split_shell_words("a 'b"), Err(ShellWordsError::OpenQuote('\'')));
        assert_eq!(split_shell_words("a \"b\\"), Err(ShellWordsError::OpenQuote('"')));
        assert_eq!(split_shell_words("a\\"), Err(ShellWordsError::LoneBackslash));
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words in prop::collection::vec(".*", 0..5)) {
            let quoted: Vec<String> =
                words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
            prop_assert_eq!(split_shell_words(&quoted.join(" ")).unwrap(), words);
        }
    }
}
