// SPDX-License-Identifier: MIT OR Apache-2.0
//! The watch on virtual time.

use super::*;
use crate::appliers::UnitMode;
use crate::promote::Moment;
use std::collections::{BTreeMap, BTreeSet};
use verifier::{ActiveState, UnitStatus};

fn unit(name: &str) -> ServiceUnit {
    ServiceUnit { mode: UnitMode::Rootless, name: format!("{name}.service") }
}

fn plan(settle_secs: u64, timeout_secs: u64) -> ActivationPlan {
    let watched = BTreeSet::from([unit("web")]);
    let (others, restart) = (BTreeSet::new(), Vec::new());
    ActivationPlan { watched, others, restart, timeout_secs, settle_secs }
}

fn status(active: ActiveState, restarts: u32) -> Sample {
    let sub = "x".to_owned();
    Ok(UnitStatus { exists: true, active, was_started: true, sub, restarts })
}

/// Watches a service that is at each second as `at` says; gives when it ended, and how.
fn watched(plan: &ActivationPlan, at: &dyn Fn(u64) -> Sample) -> (u64, Judgement, usize) {
    let mut now = Moment(1000);
    let mut events = 0;
    let mut watch = Watch::new(plan, now, now.plus_secs(plan.timeout_secs));
    loop {
        let samples = BTreeMap::from([(unit("web"), at(now.0 - 1000))]);
        match watch.look(now, &samples, &mut |_| events += 1) {
            Judgement::Wait(until) => {
                assert!(until > now, "time goes on");
                now = until;
            }
            judgement @ (Judgement::Healthy | Judgement::Failed(_)) => {
                return (now.0 - 1000, judgement, events);
            }
        }
    }
}

fn up_from(second: u64) -> impl Fn(u64) -> Sample {
    move |now| {
        let state = if now < second { ActiveState::Activating } else { ActiveState::Active };
        status(state, 0)
    }
}

#[test]
fn a_slow_start_is_waited_for_and_then_held() {
    let (ended, judgement, events) = watched(&plan(5, 300), &up_from(250));
    assert_eq!((ended, judgement, events), (255, Judgement::Healthy, 2));
}

#[test]
fn what_comes_up_too_late_to_be_held_fails_at_the_deadline() {
    let (ended, judgement, _) = watched(&plan(60, 300), &up_from(250));
    assert_eq!(ended, 300);
    let Judgement::Failed(failures) = judgement else { panic!("{judgement:?}") };
    assert!(failures[0].why.contains("did not stay up long enough"), "{failures:?}");
}

#[test]
fn a_crash_loop_never_passes_even_without_a_settle_time() {
    for settle in [0, 5] {
        // Up for two seconds of four.
        let looping = |now: u64| {
            let restarts = u32::try_from(now / 4).unwrap();
            let state = if now % 4 < 2 { ActiveState::Active } else { ActiveState::Activating };
            status(state, restarts)
        };
        let (ended, judgement, _) = watched(&plan(settle, 60), &looping);
        assert_eq!(ended, 60, "{judgement:?}");
        assert!(matches!(judgement, Judgement::Failed(_)));
        // Always up when it is looked at, and restarted in between.
        let hidden = |now: u64| status(ActiveState::Active, u32::try_from(now / 3).unwrap());
        assert!(matches!(watched(&plan(settle, 60), &hidden).1, Judgement::Failed(_)));
    }
}

#[test]
fn one_restart_begins_the_count_anew() {
    let once = |now: u64| status(ActiveState::Active, u32::from(now >= 4));
    assert_eq!(watched(&plan(6, 60), &once).0, 10);
}

#[test]
fn a_service_that_nobody_tries_again_fails_early_and_one_that_is_tried_does_not() {
    let (ended, judgement, _) = watched(&plan(0, 300), &|_| status(ActiveState::Failed, 1));
    assert_eq!(ended, 10);
    assert!(matches!(judgement, Judgement::Failed(_)));
    let tried = |now: u64| match now {
        0..9 => status(ActiveState::Failed, 0),
        9..18 => status(ActiveState::Failed, 1),
        _ => status(ActiveState::Active, 1),
    };
    assert_eq!(watched(&plan(5, 300), &tried).1, Judgement::Healthy);
}

#[test]
fn neither_silence_nor_absence_is_a_good_answer() {
    let missing = Ok(UnitStatus {
        exists: false,
        active: ActiveState::Active,
        was_started: false,
        sub: String::new(),
        restarts: 0,
    });
    for sample in [Err("no bus".to_owned()), missing] {
        let (ended, judgement, _) = watched(&plan(0, 20), &|_| sample.clone());
        assert_eq!(ended, 20);
        assert!(matches!(judgement, Judgement::Failed(_)));
    }
}

#[test]
fn a_second_is_enough_time_for_what_is_up() {
    assert_eq!(watched(&plan(0, 1), &up_from(0)), (0, Judgement::Healthy, 1));
}

#[test]
fn a_plan_watches_the_required_ones_and_all_others_once_some_may_be_degraded() {
    let units = br#"{"app_user": "appsvc", "rootless_network": "pasta", "units": [
        {"name": "web", "filename": "web.container", "service": "web.service", "mode": "rootless"},
        {"name": "log", "filename": "log.container", "service": "log.service", "mode": "rootful"},
        {"name": "net", "filename": "net.network", "service": "net-network.service", "mode": "rootful"},
        {"name": "opt", "filename": "opt.container", "service": "opt.service", "mode": "rootful"}]}"#;
    let policy = |degraded: &str, configured: bool| {
        format!(
            r#"{{"required": ["web"], "timeout_seconds": 30, "settle_seconds": 2, "restart": ["web"],
                "allow_degraded": [{degraded}], "allow_degraded_configured": {configured},
                "strategy": "rollback"}}"#
        )
    };
    let names = |degraded: &str, configured| -> Vec<String> {
        let plan = ActivationPlan::parse(policy(degraded, configured).as_bytes(), units).unwrap();
        plan.watched.into_iter().map(|unit| unit.name).collect()
    };
    assert_eq!(names("", false), ["web.service"]);
    assert_eq!(names("\"opt\"", true), ["log.service", "web.service"]);
    let unknown = ActivationPlan::parse(policy("\"sshd\"", true).as_bytes(), units);
    assert!(matches!(unknown, Err(PlanError::Unknown { .. })));
    for (wrong, right) in [("30", "0"), ("30", "3601"), ("\"rollback\"", "\"keep\"")] {
        let text = policy("", false).replace(wrong, right);
        assert!(ActivationPlan::parse(text.as_bytes(), units).is_err(), "{right}");
    }
}
