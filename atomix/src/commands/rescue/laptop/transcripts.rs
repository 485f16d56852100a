// SPDX-License-Identifier: MIT OR Apache-2.0
//! What real boards said, and what hostile ones might: does the dialogue see it as it was?
//!
//! The recordings are of U-Boot 2025.01 in the emulator, of ours and of Debian's, and of the real
//! chain's restart; `atomix-test` was the word there.

use super::dialogue::{Dialogue, Sight, Step};
use super::stop_text::StopText;
use super::watch::{End, Watch};
use super::words::{explain, no_prompt};
use bootctl::{Reason, SlotId};
use std::ffi::OsStr;
use std::time::Duration;

const KEYED: &[u8] = include_bytes!("../../../../tests/fixtures/serial/keyed.bin");
const ANY_KEY: &[u8] = include_bytes!("../../../../tests/fixtures/serial/any-key.bin");
const RESTART: &[u8] = include_bytes!("../../../../tests/fixtures/serial/restart.bin");

const STOP: &str = "atomix-e2e";

/// A board that says what was written down, and a clock.
struct Play {
    dialogue: Dialogue,
    now: Duration,
    sent: Vec<u8>,
    secret: Vec<u8>,
    seen: Vec<Sight>,
}

impl Play {
    fn new(stop: Option<&str>) -> Self {
        let stop = StopText::given(stop.map(OsStr::new), None).unwrap();
        Self {
            dialogue: Dialogue::new(stop, "atomix-test"),
            now: Duration::ZERO,
            sent: Vec::new(),
            secret: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn take(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Send(bytes) => self.sent.extend(bytes),
                Step::Secret(byte) => self.secret.push(byte),
                Step::Saw(sight) => self.seen.push(sight),
            }
        }
    }

    fn says(&mut self, bytes: &[u8]) -> &mut Self {
        // As a line delivers it: in pieces that end anywhere.
        for piece in bytes.chunks(7) {
            let steps = self.dialogue.hear(self.now, piece);
            self.take(steps);
        }
        self
    }

    fn waits(&mut self, millis: u64) -> &mut Self {
        for _ in 0..millis / 10 {
            self.now += Duration::from_millis(10);
            let steps = self.dialogue.wait(self.now);
            self.take(steps);
        }
        self
    }
}

/// The recording up to and from a text in it.
fn halves<'a>(recording: &'a [u8], text: &str) -> (&'a [u8], &'a [u8]) {
    let at = recording.windows(text.len()).position(|part| part == text.as_bytes()).unwrap();
    recording.split_at(at)
}

#[test]
fn the_stop_text_is_typed_after_it_was_asked_for_and_the_prompt_has_to_answer() {
    let mut play = Play::new(Some(STOP));
    let (start, rest) = halves(KEYED, "=> ");
    let (before, question) = halves(start, "Autoboot in");
    play.says(before).waits(3000);
    assert_eq!((play.secret.as_slice(), play.sent.as_slice()), (&b""[..], &b""[..]));
    play.says(question).waits(20);
    assert!(play.secret.len() <= 1, "U-Boot is slower than that");
    play.waits(400);
    assert_eq!(play.secret, STOP.as_bytes());
    let (prompt, answer) = rest.split_at(3);
    play.says(prompt).waits(300);
    assert_eq!(play.sent, b"echo atomix-test; version\r");
    assert_eq!(play.seen, [Sight::Banner]);
    play.says(answer);
    assert_eq!(play.seen, [Sight::Banner, Sight::Prompt]);
}

#[test]
fn a_uboot_that_any_key_stops_gets_one_key() {
    let mut play = Play::new(Some(STOP));
    let (start, rest) = halves(ANY_KEY, "=> ");
    play.says(start);
    assert_eq!(play.sent, b" ");
    let (prompt, answer) = rest.split_at(3);
    play.says(prompt).waits(300).says(answer);
    assert_eq!(play.seen, [Sight::Banner, Sight::EnvironmentLost, Sight::Prompt]);
    assert!(play.secret.is_empty(), "the text is for those who ask for it");
}

/// Seen in the emulator: a message of a driver behind the prompt, and no prompt after it.
#[test]
fn a_prompt_hidden_by_a_message_is_asked_for_again() {
    let mut play = Play::new(Some(STOP));
    let (start, _) = halves(KEYED, "=> ");
    play.says(start).waits(400);
    play.says(b"=> cyclic function pci_mmc took too long: 6747us vs 5000us max\r\n").waits(2500);
    assert_eq!(play.sent, b" \r");
    play.says(b" \r\n=> ").waits(300);
    assert_eq!(play.sent, b" \recho atomix-test; version\r");
}

#[test]
fn a_board_that_boots_says_why_it_could_not_be_stopped() {
    let asked = |text: &str, stop| {
        let mut play = Play::new(stop);
        let line = format!("U-Boot 2025.01 (Nov 21)\r\n{text}atomix: slot A, normal\r\n");
        play.says(line.as_bytes()).waits(1000);
        play.says(b"Starting kernel ...\r\n");
        play.dialogue.last()
    };
    assert_eq!(asked("", Some(STOP)), Some(Sight::Closed));
    assert_eq!(asked("Autoboot in 3 seconds\r\n", None), Some(Sight::WantsText));
    assert_eq!(asked("Autoboot in 0 seconds\r\n", Some(STOP)), Some(Sight::NoTime));
    assert_eq!(asked("Autoboot in 3 seconds\r\n", Some(STOP)), Some(Sight::TextRefused));
    assert_eq!(asked("Hit any key to stop autoboot:  0 \r\n", None), Some(Sight::KeyMissed));
}

/// The selector looks at the button twice after it said that one may let go; the first time a
/// pressed one means the disk, the second time the prompt.
#[test]
fn what_a_person_is_told_of_the_button_is_what_the_selector_looks_for() {
    let script = board_rock64::ROCK64.selector();
    let held = script.lines().find_map(|line| line.strip_prefix("atomix_held=")).unwrap();
    let said = held.strip_prefix("echo ").unwrap().split("; ").next().unwrap();
    let mut play = Play::new(None);
    play.says(b"U-Boot 2025.01 (x)\r\nrecovery button: keep it held\r\n").waits(5000);
    play.says(format!("{said}\r\n").as_bytes());
    assert_eq!(play.seen, [Sight::Banner, Sight::Button, Sight::LetGo]);
    assert!(script.contains("echo recovery button: keep it held; sleep 5; if gpio"), "{script}");

    let looks: Vec<&str> = held.split("sleep ").skip(1).collect();
    let [first, second] = looks.as_slice() else { panic!("{held}") };
    assert!(first.starts_with("3; if gpio input 100; then run atomix_recover;"), "{first}");
    assert!(second.starts_with("3; if gpio input 100; then setenv atomix_stay 1;"), "{second}");
    // Up at 3 s, down at 6 s.
    assert!(
        explain(Sight::LetGo).unwrap().contains("let go of the recovery button now, count to 4")
    );
    play.waits(6000).says(b"=> ").waits(1000);
    assert_eq!(play.sent, b"echo atomix-test; version\r");
}

/// Whoever reads that stands before a board that does not run.
#[test]
fn no_way_out_wants_the_system_that_does_not_run() {
    let baud = "1500000".parse().unwrap();
    for sight in [Sight::NoTime, Sight::KeyMissed, Sight::Closed, Sight::TextRefused] {
        let failure = no_prompt(Some(sight), Duration::from_secs(120), baud);
        let hint = failure.hint().unwrap();
        assert!(hint.contains("let go at once, count to 4, then press it and hold it"), "{hint}");
    }
}

#[test]
fn a_restart_of_the_real_chain_is_seen_as_it_was_and_nothing_is_sent_into_linux() {
    let mut play = Play::new(Some(STOP));
    let (before, from) = halves(RESTART, "Starting kernel");
    play.says(before);
    play.sent.clear();
    play.says(from).waits(60_000);
    let selected = Sight::Selected(SlotId::B, Reason::Trying);
    assert_eq!(play.seen, [Sight::Banner, selected, Sight::KeyMissed, Sight::Kernel]);
    play.says(b"\r\nDebian GNU/Linux 13 rock64 ttyS2\r\n\r\nrock64 login: ").waits(60_000);
    assert_eq!(play.seen.last(), Some(&Sight::Login));
    assert_eq!(play.sent, b"", "what is sent now is a login's name");
}

#[test]
fn silence_is_asked_once_in_a_while_and_told_once() {
    let mut play = Play::new(None);
    play.waits(35_000);
    assert_eq!(play.sent, b" \r \r \r \r");
    assert_eq!(play.seen, [Sight::Silence]);
    assert_eq!(play.dialogue.last(), None);
}

#[test]
fn a_line_of_the_wrong_speed_is_noise_and_a_uboot_is_not() {
    let mut play = Play::new(None);
    // 1500000 baud heard at 115200: mostly 0x00, 0x80, 0xf8 and the like.
    play.says(&[0x00, 0x80, 0xf8, 0xe0, 0x00, 0x1c].repeat(200));
    assert_eq!(play.seen, [Sight::Noise]);
    let mut play = Play::new(None);
    play.says(&KEYED.repeat(20)).says(&RESTART.repeat(20));
    assert!(!play.seen.contains(&Sight::Noise));
}

/// A kernel log can hold any text; only U-Boot answers.
#[test]
fn a_fake_prompt_is_asked_and_not_believed_and_then_left_alone() {
    let mut play = Play::new(Some(STOP));
    play.says(b"[    1.0] Linux version 6.12\r\n[    2.0] usb: product\r\n=> ").waits(5000);
    assert_eq!(play.sent, b"echo atomix-test; version\r");
    assert_eq!(play.seen, [Sight::Kernel, Sight::FalsePrompt]);
    // What a shell says to it is no answer: it has no version of U-Boot.
    let echo = b"echo atomix-test; version\r\natomix-test\r\nsh: version: not found\r\n=> ";
    play.says(echo).waits(4000);
    assert_eq!(play.sent, b"echo atomix-test; version\r", "it is left alone for a while");
    play.waits(10_000).says(echo).waits(5000);
    assert!(!play.seen.contains(&Sight::Prompt), "{:?}", play.seen);
}

/// The echo of what is sent, and old answers, hold the word as well.
#[test]
fn an_echo_without_an_answer_is_not_believed() {
    let mut play = Play::new(Some(STOP));
    play.says(b"=> ").waits(300);
    play.says(b"echo atomix-test; version\r\n=> ").waits(5000);
    assert_eq!(play.seen, [Sight::FalsePrompt]);
}

#[test]
fn a_hostile_board_without_end_costs_no_memory_and_gets_no_answer() {
    let mut play = Play::new(Some(STOP));
    let junk = b"\x1b[2J\x1b]0;title\x07=> \x1b[6n=> \r=> => \x08\x08Autoboot in \x00\xff";
    for _ in 0..20_000 {
        play.says(junk);
    }
    play.waits(2000);
    assert!(play.seen.iter().all(|sight| *sight != Sight::Prompt));
    assert!(play.sent.is_empty() && play.secret.is_empty(), "{:?}", play.sent);
}

fn watched(bytes: &[u8]) -> Watch {
    let mut watch = Watch::default();
    watch.hear(bytes);
    watch
}

#[test]
fn a_boot_is_proved_by_the_selectors_choice_and_the_slots_own_script() {
    let seen = watched(RESTART).seen;
    assert_eq!(seen.selected, Some((SlotId::B, Reason::Trying)));
    assert_eq!((seen.end, seen.env_lost), (Some(End::Started), false));
    let start = b"U-Boot 2025.01 (x)\r\n*** Warning - bad CRC, using default environment\r\n";
    let mut watch = watched(start);
    watch.hear(b"atomix: slot A, env-lost\r\natomix: slot A cannot be started\r\n");
    assert_eq!((watch.seen.end, watch.seen.env_lost), (Some(End::NotLoaded), true));
    assert_eq!(
        watched(b"U-Boot 2\natomix: nothing can be started\n").seen.end,
        Some(End::Recovery)
    );
}

/// Until U-Boot begins, Linux still speaks: it cannot prove a boot that did not happen.
#[test]
fn what_linux_says_before_the_restart_proves_nothing() {
    let fake = b"atomix: slot B, normal\r\n## Executing script at 40200000\r\n";
    assert_eq!(watched(fake).seen, super::watch::Seen::default());
    let mut watch = watched(fake);
    watch.hear(RESTART);
    assert_eq!(watch.seen.selected, Some((SlotId::B, Reason::Trying)));
}
