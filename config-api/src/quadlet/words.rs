// SPDX-License-Identifier: MIT OR Apache-2.0
//! What words does Quadlet see in this value? It takes some values apart as systemd does: at white
//! space, with quotes, and with the escapes of C. Others it leaves whole; a rule that holds for both
//! readings is held against the words and against the text.

use std::iter::Peekable;
use std::str::Chars;

/// The words of a value, without quotes and escapes. What Quadlet would refuse (a quote that does
/// not end) is read to its end; unknown escapes stay as they are.
pub(super) fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = value.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', _) => word.get_or_insert_default().push_str(&unescaped(&mut letters)),
            (_, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (' ' | '\t' | '\n' | '\r', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// What follows a backslash, taken from `letters`.
fn unescaped(letters: &mut Peekable<Chars<'_>>) -> String {
    let Some(first) = letters.next() else { return "\\".to_owned() };
    let known = match first {
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\u{b}'),
        's' => Some(' '),
        '\\' | '"' | '\'' => Some(first),
        'x' => number(letters, 2, 16),
        'u' => number(letters, 4, 16),
        'U' => number(letters, 8, 16),
        '0'..='7' => {
            let mut octal = letters.clone();
            let rest = number(&mut octal, 2, 8);
            let high = first.to_digit(8).unwrap_or_default() << 6;
            let letter = rest.and_then(|rest| char::from_u32(high | u32::from(rest)));
            if letter.is_some() {
                *letters = octal;
            }
            letter
        }
        _ => None,
    };
    known.map_or_else(|| format!("\\{first}"), String::from)
}

/// The letter with this number, if exactly so many digits say one.
fn number(letters: &mut Peekable<Chars<'_>>, digits: usize, radix: u32) -> Option<char> {
    let text: String = letters.clone().take(digits).collect();
    let whole = text.chars().count() == digits && text.chars().all(|c| c.is_digit(radix));
    let letter = u32::from_str_radix(&text, radix).ok().filter(|_| whole).map(char::from_u32)??;
    letters.nth(digits - 1);
    Some(letter)
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn values_are_taken_apart_as_quadlet_does() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  a\tb  ", &["a", "b"]),
            (r#"a"b c"d 'e f'"#, &["ab cd", "e f"]),
            (r#""" x"#, &["", "x"]),
            (r"\x2e\056\u002e\U0000002e", &["...."]),
            (r"a\ b", &["a\\ b"]),
            (r"\q\x2\8", &[r"\q\x2\8"]),
            (r#""\"" '\''"#, &["\"", "'"]),
            (r"a\sb\tc", &["a b\tc"]),
            (r#""open"#, &["open"]),
            ("end\\", &["end\\"]),
        ];
        for (value, wanted) in table {
            assert_eq!(words(value), *wanted, "{value}");
        }
    }
}
