// SPDX-License-Identifier: MIT OR Apache-2.0
//! Judged by real programs: what they get, what is kept, and that nobody waits for ever.

use super::*;
use std::iter::once;

const SH: &str = "/bin/sh";

fn shell<'a>(line: &str) -> ProgramCall<'a> {
    ProgramCall::new(SH).arg("-c").arg(line)
}

fn go_on() -> Option<&'static str> {
    None
}

#[test]
fn input_larger_than_any_pipe_comes_through_and_back() {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[1]).collect();
    let (mut source, mut got) = (bytes.as_slice(), Vec::new());
    let mut take = |stream, piece: &[u8]| {
        assert_eq!(stream, OutputStream::Stdout);
        got.extend_from_slice(piece);
    };
    let call = ProgramCall::new("cat").input(&mut source).output(&mut take);
    let end = run(call, &go_on).unwrap();
    assert!(end.success() && !end.left_input, "{end:?}");
    assert!(got == bytes);
}

#[test]
fn exit_code_signal_and_the_end_of_stderr_are_told() {
    let end =
        run(shell("echo early >&2; head -c 100000 /dev/zero >&2; echo last >&2; exit 7"), &go_on);
    let end = end.unwrap();
    assert_eq!((end.code, end.signal), (Some(7), None));
    assert!(end.stderr.ends_with("last") && end.stderr.len() <= STDERR_TAIL_BYTES);
    let told = end.check("x").unwrap_err().to_string();
    assert!(told.starts_with("x failed (exit status 7: "), "{told}");
    let end = run(shell("kill -9 $$"), &go_on).unwrap();
    assert_eq!((end.code, end.signal), (None, Some(9)));
}

#[test]
fn a_program_that_stops_reading_is_no_failure_of_the_pipe() {
    let mut endless = io::repeat(b'x');
    let end = run(shell("head -c 10 >/dev/null; exit 3").input(&mut endless), &go_on).unwrap();
    assert!(end.left_input && end.code == Some(3), "{end:?}");
}

#[test]
fn a_background_child_that_holds_the_pipes_hangs_nobody() {
    let began = Instant::now();
    let end = run(shell("sleep 300 & echo done >&2"), &go_on).unwrap();
    assert!(end.success() && end.stderr == "done", "{end:?}");
    assert!(began.elapsed() < Duration::from_secs(200));
}

#[test]
fn stop_and_time_end_the_whole_group() {
    // As short as goes; where the machine is so busy that the program has not begun by then, longer.
    let limits = [100, 1000, 10_000, 60_000].map(|millis| Some(Duration::from_millis(millis)));
    let mut timed_out = false;
    for (limit, stop) in once((None, Some("SIGTERM"))).chain(limits.map(|limit| (limit, None))) {
        if timed_out {
            break;
        }
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("pid");
        let asked = std::cell::Cell::new(0);
        let question = || {
            asked.set(asked.get() + 1);
            stop.filter(|_| mark.exists() && asked.get() > 3)
        };
        let line = format!("sleep 300 & echo $! > {}; mv {0} {0}; wait", mark.display());
        let mut call = shell(&line);
        call.timeout = limit;
        let began = Instant::now();
        let error = run(call, &question).unwrap_err();
        match limit {
            None => assert!(matches!(error, ProgramError::Stopped { by: "SIGTERM" }), "{error}"),
            Some(_) => assert!(matches!(error, ProgramError::TimedOut { .. }), "{error}"),
        }
        assert!(began.elapsed() < Duration::from_secs(200));
        let text = std::fs::File::open(&mark).and_then(io::read_to_string).unwrap_or_default();
        let Ok(id) = text.trim().parse::<u32>() else { continue };
        timed_out = limit.is_some();
        // A zombie of nobody's may stay for a moment; a sleeper may not.
        let state = || std::fs::File::open(format!("/proc/{id}/stat")).and_then(io::read_to_string);
        let sleeps = || state().is_ok_and(|stat| !stat.contains(") Z"));
        for _ in 0..3000 {
            if !sleeps() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!sleeps(), "the background child {id} still runs");
    }
    assert!(timed_out, "no program that began was timed out");
}

#[test]
fn a_failing_input_kills_the_program_and_is_told() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the bundle is damaged"))
        }
    }
    let began = Instant::now();
    let error = run(shell("cat; sleep 300").input(&mut Broken), &go_on).unwrap_err();
    let ProgramError::Input { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.to_string(), "the bundle is damaged");
    assert!(began.elapsed() < Duration::from_secs(200));
}

#[test]
fn children_block_no_signal_whatever_this_thread_blocks() {
    let mut mask = nix::sys::signal::SigSet::empty();
    mask.add(Signal::SIGTERM);
    mask.thread_block().unwrap();
    let mut text = Vec::new();
    let mut take = |_, piece: &[u8]| text.extend_from_slice(piece);
    let call = ProgramCall::new("cat").arg("/proc/self/status").output(&mut take);
    assert!(run(call, &go_on).unwrap().success());
    mask.thread_unblock().unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("SigBlk:\t0000000000000000"), "{text}");
}

#[test]
fn a_script_without_a_first_line_for_the_kernel_is_a_shells() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("hook");
    // Not written by this process: another test's child could hold it open for a moment.
    let line = format!("echo 'echo \"$1 $RAUC_X\"' >{0}; chmod 755 {0}", script.display());
    assert!(run(shell(&line), &go_on).unwrap().success());
    let mut text = Vec::new();
    let mut take = |_, piece: &[u8]| text.extend_from_slice(piece);
    let call = ProgramCall::new(&script).arg("slot-install").env("RAUC_X", "a b");
    assert!(run(call.output(&mut take), &go_on).unwrap().success());
    assert_eq!(text, b"slot-install a b\n");
}

#[test]
fn a_missing_program_is_named() {
    let error = run(ProgramCall::new("no-such-program-here"), &go_on).unwrap_err();
    assert_eq!(error.to_string(), "cannot start no-such-program-here");
    assert_eq!(error.hint(), Some("install the program, or put its directory into PATH"));
}

#[test]
fn output_is_kept_up_to_the_limit_and_beyond_it_stops_nobody() {
    let wild = "head -c 1000000 /dev/zero; echo why >&2; exit 4";
    let (end, kept) = capture(shell(wild), 1000, &go_on).unwrap();
    assert_eq!((end.code, end.stderr.as_str(), kept.len()), (Some(4), "why", 1000));
    let (_, kept) = capture(shell("echo out; echo err >&2"), 1000, &go_on).unwrap();
    assert_eq!(kept, b"out\n");
    let mut source = b"given".as_slice();
    let (_, kept) = capture(ProgramCall::new("cat").input(&mut source), 1000, &go_on).unwrap();
    assert_eq!(kept, b"given");
}

#[test]
fn what_is_for_people_is_not_told_to_the_caller() {
    let mut told = Vec::new();
    let mut take = |stream, piece: &[u8]| told.push((stream, piece.to_vec()));
    let call = shell("echo progress; echo why >&2; exit 1").talks_to_people().output(&mut take);
    assert_eq!(run(call, &go_on).unwrap().stderr, "why");
    assert_eq!(told, [(OutputStream::Stderr, b"why\n".to_vec())]);
}

#[test]
fn whose_group_a_program_is_in_is_the_callers_choice_and_it_can_be_ended_in_both() {
    let own = nix::unistd::getpgrp().to_string();
    let group = "cut -d ' ' -f 5 /proc/self/stat";
    let group_of = |call| {
        let (_, said) = capture(call, 100, &go_on).unwrap();
        String::from_utf8(said).unwrap().trim().to_owned()
    };
    assert_ne!(group_of(shell(group)), own);
    assert_eq!(group_of(shell(group).in_our_group()), own);
    let began = Instant::now();
    let slow = ProgramCall::new("sleep").arg("300").in_our_group().timeout(DRAIN);
    let late = run(slow, &go_on).unwrap_err();
    assert!(matches!(late, ProgramError::TimedOut { .. }), "{late}");
    assert!(began.elapsed() < Duration::from_secs(200));
}

#[test]
fn foreign_words_make_no_lines_in_our_messages() {
    let end = run(shell("printf 'one\\nERROR: two\\033[2J' >&2; exit 1"), &go_on).unwrap();
    let told = end.check("x").unwrap_err().to_string();
    assert_eq!(told, "x failed (exit status 1: one ERROR: two [2J)");
}

/// Runs itself again with the secrets among its variables, since no test can set any safely.
#[test]
#[allow(clippy::disallowed_methods, reason = "starts this test's own program")]
fn no_program_gets_our_secrets() {
    const MARK: &str = "ATOMIX_TEST_MARK";
    if std::env::var_os(MARK).is_some() {
        let (_, said) = capture(ProgramCall::new("env"), 100_000, &go_on).unwrap();
        io::stdout().write_all(&said).unwrap();
        assert!(crate::attend("env", &[]).unwrap().success());
        return;
    }
    let name = "run::tests::no_program_gets_our_secrets";
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", name, "--nocapture"]).env(MARK, "1");
    again.envs(crate::SECRET_VARIABLES.map(|name| (name, "secret-1234")));
    let ran = again.output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success() && said.matches(MARK).count() >= 2, "{said}");
    assert!(!said.contains("secret-1234"), "{said}");
}
