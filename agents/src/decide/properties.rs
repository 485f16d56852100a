// SPDX-License-Identifier: MIT OR Apache-2.0
//! What holds for any device, any offer and any policy.

use super::*;
use crate::test_facts::{NOON, facts, manifest};
use crate::{
    Days, InstallRecord, InstallStage, Link, Memory, MeteredRule, RebootRule, Rollout, Window,
};
use bootctl::{AttemptsLeft, BootState, Command, SlotState, transition};
use proptest::prelude::*;
use proptest::sample::select;
use updater::BundleVersion;

const VERSIONS: [&str; 6] = ["0.9", "1.0", "1.5", "2.0", "nightly", ""];

fn version() -> impl Strategy<Value = String> {
    select(VERSIONS.to_vec()).prop_map(ToOwned::to_owned)
}

fn time() -> impl Strategy<Value = UnixTime> {
    prop_oneof![
        Just(NOON),
        (-1_000_000_i64..1_000_000).prop_map(|off| UnixTime(NOON.0 + off)),
        any::<i64>().prop_map(UnixTime),
    ]
}

prop_compose! {
    fn slot()(
        state in select(SlotState::ALL.to_vec()), attempts in 0_u8..4,
        bundle in proptest::option::of(0_u8..5), version in proptest::option::of(version()),
    ) -> crate::SlotFacts {
        crate::SlotFacts {
            state,
            attempts: AttemptsLeft::new(attempts).unwrap(),
            bundle: bundle.map(|number| manifest(number).into()),
            version,
        }
    }
}

prop_compose! {
    fn device()(
        a in slot(), b in slot(),
        booted in proptest::option::of(select(SlotId::ALL.to_vec())),
        next in proptest::option::of(select(SlotId::ALL.to_vec())),
        failed in proptest::collection::vec(0_u8..5, 0..3),
        now in time(), floor in proptest::option::of(time()), is_set: bool, up: u32,
        metered: bool, inhibited: bool, name in 0_u16..,
        least in proptest::option::of(version()),
    ) -> Facts {
        Facts {
            device_id: format!("device-{name}"),
            booted, a, b, next,
            version_floor: least.and_then(|text| text.parse().ok()),
            failed: failed.into_iter().map(|number| manifest(number).into()).collect(),
            clock: crate::Clock { now, floor, is_set },
            up: Duration::from_secs(up.into()),
            link: if metered { Link::Metered } else { Link::Flat },
            inhibitors: inhibited.then(|| "backup".to_owned()).into_iter().collect(),
            ..facts()
        }
    }
}

prop_compose! {
    fn offered()(
        version in version(), claimed in proptest::option::of(0_u8..5),
        size in proptest::option::of(0_u64..3), minimum in proptest::option::of(version()),
        rollout in proptest::option::of((time(), time(), any::<u8>())),
        expires in proptest::option::of(time()), forced: bool,
    ) -> Offer {
        Offer {
            version,
            manifest: claimed.map(manifest),
            file: None,
            size: size.map(ByteLen::mib),
            urls: vec!["https://updates.example/x.raucb".to_owned()],
            min_version: minimum,
            rollout: rollout.map(|(begins, ends, percent)| Rollout { begins, ends, percent }),
            expires,
            urgency: if forced { Urgency::Forced } else { Urgency::Ordinary },
            document: None,
        }
    }
}

/// An offer, and the bundle behind it: mostly the one that the server says it is.
fn offered_bundle() -> impl Strategy<Value = (Offer, Looked)> {
    let lies = proptest::collection::vec(0_u8..8, 5);
    (offered(), bundle(), lies).prop_map(|(offer, mut looked, lies)| {
        let is_true = |lie: usize| lies.get(lie).is_some_and(|lie| *lie > 0);
        if is_true(0) {
            looked.manifest = offer.manifest.unwrap_or(looked.manifest);
        }
        if is_true(1) {
            looked.version = Some(offer.version.clone());
        }
        if is_true(2) {
            looked.size = offer.size.unwrap_or(looked.size);
        }
        if is_true(3) {
            "gateway".clone_into(&mut looked.compatible);
        }
        (offer, looked)
    })
}

prop_compose! {
    fn bundle()(
        number in 0_u8..5, version in proptest::option::of(version()),
        size in 0_u64..3, transfer in 0_u64..100,
    ) -> Looked {
        Looked {
            manifest: manifest(number),
            version,
            compatible: "kiosk".to_owned(),
            size: ByteLen::mib(size),
            transfer: ByteLen::mib(transfer),
        }
    }
}

prop_compose! {
    fn policy()(
        windows in proptest::collection::vec((1_u8..7, 0_u16..1440, 0_u16..=1440), 0..3),
        reboot in select(vec![RebootRule::Now, RebootRule::Window, RebootRule::Never]),
        metered in
            select(vec![MeteredRule::Allow, MeteredRule::Defer, MeteredRule::ForcedOnly]),
        most_update in proptest::option::of(0_u64..100),
        most_day in proptest::option::of(0_u64..200),
        allowed: bool,
    ) -> Policy {
        let window = |(day, from, to)| {
            let day = time::Weekday::Monday.nth_next(day);
            Window::new(Days::of([day]), from, to, 60).unwrap()
        };
        Policy {
            windows: windows.into_iter().map(window).collect(),
            reboot,
            metered,
            most_update: most_update.map(ByteLen::mib),
            most_day: most_day.map(ByteLen::mib),
            downgrade: if allowed { Downgrade::Allowed } else { Downgrade::Refused },
            ..Policy::default()
        }
    }
}

prop_compose! {
    fn memory()(
        spent in 0_u64..200, install in proptest::option::of((0_u8..5, any::<bool>(), any::<bool>())),
        at in time(),
    ) -> Memory {
        let mut memory = Memory::default();
        memory.spend(at, ByteLen::mib(spent));
        memory.install = install.map(|(number, written, b)| InstallRecord {
            manifest: manifest(number),
            version: None,
            url: None,
            etag: None,
            slot: if b { SlotId::B } else { SlotId::A },
            from: None,
            urgency: Urgency::Ordinary,
            stage: if written { InstallStage::Written } else { InstallStage::Begun },
        });
        memory
    }
}

/// The boot state that these facts were taken from.
fn boot_state(facts: &Facts) -> BootState {
    let mut state = BootState::lost();
    for slot in SlotId::ALL {
        let (found, record) = (facts.slot(slot), state.slot_mut(slot));
        (record.state, record.attempts, record.bundle) =
            (found.state, found.attempts, found.bundle);
    }
    state.failed.clone_from(&facts.failed);
    state
}

/// I8 and I2, with `bootctl` as the judge.
fn assert_overwrites_nothing_good(facts: &Facts, judgement: &Judgement) {
    let (state, booted) = (boot_state(facts), facts.booted);
    match &judgement.decision {
        Decision::Install { order } => {
            assert_eq!(Some(order.slot.other()), booted);
            let begin = Command::BeginInstall { target: order.slot };
            transition(&state, booted, &begin).unwrap();
        }
        Decision::LeaveTrial { trial } => {
            assert_eq!(Some(*trial), booted);
            assert_eq!(facts.slot(*trial).state, SlotState::Trying);
            assert_eq!(facts.slot(trial.other()).state, SlotState::Good);
            let mark = Command::MarkBad { slot: *trial, force: Force::No };
            transition(&state, booted, &mark).unwrap();
            assert!(facts.inhibitors.is_empty());
        }
        Decision::Reboot { into } => {
            assert!(facts.inhibitors.is_empty());
            assert_eq!(facts.next, Some(*into));
            assert_ne!(facts.booted, Some(*into));
        }
        Decision::UpToDate
        | Decision::Refuse { .. }
        | Decision::Wait { .. }
        | Decision::Look
        | Decision::Nothing => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_is_installed_is_what_was_offered_and_may_be(
        facts in device(), (offer, looked) in offered_bundle(), policy in policy(),
        memory in memory(), person: bool,
    ) {
        let insist = if person { Force::Yes } else { Force::No };
        let view = View { memory: &memory, insist };
        let judgement = judge_bundle(&facts, &offer, &looked, &view, &policy);
        assert_overwrites_nothing_good(&facts, &judgement);
        prop_assert_ne!(&judgement.decision, &Decision::Look);
        let taken = matches!(
            judgement.decision, Decision::Install { .. } | Decision::LeaveTrial { .. }
        );
        if taken {
            let forced = person || offer.urgency == Urgency::Forced;
            prop_assert!(forced || !boot_state(&facts).is_known_failed(&looked.id()));
            let order = |text: Option<&str>| text?.parse::<BundleVersion>().ok();
            let running = order(facts.running().and_then(|slot| slot.version.as_deref()));
            let known = facts.running().unwrap().version.is_some();
            let least = if known { running } else { facts.version_floor.clone() };
            if policy.downgrade == Downgrade::Refused {
                prop_assert!(known || least.is_some());
                let new = order(looked.version.as_deref());
                let is_older = |least| new.is_none_or(|new| new.is_older_than(&least));
                prop_assert!(!least.is_some_and(is_older));
            }
            prop_assert_eq!(&looked.compatible, &facts.compatible);
            prop_assert_eq!(looked.version.as_deref(), Some(&*offer.version));
            prop_assert!(offer.manifest.is_none_or(|claimed| claimed == looked.manifest));
            prop_assert!(offer.size.is_none_or(|claimed| claimed == looked.size));
            prop_assert!(policy.most_update.is_none_or(|most| looked.transfer <= most));
            prop_assert!(facts.running().unwrap().bundle != Some(looked.id()));
        }
        if let Decision::Install { order } = &judgement.decision {
            prop_assert_eq!(order.manifest, looked.manifest);
            prop_assert!(order.most_bytes.is_none_or(|most| looked.transfer <= most));
        }
    }

    /// Nothing is fetched of what would be refused, and nothing is done for a mere claim but to
    /// restart into what is there.
    #[test]
    fn a_claim_installs_nothing(
        facts in device(), offer in offered(), policy in policy(), memory in memory(),
    ) {
        let view = View { memory: &memory, insist: Force::No };
        let judgement = judge_offer(&facts, &offer, &view, &policy);
        assert_overwrites_nothing_good(&facts, &judgement);
        let acts = matches!(
            judgement.decision, Decision::Install { .. } | Decision::LeaveTrial { .. }
        );
        prop_assert!(!acts);
    }

    /// Every wait ends: with the clock at its end, and again at the end of the next, the device
    /// comes to a decision that is not to wait, unless somebody inhibits it or bytes stay paid for.
    #[test]
    fn every_wait_has_an_end(
        facts in device(), (offer, looked) in offered_bundle(), policy in policy(),
        memory in memory(),
    ) {
        let now = facts.clock.now.0.clamp(0, 1 << 40);
        let mut facts = Facts { inhibitors: Vec::new(), link: Link::Flat, ..facts };
        facts.clock.now = UnixTime(now);
        // A floor in the far future says that the clock runs behind; a rollout then is far ahead.
        facts.clock.floor = facts.clock.floor.map(|floor| UnixTime(floor.0.clamp(0, 1 << 41)));
        let mut offer = offer;
        offer.rollout = offer.rollout.map(|rollout| Rollout {
            begins: UnixTime(rollout.begins.0.clamp(0, 1 << 41)),
            ends: UnixTime(rollout.ends.0.clamp(0, 1 << 41)),
            ..rollout
        });
        let view = View { memory: &memory, insist: Force::No };
        for _ in 0..12 {
            let judgement = judge_bundle(&facts, &offer, &looked, &view, &policy);
            prop_assert!(judgement.lines().iter().all(|line| line.chars().count() <= 80));
            let Decision::Wait { until, .. } = judgement.decision else { return Ok(()) };
            prop_assert!(until > facts.clock.now);
            prop_assert!(judgement.because().is_some());
            let slept = u64::try_from(until.0 - facts.clock.now.0).unwrap();
            facts.up = facts.up.saturating_add(Duration::from_secs(slept));
            facts.clock.now = until;
        }
        let last = judge_bundle(&facts, &offer, &looked, &view, &policy);
        prop_assert!(false, "still waits: {:#?}", last);
    }

    /// No time, however odd, makes a judgement fail.
    #[test]
    fn any_clock_gets_an_answer(
        facts in device(), (offer, looked) in offered_bundle(), policy in policy(),
        memory in memory(),
    ) {
        let view = View { memory: &memory, insist: Force::No };
        for judgement in [
            judge_offer(&facts, &offer, &view, &policy),
            judge_bundle(&facts, &offer, &looked, &view, &policy),
            judge_waiting(&facts, &view, &policy),
        ] {
            prop_assert!(judgement.to_json().is_object());
            prop_assert!(!judgement.checks.is_empty());
        }
    }
}
