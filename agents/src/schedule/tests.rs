// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ten thousand devices on virtual time: no minute may see three times as many questions as the
//! mean minute.

use super::*;
use crate::test_facts::{NOON, facts, manifest};
use crate::{Days, Decision, Looked, Memory, Offer, Rollout, Rule, Urgency, View, Window};
use bootctl::Force;
use bundle::UnixTime;
use proptest::prelude::*;
use storage::ByteLen;

const FLEET: u64 = 10_000;
const HOUR: Duration = Duration::from_secs(3600);

fn name(device: u64) -> String {
    format!("{device:012x}")
}

fn hourly() -> Pace {
    Pace::new(HOUR, &Policy::default())
}

/// How many of `times` fall into each of the spans of `bucket` from `from` to `to`.
fn counted(times: &[Duration], from: Duration, to: Duration, bucket: Duration) -> Vec<u32> {
    let index = |time: Duration| (time - from).as_secs() / bucket.as_secs();
    let mut counts = vec![0; usize::try_from(index(to)).unwrap()];
    for time in times.iter().filter(|time| (from..to).contains(*time)) {
        if let Some(count) = counts.get_mut(usize::try_from(index(*time)).unwrap()) {
            *count += 1;
        }
    }
    counts
}

#[track_caller]
fn assert_no_herd(counts: &[u32]) {
    let (peak, sum) = (*counts.iter().max().unwrap(), counts.iter().sum::<u32>());
    let mean = f64::from(sum) / f64::from(u32::try_from(counts.len()).unwrap());
    assert!(mean > 5.0, "a mean of {mean} shows nothing");
    assert!(f64::from(peak) <= 3.0 * mean, "a peak of {peak} over a mean of {mean}: {counts:?}");
}

/// All questions of the fleet up to `end`, when all of it is started at once; `answer` says how the
/// question at that time ends.
fn questions(pace: Pace, end: Duration, answer: impl Fn(Duration) -> Asked) -> Vec<Duration> {
    let mut all = Vec::new();
    for device in 0..FLEET {
        let device = name(device);
        let (mut time, mut failures) = (pace.first(&device), 0);
        for round in 1.. {
            if time >= end {
                break;
            }
            all.push(time);
            let asked = answer(time);
            failures = match asked {
                Asked::Answered { .. } => 0,
                Asked::Failed { .. } => failures + 1,
            };
            time += pace.next(&device, round, failures, asked);
        }
    }
    all
}

#[test]
fn a_power_return_makes_no_herd_and_the_fleet_stays_spread() {
    let all = questions(hourly(), HOUR * 8, |_| Asked::Answered { sleep: None });
    let minute = Duration::from_secs(60);
    assert_no_herd(&counted(&all, minute, minute + HOUR, Duration::from_secs(10)));
    assert_no_herd(&counted(&all, minute, HOUR * 8, Duration::from_secs(10)));
    let rate = all.len() as u64;
    assert!((FLEET * 7..FLEET * 9).contains(&rate), "the mean rate is the interval's: {rate}");
}

#[test]
fn a_small_jitter_lets_no_herd_through_at_a_power_return() {
    let policy = Policy { jitter: Some(Duration::from_secs(5)), ..Policy::default() };
    let all = questions(Pace::new(HOUR, &policy), HOUR * 4, |_| Asked::Answered { sleep: None });
    assert_no_herd(&counted(&all, Duration::from_secs(60), HOUR * 4, Duration::from_secs(10)));
}

/// The server is away for two hours, or answers everybody with the same `Retry-After`.
#[test]
fn an_outage_and_its_end_make_no_herd() {
    for retry_after in [None, Some(Duration::from_secs(120)), Some(Duration::from_secs(5400))] {
        let away = HOUR * 3..HOUR * 5;
        let all = questions(hourly(), HOUR * 10, |time| {
            if away.contains(&time) {
                Asked::Failed { retry_after }
            } else {
                Asked::Answered { sleep: None }
            }
        });
        let minute = Duration::from_secs(60);
        assert_no_herd(&counted(&all, minute, HOUR * 10, minute));
        let before = counted(&all, HOUR, HOUR * 3, HOUR * 2);
        let during = counted(&all, HOUR * 3, HOUR * 5, HOUR * 2);
        assert!(during[0] < before[0] * 3, "{retry_after:?}: {during:?} beside {before:?}");
    }
}

/// The fleet simulator found it: hawkBit's pauses after failures double, and were spread over its
/// interval of minutes only, so that its devices came back from an outage within ten of them.
#[test]
fn doubling_pauses_do_not_bring_a_fleet_back_together() {
    let sleep = Duration::from_secs(300);
    let pace = Pace::new(sleep, &Policy::default());
    let away = HOUR..HOUR * 3;
    let mut all = Vec::new();
    for device in (0..FLEET).map(name) {
        let (mut time, mut failures) = (pace.first(&device), 0_u32);
        let mut is_back = false;
        for round in 1.. {
            if is_back || time >= HOUR * 5 {
                break;
            }
            is_back = time >= away.end;
            all.push(time);
            let asked = if away.contains(&time) {
                failures += 1;
                let pause = Duration::from_secs(30) * (1 << (failures - 1).min(7));
                Asked::Failed { retry_after: Some(pause.min(HOUR)) }
            } else {
                failures = 0;
                Asked::Answered { sleep: Some(sleep) }
            };
            time += pace.next(&device, round, failures, asked);
        }
    }
    // The first question of each after the outage.
    assert_no_herd(&counted(&all, away.end, away.end + HOUR, Duration::from_secs(60)));
}

#[test]
fn a_polling_sleep_of_the_server_is_met_without_a_herd() {
    let sleep = Some(Duration::from_secs(300));
    let all = questions(hourly(), HOUR * 3, |_| Asked::Answered { sleep });
    assert_no_herd(&counted(&all, HOUR, HOUR * 3, Duration::from_secs(10)));
    let waits = (1..1000).map(|round| hourly().next("x", round, 0, Asked::Answered { sleep }));
    let bounds = Duration::from_secs(262)..Duration::from_secs(338);
    assert!(waits.into_iter().all(|wait| bounds.contains(&wait)));
}

/// The whole fleet waits for one window, or for the end of a rollout: the installs are spread.
#[test]
fn what_all_wait_for_makes_no_herd() {
    let policy = Policy {
        windows: vec![Window::new(Days::EVERY, 120, 240, 0).unwrap()],
        ..Policy::default()
    };
    let ends = UnixTime(NOON.0 + 1800);
    let rollout = Rollout { begins: NOON, ends, percent: 0 };
    let window_from = Duration::from_secs(14 * 3600);
    for (policy, rollout, rule, from) in [
        (policy, None, Rule::Window, window_from),
        (Policy::default(), Some(rollout), Rule::Rollout, Duration::from_secs(1800)),
    ] {
        let offer = Offer {
            version: "2.0".to_owned(),
            manifest: Some(manifest(3)),
            file: None,
            size: None,
            urls: vec!["https://updates.example/x.raucb".to_owned()],
            min_version: None,
            rollout,
            expires: None,
            urgency: Urgency::Ordinary,
            document: None,
        };
        let looked = Looked {
            manifest: manifest(3),
            version: Some("2.0".to_owned()),
            compatible: "gateway".to_owned(),
            size: ByteLen::mib(1),
            transfer: ByteLen::mib(1),
        };
        let memory = Memory::default();
        let view = View { memory: &memory, insist: Force::No };
        let wakes: Vec<Duration> = (0..FLEET)
            .map(|device| {
                let mut facts = facts();
                facts.device_id = name(device);
                let decision =
                    crate::judge_bundle(&facts, &offer, &looked, &view, &policy).decision;
                let Decision::Wait { until, why } = decision else { panic!("{decision:?}") };
                assert_eq!(why, rule);
                Duration::from_secs(u64::try_from(until.0 - NOON.0).unwrap())
            })
            .collect();
        assert_no_herd(&counted(&wakes, from, from + HOUR, Duration::from_secs(10)));
        assert!(wakes.iter().all(|wake| (from..from + HOUR).contains(wake)));
    }
}

#[test]
fn failures_are_tried_again_sooner_at_first_and_then_as_the_interval_says() {
    let middle = |failures| hourly().after_failures(failures).as_secs() / 60;
    assert_eq!([1, 2, 3, 4, 50].map(middle), [15, 30, 60, 60, 60]);
    let fast = Pace::new(Duration::from_secs(60), &Policy::default());
    let middle = |failures| fast.after_failures(failures).as_secs();
    assert_eq!([1, 2, 3, 6, 7, 8].map(middle), [30, 60, 120, 960, 1800, 1800]);
}

#[test]
fn a_wait_is_not_overslept_and_not_a_reason_to_ask_without_end() {
    let question = Duration::from_secs(3600);
    assert_eq!(wake_after(question, None), question);
    assert_eq!(wake_after(question, Some(HOUR * 9)), question, "the server may change its mind");
    assert_eq!(wake_after(question, Some(Duration::from_secs(90))), Duration::from_secs(90));
    assert_eq!(wake_after(question, Some(Duration::ZERO)), SHORTEST_WAIT);
}

/// Fails when a device whose owner wants it to ask once a week asks each day, or waits a week where
/// something went wrong, where it was just started, or where only a server wants that.
#[test]
fn an_owner_may_want_a_week_and_a_server_a_day() {
    let week = LONGEST_INTERVAL;
    let pace = Pace::of_owner(week, &Policy::default());
    let answered = Asked::Answered { sleep: None };
    let waits: Vec<_> = (1..2000).map(|round| pace.next("x", round, 0, answered)).collect();
    assert!(waits.iter().all(|wait| (week / 2..=week).contains(wait)));
    let mean = waits.iter().sum::<Duration>() / 1999;
    assert!(mean > LONGEST_WAIT * 5, "{mean:?}");
    let exact = Policy { jitter: Some(HOUR), ..Policy::default() };
    let wait = Pace::of_owner(LONGEST_WAIT * 2, &exact).next("x", 1, 0, answered);
    assert!(wait >= LONGEST_WAIT * 2 - HOUR && wait <= LONGEST_WAIT * 2, "{wait:?}");
    for device in (0..500).map(name) {
        assert!(pace.first(&device) <= LONGEST_WAIT + Duration::from_secs(60));
        for failures in 1..20 {
            let failed = Asked::Failed { retry_after: None };
            assert!(pace.next(&device, 1, failures, failed) <= LONGEST_WAIT);
        }
    }
    let servers = Pace::new(week, &Policy::default());
    assert!((1..2000).all(|round| servers.next("x", round, 0, answered) <= LONGEST_WAIT));
    let sleep = Asked::Answered { sleep: Some(week) };
    assert!((1..2000).all(|round| pace.next("x", round, 0, sleep) <= LONGEST_WAIT));
}

proptest! {
    #[test]
    fn whatever_a_server_says_the_next_question_comes_within_a_day_and_not_at_once(
        interval: u32, jitter in proptest::option::of(any::<u32>()), round: u64, failures: u32,
        said in proptest::option::of(any::<u64>()), failed: bool, device in ".{0,40}",
    ) {
        let secs = |secs: u32| Duration::from_secs(secs.into());
        let policy = Policy { jitter: jitter.map(secs), ..Policy::default() };
        let pace = Pace::new(secs(interval), &policy);
        let said = said.map(Duration::from_secs);
        let asked = if failed {
            Asked::Failed { retry_after: said }
        } else {
            Asked::Answered { sleep: said }
        };
        let wait = pace.next(&device, round, failures, asked);
        prop_assert!((SHORTEST_WAIT..=LONGEST_WAIT).contains(&wait));
        if let (true, Some(said)) = (failed, said) {
            prop_assert!(wait >= said.min(LONGEST_WAIT));
        }
        let first = pace.first(&device);
        prop_assert!(first >= SHORTEST_WAIT && first <= LONGEST_WAIT + secs(60));
    }
}
