// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the command line as a whole, against what the real program prints.

use super::*;
use crate::rauc::commands::{ConfigUse, Verb};

fn ask(line: &str) -> Asked {
    let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    read(&words, "rauc 1.15.2", true)
}

fn printed(line: &str) -> (Option<String>, String, u8) {
    match ask(line) {
        Asked::Print { complaint, text, code } => (complaint, text, code),
        Asked::Run(request) => panic!("{line} runs {}", request.command.name),
    }
}

fn request(line: &str) -> Request {
    match ask(line) {
        Asked::Run(request) => *request,
        Asked::Print { complaint, text, .. } => panic!("{line}: {complaint:?} {text}"),
    }
}

#[test]
fn without_a_command_the_usage_is_printed_and_only_asked_for_help_is_success() {
    let (complaint, text, code) = printed("");
    assert_eq!((complaint, code), (None, 1));
    assert!(text.starts_with("Usage:\n  rauc [OPTION…] <COMMAND>\n\nOptions:\n"), "{text}");
    assert_eq!(printed("--help").2, 0);
    assert_eq!(printed("-h").1, text);
    assert_eq!(printed("--version"), (None, "rauc 1.15.2\n".to_owned(), 0));
    let (_, text, code) = printed("dothis --help");
    assert!(text.starts_with("Invalid command 'dothis' given\nUsage:"), "{text}");
    assert_eq!(code, 1);
}

#[test]
fn the_help_of_a_command_has_its_options_first_and_columns_as_wide_as_glibs() {
    let (complaint, text, code) = printed("info --foobar");
    assert_eq!(complaint.as_deref(), Some("Unknown option --foobar"));
    assert_eq!(code, 1);
    let start = "Usage:\n  rauc [OPTION…] info <BUNDLE>\n\nPrint bundle info\n\nInfo options:\n  \
                 --keyring=PEMFILE                     keyring file\n";
    assert!(text.starts_with(start), "{text}");
    let end = "Application Options:\n  \
               -c, --conf=FILENAME                   config file\n  \
               -C, --confopt=SECTION:KEY=VALUE       config settings that override parameters \
               from the config file\n  \
               --mount=PATH                          mount prefix\n  \
               -d, --debug                           enable debug output\n  \
               --version                             display version\n  \
               -h, --help                            display help and exit\n\n";
    assert!(text.ends_with(end), "{text}");
    // Written by GLib for RAUC 1.8, whose widest option was this one.
    assert!(printed("write-slot --help").1.contains("  -t, --image-type=TYPE     "));
    assert!(!printed("write-slot --help").1.contains("image-type-compat"));
}

#[test]
fn global_options_stand_before_and_behind_the_command() {
    let request =
        request("--cert a.pem bundle --key=b.pem in --intermediate c --intermediate d out");
    assert_eq!(request.command.verb, Verb::Bundle);
    assert_eq!(request.words, ["in", "out"]);
    assert_eq!(request.path("cert"), Some(PathBuf::from("a.pem")));
    assert_eq!(request.path("key"), Some(PathBuf::from("b.pem")));
    assert_eq!(request.paths("intermediate"), [PathBuf::from("c"), PathBuf::from("d")]);
    assert_eq!(request.command.config, ConfigUse::Unused);
}

#[test]
fn a_commands_option_with_an_equals_sign_may_stand_before_it() {
    let service = request("-c x.conf --override-boot-slot=A service");
    assert_eq!(service.command.verb, Verb::Service);
    assert_eq!(service.given.text("override-boot-slot").as_deref(), Some("A"));
    // As in RAUC, its value as a word of its own is taken for the command.
    assert!(printed("--output-format json info x").1.starts_with("Invalid command 'json'"));
    assert_eq!(request("write-slot -l raw a b").given.text("image-type").as_deref(), Some("raw"));
}

#[test]
fn overrides_are_refused_in_raucs_words() {
    let complaint = |line| printed(line).0.unwrap();
    assert_eq!(complaint("info -C a:b"), "Error in parsing override: Missing '='");
    assert_eq!(complaint("info -C ab=c"), "Error in parsing override: Missing ':'");
    assert!(complaint("info -C").ends_with("specify it in format SECTION:KEY=VALUE"));
    let request = request("info -C a:b=c:d=e --confopt=f:g= x");
    let expected = [("a", "b", "c:d=e"), ("f", "g", "")];
    let found = request.overrides.iter().map(|o| (&*o.section, &*o.key, &*o.value));
    assert!(found.eq(expected));
}

#[test]
fn words_are_counted_and_the_excess_one_named() {
    let words = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
    assert_eq!(exactly(&words("a"), ["one", "two"]), Err("two".to_owned()));
    assert_eq!(exactly(&words("a b c"), ["one", "two"]), Err("Excess argument: c".to_owned()));
    assert_eq!(exactly(&words("a b"), ["", ""]).unwrap(), ["a", "b"]);
}
