// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which key was that? From what a terminal sends to the menu's keys.
//!
//! A slow serial line may deliver the three bytes of an arrow one by one, with pauses. So no time
//! decides: an escape waits for what follows it, and means nothing alone.

use super::menu::Key;

/// Puts the pieces of a key together.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Pending,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pending {
    #[default]
    Nothing,
    /// An escape came.
    Escape,
    /// An escape and `[` or `O` came.
    Sequence,
    /// A digit came after these; a tilde ends it.
    Number(char),
}

impl Decoder {
    /// The key that is complete with `read`, if one is.
    pub fn take(&mut self, read: &console::Key) -> Option<Key> {
        use console::Key as K;
        #[expect(clippy::wildcard_enum_match_arm, reason = "the crate may learn further keys")]
        let whole = match read {
            K::Char(letter) => return self.letter(*letter),
            K::UnknownEscSeq(letters) => {
                self.pending = Pending::Escape;
                return letters.iter().fold(None, |_, letter| self.letter(*letter));
            }
            K::Escape => {
                self.pending = Pending::Escape;
                return None;
            }
            K::ArrowUp => Some(Key::Up),
            K::ArrowDown => Some(Key::Down),
            K::PageUp | K::Home => Some(Key::PageUp),
            K::PageDown | K::End => Some(Key::PageDown),
            K::Enter => Some(Key::Enter),
            K::Backspace | K::Del => Some(Key::Rubout),
            K::CtrlC => Some(Key::Leave),
            _ => None,
        };
        self.pending = Pending::Nothing;
        whole
    }

    fn letter(&mut self, letter: char) -> Option<Key> {
        let pending = std::mem::take(&mut self.pending);
        match (pending, letter) {
            (Pending::Nothing, _) => Some(Key::Char(letter)),
            (Pending::Escape, '[' | 'O') => {
                self.pending = Pending::Sequence;
                None
            }
            (Pending::Sequence, 'A') => Some(Key::Up),
            (Pending::Sequence, 'B') => Some(Key::Down),
            (Pending::Sequence, digit) if digit.is_ascii_digit() => {
                self.pending = Pending::Number(digit);
                None
            }
            (Pending::Number('5'), '~') => Some(Key::PageUp),
            (Pending::Number('6'), '~') => Some(Key::PageDown),
            // A digit after an escape that led nowhere is a choice.
            (Pending::Escape, _) => Some(Key::Char(letter)),
            (Pending::Sequence | Pending::Number(_), _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use console::Key as K;

    fn keys(read: &[K]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        read.iter().filter_map(|key| decoder.take(key)).collect()
    }

    #[test]
    fn an_arrow_is_one_key_however_slowly_it_arrives() {
        for pieces in [
            vec![K::ArrowUp],
            vec![K::Escape, K::Char('['), K::Char('A')],
            vec![K::UnknownEscSeq(vec!['[']), K::Char('A')],
            vec![K::UnknownEscSeq(vec!['O']), K::Char('A')],
        ] {
            assert_eq!(keys(&pieces), [Key::Up], "{pieces:?}");
        }
        let pieces = [K::UnknownEscSeq(vec!['[', '6']), K::Char('~'), K::Char('1')];
        assert_eq!(keys(&pieces), [Key::PageDown, Key::Char('1')]);
    }

    #[test]
    fn an_escape_alone_does_nothing_and_hides_no_choice() {
        assert_eq!(keys(&[K::Escape, K::Escape, K::Char('3')]), [Key::Char('3')]);
        assert_eq!(keys(&[K::Escape, K::Enter, K::Char('[')]), [Key::Enter, Key::Char('[')]);
    }
}
