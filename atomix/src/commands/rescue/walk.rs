// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every screen of the menu, walked through as a technician could.

use super::draw::{COLUMNS, Keys, ROWS, draw, fold, warn_if_small};
use super::menu::{Act, ERASE_WORD, Key, Menu, PAGE_ROWS, Screen, Then};
use super::screens::{Candidate, MAX_OFFERED, candidates, main, offer, text};
use crate::cli::Cli;
use clap::Parser;
use std::path::PathBuf;

/// Deep enough for any path; the longest that a stick could have in a name.
fn long_path() -> PathBuf {
    PathBuf::from(format!("/media/usb/{}/update.raucb", "very-long-name".repeat(14)))
}

/// Every screen that can be reached from the first one or from a find.
fn every_screen() -> Vec<Screen> {
    let many: Vec<Candidate> =
        (0..30).map(|bytes| Candidate { path: long_path(), bytes: bytes << 40 }).collect();
    let looked: Vec<String> = (0..20).map(|n| format!("/media/stick-{n}")).collect();
    let said = fold(&"what an install would do ".repeat(30));
    let mut left = vec![
        main(),
        candidates(&[], &[]),
        candidates(&many, &looked),
        offer(long_path(), &said),
        text("a\u{1b}[2Jtitle", said.clone()),
        text("long", fold(&"line\n".repeat(500))),
        text(&long_path().display().to_string(), Vec::new()),
    ];
    let mut all = Vec::new();
    while let Some(screen) = left.pop() {
        if let Screen::List { items, .. } = &screen {
            for item in items {
                if let Then::Open(next) = &item.then {
                    left.push((**next).clone());
                }
            }
        }
        all.push(screen);
    }
    assert!(all.len() > 20, "{}", all.len());
    all
}

#[test]
fn every_screen_fits_24_lines_of_80_columns_and_steers_no_terminal() {
    for screen in every_screen() {
        for keys in [Keys::Single, Keys::Lines] {
            let rows = draw(&screen, keys);
            assert!(rows.len() <= ROWS, "{} rows: {rows:#?}", rows.len());
            for row in &rows {
                assert!(row.chars().count() <= COLUMNS, "{row}");
                assert!(!row.chars().any(char::is_control), "{row:?}");
            }
        }
    }
}

/// On a smaller one the prompt stays where it is, and the person is told.
#[test]
fn a_small_terminal_is_told_of_without_another_line() {
    for screen in every_screen() {
        for (lines, columns) in [(ROWS, COLUMNS - 1), (ROWS - 1, COLUMNS), (5, 20)] {
            let (before, mut rows) = (draw(&screen, Keys::Single), draw(&screen, Keys::Single));
            warn_if_small(&mut rows, lines, columns);
            assert_eq!((rows.len(), rows.last()), (before.len(), before.last()));
            let lost: Vec<_> = before.iter().filter(|row| !rows.contains(row)).collect();
            assert!(lost.iter().all(|row| row.is_empty()), "{lost:?}");
            let told = format!("{columns}x{lines}: the menu needs 80x24");
            assert!(rows[rows.len() - 2].contains(&told), "{rows:#?}");
        }
        let mut rows = draw(&screen, Keys::Single);
        warn_if_small(&mut rows, ROWS, COLUMNS);
        assert_eq!(rows, draw(&screen, Keys::Single));
    }
}

#[test]
fn every_choice_has_a_digit_of_its_own_and_zero_leads_back() {
    for screen in every_screen() {
        let Screen::List { items, title, .. } = &screen else { continue };
        let digits: Vec<char> = items.iter().map(|item| item.digit).collect();
        let expected: Vec<char> = ('1'..='9').take(items.len() - 1).chain(['0']).collect();
        assert_eq!(digits, expected, "{title}");
        let back = &items.last().unwrap().then;
        assert!(matches!(back, Then::Back | Then::Do(Act::Quit)), "{title}: {back:?}");
    }
}

#[test]
fn every_command_line_of_the_menu_is_one_that_the_program_takes() {
    let mut lines = 0;
    for screen in every_screen() {
        let Screen::List { items, .. } = screen else { continue };
        for item in items {
            if let Then::Do(Act::Run(line)) | Then::Answer(Act::Run(line)) = item.then {
                lines += 1;
                let whole = ["atomix".to_owned()].into_iter().chain(line.clone());
                assert!(Cli::try_parse_from(whole).is_ok(), "{line:?}");
            }
        }
    }
    assert!(lines >= 11, "{lines}");
}

/// Only these change nothing and may be done at one key.
#[test]
fn nothing_is_changed_without_a_question() {
    let harmless = ["status", "why --last 8", "doctor", "boot state", "repart --keep-data"];
    for screen in every_screen() {
        let Screen::List { items, title, .. } = screen else { continue };
        for item in items {
            match item.then {
                Then::Do(Act::Run(line)) => {
                    assert!(harmless.contains(&line.join(" ").as_str()), "{title}: {line:?}");
                }
                Then::Do(act) => assert!(
                    !matches!(act, Act::Install(_) | Act::Reboot),
                    "{title}: {act:?} without a question"
                ),
                Then::Answer(_) => assert!(title.ends_with('?'), "{title}"),
                Then::Open(_) | Then::Back => {}
            }
        }
    }
}

#[test]
fn a_question_has_its_cursor_on_no() {
    for screen in every_screen() {
        let Screen::List { title, .. } = &screen else { continue };
        if title.ends_with('?') {
            let mut menu = Menu::new(main());
            menu.open(screen.clone());
            assert_eq!(menu.press(Key::Enter), None, "{title}");
            assert_eq!(menu.screen(), &main(), "{title}");
        }
    }
}

#[test]
fn arrows_and_numbers_reach_the_same() {
    let why = || Some(Act::Run(["why", "--last", "8"].map(str::to_owned).to_vec()));
    let mut by_number = Menu::new(main());
    assert_eq!(by_number.press(Key::Char('3')), why());
    let mut by_arrow = Menu::new(main());
    for key in [Key::Down, Key::Down] {
        assert_eq!(by_arrow.press(key), None);
    }
    assert_eq!(by_arrow.press(Key::Enter), why());
    // Up from the top is the bottom.
    let mut around = Menu::new(main());
    around.press(Key::Up);
    assert_eq!(around.press(Key::Enter), Some(Act::Quit));
    assert_eq!(Menu::new(main()).press_line(" 3 "), why());
    assert_eq!(Menu::new(main()).press_line("33"), None);
    assert_eq!(Menu::new(main()).press_line(""), None);
}

#[test]
fn data_is_given_up_only_for_the_whole_word() {
    let typed = |word: &str| {
        let mut menu = Menu::new(main());
        assert_eq!(menu.press(Key::Char('7')), None);
        assert_eq!(menu.press(Key::Char('1')), None);
        assert!(matches!(menu.screen(), Screen::Entry { .. }));
        menu.press_line(word)
    };
    for word in ["", "erase", "ERAS", "ERASE!", "yes", "1"] {
        assert_eq!(typed(word), None, "{word}");
    }
    let act = typed(ERASE_WORD);
    assert_eq!(act, Some(Act::Run(vec!["repart".to_owned(), "--reset-data".to_owned()])));
    // The letters of a digit menu are letters here, and can be rubbed out.
    let mut menu = Menu::new(main());
    for key in ['7', '1', '0'].map(Key::Char).into_iter().chain([Key::Rubout]) {
        menu.press(key);
    }
    assert_eq!(menu.press_line(ERASE_WORD), act);
}

#[test]
fn a_long_text_is_read_page_by_page_and_left_at_its_end() {
    let lines: Vec<String> = (0..50).map(|number| format!("line {number}")).collect();
    let mut menu = Menu::new(main());
    menu.open(text("long", lines));
    let mut seen = Vec::new();
    while matches!(menu.screen(), Screen::Text { .. }) {
        seen.extend(
            draw(menu.screen(), Keys::Lines).into_iter().filter(|r| r.starts_with("line ")),
        );
        assert_eq!(menu.press(Key::Enter), None);
        assert!(seen.len() <= 4 * PAGE_ROWS);
    }
    for number in 0..50 {
        assert!(seen.contains(&format!("line {number}")), "line {number} was not shown");
    }
}

#[test]
fn a_bundle_is_offered_by_its_number_and_more_than_fit_are_told_of() {
    let many: Vec<Candidate> = (0..12)
        .map(|n| Candidate { path: PathBuf::from(format!("/media/{n:02}.raucb")), bytes: 5 })
        .collect();
    let mut menu = Menu::new(main());
    menu.open(candidates(&many, &[]));
    let rows = draw(menu.screen(), Keys::Single).join("\n");
    assert!(rows.contains(&format!("{} more are not shown", 12 - MAX_OFFERED)), "{rows}");
    let act = menu.press(Key::Char('2'));
    assert_eq!(act, Some(Act::Inspect(PathBuf::from("/media/01.raucb"))));
}

#[test]
fn a_line_that_is_gone_ends_the_menu_from_everywhere() {
    for screen in every_screen() {
        let mut menu = Menu::new(main());
        menu.open(screen);
        assert_eq!(menu.press(Key::Leave), Some(Act::Quit));
    }
}
