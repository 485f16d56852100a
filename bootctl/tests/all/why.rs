// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `atomix why` tells is what the records and counters show, and says so where they end.

use bootctl::{
    AttemptsLeft, BootState, BundleId, Entry, Fallback, HealthVerdict, Mark, Reason, Record,
    Recorder, RecorderFacts, RecordsLeft, Refused, Sequence, SlotId, SlotState, Timestamp,
    describe_next, explain, reconcile,
};
use storage::MemoryStorage;

const A: SlotId = SlotId::A;
const B: SlotId = SlotId::B;

fn factory() -> BootState {
    BootState::factory("11111111-2222-3333-4444-555555555555".parse().unwrap())
}

fn left(number: u8) -> AttemptsLeft {
    AttemptsLeft::new(number).unwrap()
}

fn installed() -> Entry {
    let bundle = BundleId::from_bytes([4; 16]);
    Entry::InstallFinished { slot: B, version: "1.3".to_owned(), bundle }
}

fn booted(attempts: u8) -> Entry {
    Entry::Booted { slot: B, reason: Reason::Trying, attempts: left(attempts) }
}

fn fell_back(cause: &str) -> Entry {
    Entry::FellBack { from: B, to: A, cause: cause.to_owned() }
}

/// The fallback as told from records that begin with number `first`.
fn told(first: u64, entries: Vec<Entry>) -> Fallback {
    let numbered = (first..).zip(entries);
    let records: Vec<Record> = numbered
        .map(|(number, entry)| Record { sequence: Sequence(number), at: Timestamp::UNKNOWN, entry })
        .collect();
    explain(&records, &factory()).fallback.unwrap()
}

#[test]
fn attempts_are_those_that_counters_show() {
    let healthy =
        || Entry::Verdict { slot: B, verdict: HealthVerdict::Healthy, cause: String::new() };
    let marked = |mark| Entry::Marked { slot: B, mark };
    let cause = || fell_back("no verdict");
    let cases: [(&str, Vec<Entry>, u32, u32); 7] = [
        ("three boots, none came up", vec![installed(), cause()], 3, 0),
        ("the first boot died early", vec![installed(), booted(1), booted(0), cause()], 3, 2),
        (
            "five attempts set by hand",
            vec![installed(), booted(4), booted(3), booted(2), booted(1), booted(0), cause()],
            5,
            5,
        ),
        (
            "attempts given back in between",
            vec![installed(), booted(2), marked(Mark::Active), booted(2), cause()],
            4,
            2,
        ),
        ("healthy once, then never up", vec![installed(), booted(2), healthy(), cause()], 3, 0),
        (
            "marked good, then never up",
            vec![installed(), booted(2), marked(Mark::Good), cause()],
            3,
            0,
        ),
        (
            "left a second time",
            vec![installed(), booted(2), booted(1), booted(0), cause(), booted(2), cause()],
            3,
            1,
        ),
    ];
    for (name, entries, attempts, reached) in cases {
        let fallback = told(1, entries);
        let found = (fallback.attempts, fallback.reached_userspace);
        assert_eq!(found, (attempts, reached), "{name}: {fallback}");
    }
}

#[test]
fn sentences_agree_with_their_numbers() {
    let none = told(1, vec![installed(), fell_back("did not reach userspace")]);
    let text = "slot B (version 1.3) was left for slot A after 3 attempts, none of which reached \
                userspace: did not reach userspace";
    assert_eq!(none.to_string(), text);
    let boots = |attempts, reached_userspace, records| {
        Fallback { attempts, reached_userspace, records, ..none.clone() }.boots()
    };
    assert_eq!(boots(1, 0, RecordsLeft::All), "1 attempt, none of which reached userspace");
    assert_eq!(boots(3, 2, RecordsLeft::All), "3 attempts, 2 of which reached userspace");
    let missing = boots(2, 0, RecordsLeft::Missing);
    assert_eq!(missing, "at least 2 attempts (some records are missing)");
}

/// The ring dropped the boots, the fallback and its cause are still there.
#[test]
fn overwritten_records_are_said_and_contradict_nothing() {
    let cause = "reached userspace 3 times and gave no verdict";
    let all_gone = told(40, vec![Entry::Marked { slot: A, mark: Mark::Good }, fell_back(cause)]);
    assert_eq!(
        all_gone.to_string(),
        "slot B was left for slot A after boots whose records were overwritten: reached userspace \
         3 times and gave no verdict"
    );
    let some_gone = told(40, vec![booted(0), fell_back(cause)]);
    assert_eq!(
        some_gone.to_string(),
        "slot B was left for slot A after at least 1 attempt, at least 1 of which reached \
         userspace (earlier records were overwritten): reached userspace 3 times and gave no verdict"
    );
}

#[test]
fn records_that_never_were_are_not_called_overwritten() {
    let wiped = told(1, vec![booted(1), fell_back("no verdict")]);
    assert!(wiped.to_string().contains("at least 2 attempts"), "{wiped}");
    assert!(wiped.to_string().contains("(some records are missing)"), "{wiped}");
    let record =
        |number, entry| Record { sequence: Sequence(number), at: Timestamp::UNKNOWN, entry };
    // Record 2 was torn by a power cut.
    let torn = [record(1, installed()), record(3, booted(1)), record(4, fell_back("no verdict"))];
    let torn = explain(&torn, &factory()).fallback.unwrap();
    assert!(torn.to_string().contains("(some records are missing)"), "{torn}");
}

/// Boots, later records, a fallback after so many of them, and records until the ring comes round.
fn come_round(fallback_after: usize) -> Vec<Record> {
    let ring = MemoryStorage::nor("ring", vec![0xff; 8192], 4096);
    let mut recorder = Recorder::open(ring, 4096).unwrap();
    let begin = [installed(), booted(2), booted(1), booted(0)];
    let later = std::iter::repeat(Entry::Marked { slot: A, mark: Mark::Active });
    for (number, entry) in begin.into_iter().chain(later).enumerate() {
        if number == fallback_after {
            let cause = "reached userspace 3 times and gave no verdict";
            recorder.append(Timestamp::UNKNOWN, &fell_back(cause)).unwrap();
        }
        recorder.append(Timestamp::UNKNOWN, &entry).unwrap();
        let records = recorder.entries().unwrap();
        if records[0].sequence > Sequence(1) {
            return records;
        }
    }
    unreachable!("the ring has an end");
}

#[test]
fn a_ring_that_came_round_tells_no_contradiction() {
    let room = usize::try_from(come_round(usize::MAX).last().unwrap().sequence.0).unwrap();
    let text = explain(&come_round(room * 3 / 4), &factory()).fallback.unwrap().to_string();
    assert!(text.contains("records were overwritten"), "{text}");
    assert!(!text.contains("0 of which") && !text.contains("none of which"), "{text}");
    assert!(text.ends_with("reached userspace 3 times and gave no verdict"), "{text}");
}

#[test]
fn a_slot_left_twice_is_not_charged_with_the_boots_before() {
    let entries = [installed(), booted(2), booted(1), booted(0), fell_back("first"), booted(2)];
    let facts = RecorderFacts::from_entries(&entries);
    let mut state = factory();
    state.order = vec![B, A];
    state.b.state = SlotState::Bad;
    let known = reconcile(&state, Some(A), Some(Reason::Fallback), &facts);
    assert_eq!(known.entries[0], fell_back("reached userspace once and gave no verdict"));
}

#[test]
fn a_reset_of_attempts_is_explained_by_what_is_so() {
    let mut state = factory();
    let why = |state: &BootState| {
        let next = describe_next(state);
        assert_eq!((next.slot, next.reason), (Some(A), Reason::AttemptsReset));
        next.why
    };
    state.order.clear();
    let said = why(&state);
    assert_eq!(said, "BOOT_ORDER names no slot of this board; good slot A starts anew");
    state.order = vec![A];
    state.a.attempts = AttemptsLeft::ZERO;
    assert_eq!(why(&state), "every good slot ran out of attempts; slot A starts anew");
    state.order = vec![B];
    state.a.attempts = left(3);
    let said = why(&state);
    assert_eq!(said, "BOOT_ORDER names no slot that may boot; good slot A starts anew");
}

#[test]
fn the_next_boot_is_told_with_the_right_number_and_state() {
    let mut state = factory();
    state.order = vec![B, A];
    state.b.state = SlotState::Trying;
    let mut why = |attempts: u8| {
        state.b.attempts = left(attempts);
        describe_next(&state).why
    };
    let begin = "slot B is an unconfirmed update; ";
    assert_eq!(why(3), format!("{begin}2 attempts are left after this one"));
    assert_eq!(why(2), format!("{begin}1 attempt is left after this one"));
    assert_eq!(why(1), format!("{begin}no attempt is left after this one"));
    // Both are unknown and not in the order: the firmware alternates between them.
    let mut state = BootState::lost();
    state.order.clear();
    let next = describe_next(&state);
    assert_eq!((next.slot, next.reason), (Some(A), Reason::LastResort));
    assert_eq!(next.why, "no slot is good; unknown slot A is the last resort");
}

#[test]
fn hints_give_the_command_with_the_option_that_it_needs() {
    for slot in SlotId::ALL {
        let hint = Refused::LastGood { slot }.hint().unwrap();
        assert!(hint.ends_with(&format!("`atomix boot mark-bad {slot} --force`")), "{hint}");
        let state = SlotState::Bad;
        for refused in [Refused::KnownBad { slot }, Refused::NotKnownGood { slot, state }] {
            let hint = refused.hint().unwrap();
            assert!(hint.ends_with("`atomix rollback --force`"), "{hint}");
        }
    }
}
