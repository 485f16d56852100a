// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the option grammar.

use super::*;
use proptest::prelude::*;

const fn entry(long: &'static str, short: Option<u8>, takes: Takes) -> Entry {
    Entry { long, short, takes, value: None, help: "", is_hidden: false, keeps: long }
}

const MAIN: Group = Group {
    title: "",
    entries: &[&[
        entry("conf", Some(b'c'), Takes::File),
        entry("confopt", Some(b'C'), Takes::TextOrNothing),
        entry("debug", Some(b'd'), Takes::Nothing),
        entry("cert", None, Takes::File),
    ]],
};

fn words(text: &str) -> Vec<OsString> {
    text.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect()
}

fn read(text: &str, strangers: Strangers) -> Result<(Given, Vec<OsString>), GrammarError> {
    let mut given = Given::default();
    let left = parse(&words(text), &[&MAIN], strangers, &mut given)?;
    Ok((given, left))
}

#[test]
fn options_stand_anywhere_and_values_in_both_notations() {
    let (given, left) = read("info -c a.conf b --cert=x=y --debug", Strangers::Refused).unwrap();
    assert_eq!(left, words("info b"));
    assert_eq!(given.last("conf"), Some(OsStr::new("a.conf")));
    assert_eq!(given.last("cert"), Some(OsStr::new("x=y")));
    assert!(given.has("debug"));
    assert_eq!(given.last("confopt"), None);
}

#[test]
fn strangers_stay_for_the_second_reading_or_are_refused_by_their_name() {
    let (_, left) = read("info --foo bar -dx --debug=1", Strangers::Left).unwrap();
    assert_eq!(left, words("info --foo bar -x --debug=1"));
    let refused = |text, option: &str| {
        let unknown = GrammarError::Unknown { option: option.to_owned() };
        assert_eq!(read(text, Strangers::Refused).unwrap_err(), unknown, "{text}");
    };
    refused("info --foobar", "--foobar");
    refused("--debug=1", "--debug=1");
    refused("-dx", "-x");
    refused("--certx", "--certx");
}

#[test]
fn a_missing_value_is_told_but_not_where_it_is_optional() {
    let missing = |text, option: &str| {
        let error = read(text, Strangers::Left).unwrap_err();
        assert_eq!(error, GrammarError::MissingValue { option: option.to_owned() });
    };
    missing("--cert", "--cert");
    missing("info -c", "-c");
    let (given, left) = read("-C --debug -C a:b=c info -C", Strangers::Refused).unwrap();
    let expected = [None, Some(OsString::from("a:b=c")), None];
    assert_eq!(given.all("confopt"), expected);
    assert!(given.has("debug"));
    assert_eq!(left, words("info"));
    let two = read("-cc x y", Strangers::Left).unwrap_err();
    assert_eq!(two, GrammarError::TwoValues { option: "-c".to_owned() });
}

#[test]
fn nothing_is_an_option_behind_the_end() {
    let (given, left) = read("a -- --debug", Strangers::Refused).unwrap();
    assert!(!given.has("debug"));
    assert_eq!(left, words("a --debug"));
    let (_, left) = read("--x a -- --debug", Strangers::Left).unwrap();
    assert_eq!(left, words("--x a -- --debug"));
}

#[test]
fn text_must_be_utf_8_and_file_names_need_not() {
    let odd = OsString::from_vec(vec![0xff]);
    let mut given = Given::default();
    let file = [OsString::from("-c"), odd.clone()];
    assert!(parse(&file, &[&MAIN], Strangers::Left, &mut given).is_ok());
    assert_eq!(given.last("conf"), Some(odd.as_os_str()));
    let text = [OsString::from("-C"), odd];
    let error = parse(&text, &[&MAIN], Strangers::Left, &mut given).unwrap_err();
    assert_eq!(error, GrammarError::NotText);
}

proptest! {
    /// Whatever is given, words that are no options come through in their order.
    #[test]
    fn plain_words_are_never_lost(text in proptest::collection::vec("[a-z]{1,4}|-d|--debug", 0..12)) {
        let words: Vec<OsString> = text.iter().map(OsString::from).collect();
        let mut given = Given::default();
        let left = parse(&words, &[&MAIN], Strangers::Refused, &mut given).unwrap();
        let plain: Vec<OsString> =
            words.into_iter().filter(|word| !word.as_bytes().starts_with(b"-")).collect();
        prop_assert_eq!(left, plain);
    }
}
