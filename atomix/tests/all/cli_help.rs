// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the program says about itself: help that fits a serial console, manual pages and
//! completions that know every option.

use crate::cli_board::SmallBoard;
use atomix::cli::Cli;
use clap::{Command, CommandFactory};
use std::fs;

const COLUMNS: usize = 80;

/// Verbs that may begin the first line of a command's help. A new command brings its own.
const VERBS: [&str; 34] = [
    "Answer", "Ask", "Run", "Follow", "Boot", "Build", "Check", "Compare", "Confirm", "Create",
    "Exclude", "Explain", "Find", "Give", "Inspect", "Install", "List", "Look", "Mark", "Print",
    "Probe", "Publish", "Read", "Record", "Repair", "Serve", "Set", "Show", "Tell", "Verify",
    "Write", "Remove", "Extract", "Validate",
];

/// Every command with the words that lead to it.
fn commands() -> Vec<(String, Command)> {
    let mut root = Cli::command();
    root.build();
    let mut found = Vec::new();
    collect("atomix", &root, &mut found);
    found
}

fn collect(words: &str, command: &Command, into: &mut Vec<(String, Command)>) {
    into.push((words.to_owned(), command.clone()));
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        collect(&format!("{words} {}", verb.get_name()), verb, into);
    }
}

#[test]
fn every_first_line_is_an_order_without_a_full_stop() {
    for (words, command) in commands().into_iter().skip(1) {
        let about =
            command.get_about().unwrap_or_else(|| panic!("{words} says nothing")).to_string();
        let first = about.lines().next().unwrap();
        assert!(!first.ends_with('.'), "{words}: {first}");
        let verb = first.split([' ', ',']).next().unwrap();
        assert!(VERBS.contains(&verb), "{words}: {verb:?} is no verb this test knows");
        assert!(first.len() <= COLUMNS, "{words}: {first}");
    }
}

#[test]
fn every_argument_says_what_it_is() {
    for (words, command) in commands() {
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty(), "{words}: {} says nothing", argument.get_id());
        }
    }
}

#[test]
fn help_of_every_command_fits_a_serial_console() {
    let board = SmallBoard::new();
    // What is behind `rauc` is RAUC's, its help included.
    for (words, _) in commands().iter().filter(|(words, _)| words != "atomix rauc") {
        let args: Vec<&str> = words.split(' ').skip(1).collect();
        for form in ["-h", "--help"] {
            let ran = board.run(&[args.as_slice(), &[form]].concat());
            assert_eq!(ran.code, 0, "{words} {form}");
            let wide = ran.stderr.lines().find(|line| line.chars().count() > COLUMNS);
            assert_eq!(wide, None, "{words} {form}");
            assert!(ran.stderr.contains("Usage: atomix"), "{words} {form}: {}", ran.stderr);
        }
    }
}

/// Options that every command takes, in their order.
const GENERAL: [&str; 5] = ["--root", "--board", "--json", "--help", "--version"];

/// The options of a command in the order in which its help has them.
fn listed(help: &str) -> Vec<&str> {
    let options = help.lines().skip_while(|line| *line != "Options:").skip(1);
    let name = |line: &'_ str| -> Option<usize> {
        let text = line.trim_start();
        let is_head = text.starts_with('-') && line.len() - text.len() <= 6;
        is_head.then(|| line.find("--")).flatten()
    };
    options.filter_map(|line| line.get(name(line)?..)?.split([' ', ',']).next()).collect()
}

#[test]
fn a_commands_own_options_come_first_what_it_demands_before_the_rest_and_general_ones_last() {
    let board = SmallBoard::new();
    let mut late = Vec::new();
    for (words, command) in commands().iter().filter(|(words, _)| words != "atomix rauc") {
        let args: Vec<&str> = words.split(' ').skip(1).collect();
        let ran = board.run(&[args.as_slice(), &["-h"]].concat());
        let found = listed(&ran.stderr);
        let own = found.len().saturating_sub(GENERAL.len());
        let (own, general) = found.split_at(own);
        assert_eq!(general, GENERAL, "{words}: {}", ran.stderr);
        let demanded = |option: &&str| {
            let name = option.trim_start_matches("--");
            let mut arguments = command.get_arguments();
            let found = arguments.find(|argument| argument.get_long() == Some(name));
            found.unwrap_or_else(|| panic!("{words} {option}")).is_required_set()
        };
        let rest = own.iter().skip_while(|option| demanded(option));
        let behind = rest.filter(|option| demanded(option));
        late.extend(behind.map(|option| format!("{words} {option}")));
    }
    assert_eq!(late, Vec::<String>::new(), "these stand behind what may be left out");
}

#[test]
fn completions_of_every_shell_know_every_command() {
    let board = SmallBoard::new();
    for (shell, mark) in
        [("bash", "complete -F"), ("zsh", "#compdef atomix"), ("fish", "complete -c atomix")]
    {
        let ran = board.run(&["completions", shell]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains(mark), "{shell}");
        for (words, _) in commands().iter().skip(1) {
            let last = words.rsplit(' ').next().unwrap();
            assert!(ran.stdout.contains(last), "{shell} does not know {words}");
        }
        // What the terminal must not get is not in a script either: it passes unchanged.
        assert!(!ran.stdout.contains("\\u00"), "{shell} script was changed on its way out");
    }
    assert_eq!(board.run(&["completions", "no-such-shell"]).code, 2);
}

#[test]
fn manual_has_a_page_for_every_command_that_lists_every_option() {
    let board = SmallBoard::new();
    let dir = board.path("/man");
    let ran = board.run(&["man", dir.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let commands = commands();
    for (words, command) in &commands {
        let name = words.replace(' ', "-");
        let page = fs::read_to_string(dir.join(format!("{name}.1"))).unwrap();
        assert!(page.starts_with(".ie") || page.starts_with(".TH"), "{name}: {page:.40}");
        assert!(page.contains(&format!(".TH {name} 1")), "{name} has another title");
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}");
        // Pages write a dash as \-.
        let page = page.replace("\\-", "-");
        for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(page.contains(&format!("--{option}")), "{name} does not list --{option}");
        }
    }
    assert_eq!(fs::read_dir(dir).unwrap().count(), commands.len(), "pages of no command");
}
