// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a key mean on the screen that is shown? The menu as a value: keys in, acts out.
//!
//! Pure: it reads nothing, runs nothing and draws nothing. Every act is a command line of this
//! program or one of the few things only a menu does, so that the menu can do nothing that the
//! command line would refuse. What changes something is asked before, and the cursor is then on
//! "no".

use std::path::PathBuf;

/// Rows of text on one page: 24 less the head, the foot and the line for the answer.
pub const PAGE_ROWS: usize = 19;

/// The word that has to be typed before everything on the data partition is given up.
pub const ERASE_WORD: &str = "ERASE";

/// Longest text that can be typed; a path on the stick.
const MAX_TYPED_CHARS: usize = 200;

/// A key, whatever terminal it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Return.
    Enter,
    /// Rub out the last letter.
    Rubout,
    /// Ctrl-C, or the line is gone.
    Leave,
    /// A letter or digit.
    Char(char),
}

/// What the shell around the menu has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Run a command line of this program and show what it says.
    Run(Vec<String>),
    /// Show the flight recorder and this boot's messages.
    Logs,
    /// Look for bundles: on removable media, or in the directory given.
    FindBundles(Option<PathBuf>),
    /// Verify a bundle and offer to install it.
    Inspect(PathBuf),
    /// Install a bundle, showing its progress.
    Install(PathBuf),
    /// Hand the terminal to a shell.
    Shell,
    /// Reboot in order.
    Reboot,
    /// End the menu.
    Quit,
}

/// What choosing a line does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Do it.
    Do(Act),
    /// Show another screen.
    Open(Box<Screen>),
    /// Do it and leave this screen: the answer to a question.
    Answer(Act),
    /// Leave this screen.
    Back,
}

/// One line that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The digit that chooses it.
    pub digit: char,
    /// What it says.
    pub label: String,
    pub(super) then: Then,
}

/// What a typed text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It has to be the word that confirms.
    EraseData,
    /// It is a directory with bundles.
    Directory,
}

/// One screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Lines to choose from.
    List {
        /// Headline.
        title: String,
        /// What to know before choosing.
        note: Vec<String>,
        /// The lines.
        items: Vec<Item>,
        /// Where the cursor is.
        at: usize,
    },
    /// A text to read.
    Text {
        /// Headline.
        title: String,
        /// The lines, each fit for the screen.
        lines: Vec<String>,
        /// The first one shown.
        top: usize,
    },
    /// A text to type.
    Entry {
        /// Headline.
        title: String,
        /// What to know before typing.
        note: Vec<String>,
        /// What was typed.
        typed: String,
        /// What it is for.
        purpose: Purpose,
    },
}

impl Screen {
    /// Its headline.
    #[must_use]
    pub fn title(&self) -> &str {
        match self {
            Self::List { title, .. } | Self::Text { title, .. } | Self::Entry { title, .. } => {
                title
            }
        }
    }
}

/// The screens that are open, the shown one last.
#[derive(Clone, Debug)]
pub struct Menu {
    main: Screen,
    above: Vec<Screen>,
}

impl Menu {
    /// The main menu.
    #[must_use]
    pub const fn new(main: Screen) -> Self {
        Self { main, above: Vec::new() }
    }

    /// The screen to show.
    #[must_use]
    pub fn screen(&self) -> &Screen {
        self.above.last().unwrap_or(&self.main)
    }

    /// Leaves all screens but the first.
    pub fn back_to_main(&mut self) {
        self.above.clear();
    }

    /// Shows another screen above; one of the same headline is the newer one of the two.
    pub fn open(&mut self, screen: Screen) {
        if self.above.last().is_some_and(|shown| shown.title() == screen.title()) {
            self.above.pop();
        }
        self.above.push(screen);
    }

    /// What a whole typed line means, for those who have no keys: a number, a text, or nothing
    /// but Return.
    pub fn press_line(&mut self, line: &str) -> Option<Act> {
        let line = line.trim();
        if matches!(self.screen(), Screen::Entry { .. }) {
            for letter in line.chars() {
                self.press(Key::Char(letter));
            }
            return self.press(Key::Enter);
        }
        // A line is no cursor: Return alone chooses nothing from a list.
        let is_list = matches!(self.screen(), Screen::List { .. });
        let mut letters = line.chars();
        match (letters.next(), letters.next()) {
            (None, _) if is_list => None,
            (None, _) => self.press(Key::Enter),
            (Some(only), None) => self.press(Key::Char(only)),
            (Some(_), Some(_)) => None,
        }
    }

    /// What a key means.
    pub fn press(&mut self, key: Key) -> Option<Act> {
        if key == Key::Leave {
            return Some(Act::Quit);
        }
        let shown = self.above.last_mut().unwrap_or(&mut self.main);
        let then = match shown {
            Screen::List { items, at, .. } => press_list(items, at, key),
            Screen::Text { lines, top, .. } => press_text(lines.len(), top, key),
            Screen::Entry { typed, purpose, .. } => press_entry(typed, *purpose, key),
        };
        match then? {
            Then::Do(act) => Some(act),
            Then::Open(screen) => {
                self.above.push(*screen);
                None
            }
            Then::Answer(act) => {
                self.above.pop();
                Some(act)
            }
            Then::Back => {
                self.above.pop();
                None
            }
        }
    }
}

/// Digits choose at once, Return chooses where the cursor is.
fn press_list(items: &[Item], at: &mut usize, key: Key) -> Option<Then> {
    let last = items.len().saturating_sub(1);
    match key {
        Key::Up => *at = at.checked_sub(1).unwrap_or(last),
        Key::Down => *at = if *at >= last { 0 } else { *at + 1 },
        Key::PageUp => *at = 0,
        Key::PageDown => *at = last,
        Key::Enter => return items.get(*at).map(|item| item.then.clone()),
        Key::Char(letter) => {
            let letter = if letter == 'q' { '0' } else { letter };
            return items.iter().find(|item| item.digit == letter).map(|item| item.then.clone());
        }
        Key::Rubout | Key::Leave => {}
    }
    None
}

/// Return goes on page by page and, at the end, back.
fn press_text(lines: usize, top: &mut usize, key: Key) -> Option<Then> {
    let end = lines.saturating_sub(PAGE_ROWS);
    match key {
        Key::Up => *top = top.saturating_sub(1),
        Key::Down => *top = (*top + 1).min(end),
        Key::PageUp | Key::Char('b') => *top = top.saturating_sub(PAGE_ROWS),
        Key::PageDown | Key::Char(' ') => *top = (*top + PAGE_ROWS).min(end),
        Key::Enter if *top >= end => return Some(Then::Back),
        Key::Enter => *top = (*top + PAGE_ROWS).min(end),
        Key::Char('0' | 'q') => return Some(Then::Back),
        Key::Char(_) | Key::Rubout | Key::Leave => {}
    }
    None
}

/// Return takes what was typed; what does not fit, or nothing, goes back.
fn press_entry(typed: &mut String, purpose: Purpose, key: Key) -> Option<Then> {
    match key {
        Key::Char(letter) if typed.chars().count() < MAX_TYPED_CHARS => typed.push(letter),
        Key::Rubout => {
            typed.pop();
        }
        Key::Enter => {
            let typed = typed.trim();
            return Some(match purpose {
                Purpose::EraseData if typed == ERASE_WORD => {
                    Then::Answer(Act::Run(words(&["repart", "--reset-data"])))
                }
                Purpose::Directory if !typed.is_empty() => {
                    Then::Answer(Act::FindBundles(Some(PathBuf::from(typed))))
                }
                Purpose::EraseData | Purpose::Directory => Then::Back,
            });
        }
        Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Leave | Key::Char(_) => {}
    }
    None
}

/// A command line of this program.
#[must_use]
pub fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

/// A list whose items are numbered from 1, with the way back as 0.
#[must_use]
pub fn list(title: &str, note: &[&str], lines: Vec<(String, Then)>, back: (&str, Then)) -> Screen {
    let mut items: Vec<Item> =
        ('1'..='9').zip(lines).map(|(digit, (label, then))| Item { digit, label, then }).collect();
    items.push(Item { digit: '0', label: back.0.to_owned(), then: back.1 });
    Screen::List {
        title: title.to_owned(),
        note: note.iter().map(|line| (*line).to_owned()).collect(),
        items,
        at: 0,
    }
}

/// A question before something is changed; the cursor is on "no".
#[must_use]
pub fn question(title: &str, note: &[&str], act: Act) -> Then {
    let no = ("No, go back", Then::Back);
    let mut screen = list(title, note, vec![("Yes, do it".to_owned(), Then::Answer(act))], no);
    if let Screen::List { at, items, .. } = &mut screen {
        *at = items.len().saturating_sub(1);
    }
    Then::Open(Box::new(screen))
}
