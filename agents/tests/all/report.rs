// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fleet is told the truth: how an update ended, what is news, and nothing that is nobody's
//! business; whatever a device's records hold.

use crate::report_support::{Device, NOW, booted, bundle, digest, install, marked, verdict};
use agents::{
    ATTRIBUTE_MAX, DETAIL_MAX, Delivery, EnvironmentFacts, LastUpdate, REPORT_MAX, Report,
    ReportAnswer, ReportError, ReportRecord, ReportRequest, ReportTries, UpdateResult, is_news,
};
use bootctl::{AttemptsLeft, DeathMark, Entry, Mark, Reason, SlotId, SlotState};
use bundle::UnixTime;
use proptest::prelude::*;

fn update(device: &Device) -> LastUpdate {
    device.report().last_update.unwrap()
}

fn ended(device: &Device) -> (UpdateResult, String) {
    let update = update(device);
    (update.result, update.why.unwrap_or_default())
}

/// A device that was given 3.0.0 in A, and what came then.
fn given_3(state: SlotState, after: &[Entry]) -> Device {
    let mut device = Device::new();
    device.facts.a.state = state;
    device.facts.a.bundle = Some(bundle(3));
    device.facts.a.version = Some("3.0.0".to_owned());
    install(SlotId::A, 3, "3.0.0").into_iter().for_each(|entry| device.record(entry));
    after.iter().for_each(|entry| device.record(entry.clone()));
    device
}

#[test]
fn an_update_is_good_only_once_it_was_confirmed() {
    let device = Device::new();
    let told = update(&device);
    assert_eq!((told.from.as_deref(), told.to.as_deref()), (Some("1.0.0"), Some("2.0.0")));
    assert_eq!((told.slot.as_str(), told.result, told.why), ("B", UpdateResult::Good, None));

    let waits = given_3(SlotState::Trying, &[]);
    assert_eq!(ended(&waits), (UpdateResult::Pending, "it waits for its reboot".to_owned()));
    let told = update(&waits);
    assert_eq!((told.from.as_deref(), told.to.as_deref()), (Some("2.0.0"), Some("3.0.0")));
    assert_eq!(told.bundle, Some(bundle(3).to_string()));

    let mut tries = given_3(SlotState::Trying, &[booted(SlotId::A, Reason::Trying)]);
    tries.facts.booted = Some(SlotId::A);
    assert_eq!(
        ended(&tries),
        (UpdateResult::Pending, "it runs and is not confirmed yet".to_owned())
    );
    // A healthy verdict is not yet the mark.
    tries.record(verdict(SlotId::A, ""));
    assert_eq!(ended(&tries).0, UpdateResult::Pending);
    tries.record(marked(SlotId::A, Mark::Good));
    assert_eq!(ended(&tries).0, UpdateResult::Good);
}

#[test]
fn a_fallback_is_told_with_its_cause_also_long_after() {
    let fell = Entry::FellBack {
        from: SlotId::A,
        to: SlotId::B,
        cause: "unit app.service failed".to_owned(),
    };
    let back = given_3(SlotState::Bad, std::slice::from_ref(&fell));
    assert_eq!(ended(&back), (UpdateResult::FellBack, "unit app.service failed".to_owned()));
    // The word of a technician after it does not hide the cause.
    let marked_too = given_3(SlotState::Bad, &[fell.clone(), marked(SlotId::A, Mark::Bad)]);
    assert_eq!(ended(&marked_too).1, "unit app.service failed");
    // It was good for months, and then it was not.
    let later = given_3(SlotState::Bad, &[marked(SlotId::A, Mark::Good), fell.clone()]);
    assert_eq!(ended(&later).0, UpdateResult::FellBack);
    // It fell back once, was told to boot again, and held.
    let healed = given_3(SlotState::Good, &[fell, marked(SlotId::A, Mark::Good)]);
    assert_eq!(ended(&healed).0, UpdateResult::Good);
}

#[test]
fn where_records_are_lost_the_slot_tells() {
    assert_eq!(ended(&given_3(SlotState::Good, &[])).0, UpdateResult::Good);
    let unhealthy = given_3(SlotState::Bad, &[verdict(SlotId::A, "marker is missing")]);
    let why = "not healthy: marker is missing".to_owned();
    assert_eq!(ended(&unhealthy), (UpdateResult::FellBack, why));
    let died = Entry::Died {
        slot: SlotId::A,
        mark: DeathMark([1; 8]),
        cause: "Attempted to kill init".to_owned(),
    };
    let died = given_3(SlotState::Bad, &[died, marked(SlotId::A, Mark::Bad)]);
    assert_eq!(ended(&died).1, "died: Attempted to kill init");
    assert_eq!(ended(&given_3(SlotState::Bad, &[])).1, "marked bad");
    let mut spent = given_3(SlotState::Trying, &[booted(SlotId::A, Reason::Trying)]);
    spent.facts.a.attempts = AttemptsLeft::ZERO;
    let why = "it was booted in vain as often as it may be".to_owned();
    assert_eq!(ended(&spent), (UpdateResult::FellBack, why));
}

#[test]
fn an_install_that_failed_or_never_ended_is_no_update() {
    let mut device = given_3(SlotState::Writing, &[]);
    device.history.pop();
    assert_eq!(ended(&device), (UpdateResult::Pending, "its install is not finished".to_owned()));
    device.record(Entry::InstallFailed { slot: SlotId::A, cause: "no space".to_owned() });
    assert_eq!(ended(&device), (UpdateResult::Failed, "no space".to_owned()));
    assert_eq!(update(&device).to.as_deref(), Some("3.0.0"));
    // The end of an install that is not on record: the slot holds a whole system.
    let mut lost = given_3(SlotState::Good, &[]);
    lost.history.pop();
    assert_eq!(ended(&lost).0, UpdateResult::Good);
    // What another disk went through is not this board's.
    let disk = "6f1c7d62-93a9-4ad2-8d9d-3c31b2f7a002".parse().unwrap();
    lost.record(Entry::FirstBoot { disk });
    let report = lost.report();
    assert_eq!((report.last_update, report.boot.count), (None, 0));
}

/// Fails when each boot of a healthy device costs a report, or when one that fell back, died or was
/// updated costs none.
#[test]
fn only_a_boot_that_changed_something_is_news() {
    let device = Device::new();
    let sent = Some(device.report().news());
    assert!(is_news(&device.report(), None));
    let mut quiet = device.clone();
    quiet.record(booted(SlotId::B, Reason::Normal));
    quiet.record(verdict(SlotId::B, ""));
    quiet.boot.id = Some("another".to_owned());
    quiet.facts.clock.now = UnixTime(NOW.0 + 5000);
    quiet.agent.last_contact = Some(UnixTime(NOW.0 + 4000));
    quiet.agent.last_decision = Some("up to date".to_owned());
    quiet.facts.b.attempts = bootctl::AttemptsLeft::ZERO;
    assert_ne!(quiet.report(), device.report());
    assert!(!is_news(&quiet.report(), sent));

    type Change = fn(&mut Device);
    let changes: [Change; 8] = [
        |device| device.facts.booted = Some(SlotId::A),
        |device| device.facts.a.state = SlotState::Bad,
        |device| device.record(verdict(SlotId::B, "marker is missing")),
        |device| device.facts.failed.push(bundle(7)),
        |device| {
            device.environment =
                Some(EnvironmentFacts { copies: 2, faults: vec!["copy 2 corrupt".to_owned()] })
        },
        |device| {
            device.record(Entry::Died {
                slot: SlotId::B,
                mark: DeathMark([2; 8]),
                cause: "panic".to_owned(),
            });
        },
        |device| device.key = Some(digest(8)),
        |device| device.agent.mode = Some("hawkbit".to_owned()),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = quiet.clone();
        change(&mut changed);
        assert!(is_news(&changed.report(), sent), "change {number} is no news");
    }
}

#[test]
fn what_a_person_typed_stays_at_the_device() {
    let mut device = Device::new();
    device.record(Entry::Asked { what: "uenv set secret_of_alice".to_owned() });
    let report = device.report();
    let json = String::from_utf8(report.encode().unwrap()).unwrap();
    assert!(!json.contains("alice"), "{json}");
    assert!(json.contains("a person changed something at the device"));
    assert!(!report.details(200).join("\n").contains("alice"));
}

#[test]
fn the_views_for_hawkbit_are_flat_and_short_and_keep_their_names() {
    let mut long = Device::new();
    long.facts.compatible = "ü".repeat(4000);
    long.facts.b.version = Some("\u{1b}[2J".repeat(400));
    long.missing = vec!["x".repeat(4000); 300];
    let empty = Report::default();
    let names = |report: &Report| {
        report
            .attributes()
            .into_keys()
            .filter(|name| !name.starts_with("slot."))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&empty), names(&long.report()), "a name that vanishes keeps an old value");
    for (name, value) in long.report().attributes() {
        assert!(name.len() <= 32, "{name}");
        assert!(value.chars().count() <= ATTRIBUTE_MAX && !value.is_empty(), "{name}");
        assert!(!value.chars().any(storage::is_unseen), "{name}");
    }
    let details = long.report().details(12);
    assert_eq!(details.len(), 12);
    assert!(details.iter().all(|line| line.chars().count() <= DETAIL_MAX));
    let details = Device::new().report().details(50);
    assert_eq!(details[0], "update 1.0.0 to 2.0.0 in B: good");
    assert_eq!(details[1], "booted B (normal), next B");
}

#[test]
fn a_report_is_bounded_whatever_is_on_record_and_keeps_the_newest() {
    let worst = "\"\\\u{10ffff}".repeat(4000);
    let mut device = Device::new();
    for _ in 0..2000 {
        device.record(Entry::DeadEnd { slot: SlotId::B, cause: worst.clone() });
        device.record(verdict(SlotId::B, &worst));
    }
    device.facts.compatible = worst.clone();
    device.facts.device_id = worst.clone();
    device.facts.a.version = Some(worst.clone());
    device.facts.b.version = Some(worst.clone());
    device.facts.failed = vec![bundle(7); 300];
    device.missing = vec![worst.clone(); 300];
    device.environment = Some(EnvironmentFacts { copies: 700, faults: vec![worst.clone(); 600] });
    device.agent.last_decision = Some(worst.clone());
    device.boot.next_why = Some(worst);
    let report = device.report();
    let bytes = report.encode().unwrap();
    assert!(bytes.len() as u64 <= REPORT_MAX.get(), "{} bytes", bytes.len());
    let newest = device.history.last().unwrap().sequence.0;
    let records = &report.recorder.records;
    assert_eq!(records.first().unwrap().sequence, newest);
    assert!(records.len() > 8, "{} records", records.len());
    let told: u64 = u64::try_from(records.len()).unwrap() + report.recorder.left_out;
    assert_eq!(told, u64::try_from(device.history.len()).unwrap());
    assert_eq!(Report::parse(&bytes).unwrap(), report);
}

#[test]
fn only_a_report_of_this_version_and_length_is_read() {
    let report = Device::new().report();
    let text = String::from_utf8(report.encode().unwrap()).unwrap();
    let newer = text.replacen("\"version\":1", "\"version\":1,\"x-later\":[{}]", 1);
    assert_eq!(Report::parse(newer.as_bytes()).unwrap(), report);
    let other = Report::parse(br#"{"version":2,"all":"else"}"#).unwrap_err();
    assert!(matches!(other, ReportError::Version { found: 2 }), "{other}");
    let long = vec![b' '; 64 * 1024 + 1];
    assert!(matches!(Report::parse(&long), Err(ReportError::TooLong { .. })));
    let deep = "[".repeat(60_000);
    assert!(matches!(Report::parse(deep.as_bytes()), Err(ReportError::Parse(_))));
}

fn status(code: u16, retry_after_secs: Option<u32>) -> ReportAnswer {
    ReportAnswer::Status { code, retry_after_secs }
}

#[test]
fn a_report_is_due_until_a_server_took_it() {
    let report = Device::new().report();
    let request = ReportRequest::new(&report, vec![1, 2, 3]);
    assert_eq!(request.headers[0], ("Content-Type".to_owned(), "application/cms".to_owned()));
    assert_eq!(request.headers[1].1, report.news().to_string());
    let mut record = ReportRecord::default();
    record.note(&report);
    assert_eq!(record.pending, Some(request.news));
    // It came back from a server that took nothing: it is still due, and what changed meanwhile.
    let mut fell = Device::new();
    fell.facts.booted = Some(SlotId::A);
    record.note(&fell.report());
    assert_eq!(record.pending, Some(fell.report().news()));
    record.arrived(request.news);
    assert_eq!(record.pending, Some(fell.report().news()), "what came meanwhile is lost");
    record.arrived(fell.report().news());
    assert_eq!((record.pending, record.sent), (None, Some(fell.report().news())));
    record.note(&fell.report());
    assert_eq!(record.pending, None);
    // It is as it was when the last but one was sent: that is news again.
    record.note(&report);
    assert_eq!(record.pending, Some(request.news));
}

/// Found by the agent's played days: a report arrives without a word of it, the device goes back to
/// what it told before, and the server believes the one in between for ever.
#[test]
fn what_may_have_arrived_without_a_word_is_corrected() {
    let report = Device::new().report();
    let mut fell = Device::new();
    fell.facts.booted = Some(SlotId::A);
    let mut record = ReportRecord { sent: Some(report.news()), ..ReportRecord::default() };
    record.note(&fell.report());
    record.note(&report);
    assert_eq!(record.pending, Some(report.news()));
    record.note(&report);
    assert_eq!(record.pending, Some(report.news()), "until it has arrived");
    record.arrived(report.news());
    record.note(&report);
    assert_eq!(record.pending, None);
}

#[test]
fn pauses_grow_to_a_limit_and_a_server_may_ask_for_longer_ones() {
    let mut tries = ReportTries::default();
    assert!(tries.may_send(NOW));
    let mut wait = |answer| match tries.judge(&answer, "dev1", NOW) {
        Delivery::Later { not_before, .. } => not_before.0 - NOW.0,
        Delivery::Delivered => 0,
    };
    // Each is met within half of its length.
    for doublings in 0..40_u32 {
        let pause = 60 * (1_i64 << doublings.min(12)).min(360);
        let waited = wait(ReportAnswer::None { why: "no route".to_owned() });
        assert!((pause / 2..pause * 3 / 2).contains(&waited), "{pause}: {waited}");
    }
    for taken in [200, 201, 202, 204] {
        assert_eq!(wait(status(taken, None)), 0, "{taken}");
    }
    let longest = 86_400..86_400 + 6 * 3600;
    assert!((900..2700).contains(&wait(status(503, Some(900)))));
    assert!(longest.contains(&wait(status(429, Some(u32::MAX)))));
    for refused in [301, 400, 401, 403, 404, 410, 413] {
        assert!(longest.contains(&wait(status(refused, Some(1)))), "{refused}");
    }
    assert!(!tries.may_send(UnixTime(NOW.0 + 86_399)));
    assert!(tries.may_send(UnixTime(NOW.0 + longest.end)));
    // A clock that was wrong must not keep the report for years.
    assert!(tries.may_send(UnixTime(NOW.0 - 40 * 86_400)));
}

proptest! {
    /// What was written is read as the same, and the same report is the same bytes.
    #[test]
    fn a_report_that_is_read_is_the_one_that_was_written(
        version in ".{0,200}", cause in ".{0,300}", attempts in 0_u8..3, mode in "[a-z]{0,9}",
    ) {
        let mut device = Device::new();
        device.facts.a.version = Some(version);
        device.record(Entry::InstallFailed { slot: SlotId::A, cause });
        device.boot.reason = (attempts > 0).then_some(Reason::Fallback);
        device.agent.mode = Some(mode);
        let report = device.report();
        let bytes = report.encode().unwrap();
        prop_assert_eq!(&Report::parse(&bytes).unwrap(), &report);
        prop_assert_eq!(Report::parse(&bytes).unwrap().encode().unwrap(), bytes);
    }
}

/// Fails when what one receiver said holds up the reports to another, and when that one is never
/// sent its first.
#[test]
fn another_receiver_starts_anew() {
    let report = Device::new().report();
    let mut record = ReportRecord::default();
    record.address("https://one.example/reports");
    record.note(&report);
    record.tries.judge(&status(404, None), "device", UnixTime(0));
    record.arrived(report.news());
    assert!(!record.tries.may_send(UnixTime(60)));
    record.address("https://one.example/reports");
    record.note(&report);
    assert!(!record.tries.may_send(UnixTime(60)) && record.pending.is_none());
    record.address("https://two.example/reports");
    record.note(&report);
    assert!(record.tries.may_send(UnixTime(60)) && record.pending.is_some());
}
