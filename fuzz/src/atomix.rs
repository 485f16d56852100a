// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program's own settings, what a slot of a virtual board declares, and what a board says on a
//! serial line.

use crate::text::lossy;
use atomix::commands::rescue::laptop::{Dialogue, Sight, Step, StopText};
use atomix::rauc::{Asked, Json, overlay, path_of_file_url, quote_for_shell, read_command};
use atomix::serial_line::{Recorder, Stamp, as_text};
use atomix::settings::{SETTINGS_PATH, Settings};
use atomix::virtual_board::system::{Declaration, VirtualSystem};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::Duration;
use storage::HostFiles;
use verifier::{Clock, System};

/// The settings: what is accepted has room for the recorder's two blocks, and a refusal names a
/// line that exists.
pub fn settings(data: &[u8]) {
    let text = lossy(data);
    match Settings::parse(Path::new(SETTINGS_PATH), &text) {
        Ok(settings) => {
            assert!(settings.recorder.blocks >= 2);
            let _ = settings.recorder.len();
        }
        Err(atomix::settings::SettingsError::Invalid { line, what, .. }) => {
            let lines = text.split('\n').count();
            assert!((1..=lines).contains(&line), "line {line} of {lines}: {what}");
            assert!(!what.contains('\n'), "{what:?}");
        }
        Err(_) => {}
    }
}

/// The declaration of a virtual board's slot: units and interfaces answer at any time.
pub fn virtual_system(data: &[u8]) {
    let Ok(declared) = Declaration::parse(&lossy(data)) else { return };
    let (mut system, mut clock) = VirtualSystem::start(declared, HostFiles::new("/nowhere"));
    for secs in [0, 3, 50, u64::MAX] {
        clock.wait_until(Duration::from_secs(secs));
        for unit in ["a.service", "dnsmasq.service"] {
            let status = system.unit(unit).expect("a virtual unit always answers");
            assert!(status.exists && !status.sub.is_empty());
        }
        assert!(system.addresses("eth1").is_ok_and(|addresses| addresses.is_some()));
    }
}

/// A command line of `rauc`, a word before each NUL: what cannot be run is told, a value that takes
/// the place of a configured one stays one line, a path out of a URL is absolute, and no text ends
/// the quotes that it is put in.
pub fn rauc_command(data: &[u8]) {
    let words: Vec<OsString> =
        data.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
    match read_command(&words, "rauc 1", true) {
        Asked::Run(request) => {
            const CONF: &str = "[system]\ncompatible=x\n";
            let lines = CONF.lines().count();
            if let Ok(text) = overlay(CONF, &request.overrides) {
                assert!(text.lines().count() <= lines + 2 * request.overrides.len());
            }
        }
        Asked::Print { complaint, text, code } => {
            assert!(code <= 1 && (complaint.is_some() || !text.is_empty()));
        }
    }
    for word in &words {
        let url = [b"file:".as_slice(), word.as_bytes()].concat();
        if let Ok(path) = path_of_file_url(&url) {
            assert!(path.is_absolute() && !path.as_os_str().as_bytes().contains(&0));
        }
    }
    let text = lossy(data);
    let written = Json::from(&*text).pretty();
    assert!(!written.contains(char::is_control), "{written:?}");
    let quoted = quote_for_shell(&text);
    let inside = quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    assert!(!inside.expect("quotes").replace("'\\''", "").contains('\''), "{quoted}");
}

/// What stops the board, and the word that only its prompt would say.
const STOP_TEXT: &str = "stop-text";
const WORD: &str = "atomix-0123456789abcdef";

/// A board that says anything, between pauses (a byte of 255 and their length in steps of 20 ms):
/// only what was decided on is ever sent, the stop text only where it was asked for, and nothing
/// that did not say the word is taken for the prompt.
pub fn serial_dialogue(data: &[u8]) {
    let stop = StopText::given(Some(STOP_TEXT.as_ref()), None).expect("a text");
    let mut dialogue = Dialogue::new(stop, WORD);
    let probe = format!("echo {WORD}; version\r");
    let (mut now, mut heard, mut typed) = (Duration::ZERO, Vec::new(), 0);
    for part in data.split(|byte| *byte == 255) {
        let (pause, said) = part.split_first().unwrap_or((&0, &[]));
        heard.extend_from_slice(said);
        let mut steps = dialogue.hear(now, said);
        for _ in 0..*pause {
            now += Duration::from_millis(20);
            steps.extend(dialogue.wait(now));
        }
        for step in steps {
            match step {
                Step::Send(sent) => {
                    assert!([&b" "[..], b" \r", probe.as_bytes()].contains(&&sent[..]), "{sent:?}");
                }
                Step::Secret(byte) => {
                    assert!(STOP_TEXT.as_bytes().contains(&byte));
                    typed += 1;
                }
                Step::Saw(Sight::Prompt) => assert!(holds(&heard, WORD)),
                Step::Saw(_) => {}
            }
        }
    }
    let questions = heard.iter().filter(|byte| **byte == b'A').count();
    assert!(typed == 0 || holds(&heard, "Autoboot in "));
    assert!(typed <= STOP_TEXT.len() * questions, "{typed} typed");
}

/// Whether the letters were heard in this order; what steers a terminal may stand between them.
fn holds(heard: &[u8], word: &str) -> bool {
    let mut heard = heard.iter();
    word.bytes().all(|letter| heard.any(|byte| *byte == letter))
}

/// What is written down of a line steers no terminal, and no byte of text is lost.
pub fn serial_record(data: &[u8]) {
    let mut recorder = Recorder::default();
    let at = Stamp { unix_millis: 0, since_start: Duration::ZERO };
    let mut pieces: Vec<_> = data.chunks(7).flat_map(|part| recorder.hear(at, part)).collect();
    pieces.extend(recorder.break_line(at));
    let text: String = pieces.iter().map(as_text).collect();
    assert!(text.chars().all(|shown| shown == '\n' || shown == '\t' || !shown.is_control()));
    // Other capitals come with the time of each line only.
    let told = text.replace(&at.to_string(), "");
    let capitals = |text: &[u8]| text.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    assert_eq!(capitals(told.as_bytes()), capitals(data), "{told}");
}
