// SPDX-License-Identifier: MIT OR Apache-2.0
//! A polling device lives through days: whatever happens to it, it ends with the update, or without
//! the bad one, and the fleet has heard of it.

mod forced_tests;
mod held_tests;
mod refused_tests;
use super::super::played::*;
use super::*;
use crate::agent::Stop;
use crate::test_facts::{NOON, manifest};
use crate::{
    Days, Link, Metadata, MeteredRule, Offer, RebootRule, SeenRelease, TlsFiles, Urgency, Window,
};
use bootctl::{Command, Force, SlotId, SlotState};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use storage::{ByteLen, Digest};

const HOUR: Duration = Duration::from_secs(3600);

/// A server that offers one bundle after the other, and is away at times.
struct Script {
    /// From the moment on, in seconds: the bundle.
    offers: Vec<(i64, Option<u8>)>,
    urgency: Urgency,
    is_signed: bool,
    away: Vec<std::ops::Range<i64>>,
    retry_after: Option<Duration>,
    asked: Vec<i64>,
}

impl Script {
    fn of(number: u8) -> Self {
        Self {
            offers: vec![(0, Some(number))],
            urgency: Urgency::Ordinary,
            is_signed: true,
            away: Vec::new(),
            retry_after: None,
            asked: Vec::new(),
        }
    }
}

fn offer(number: u8, urgency: Urgency) -> Offer {
    let version = ["", "1.0", "1.5", "2.0", "3.0"][usize::from(number)];
    Offer {
        version: version.to_owned(),
        manifest: Some(manifest(number)),
        file: None,
        size: Some(ByteLen::mib(100)),
        urls: vec!["https://updates.example/gateway.raucb".to_owned()],
        min_version: None,
        rollout: None,
        expires: None,
        urgency,
        document: None,
    }
}

impl Server for Script {
    fn ask(&mut self, facts: &Facts, memory: &Memory) -> Result<Offered, AskError> {
        let at = facts.clock.now.0 - NOON.0;
        self.asked.push(at);
        if self.away.iter().any(|away| away.contains(&at)) {
            let retry_after = self.retry_after;
            return Err(AskError::Status { code: 503, meaning: "it has a fault", retry_after });
        }
        let current = self.offers.iter().enumerate().rev().find(|(_, (from, _))| *from <= at);
        let Some((index, (_, Some(number)))) = current else { return Ok(Offered::Nothing) };
        if !self.is_signed {
            return Ok(Offered::Claimed(Box::new(offer(*number, self.urgency))));
        }
        let sequence = u64::try_from(index).unwrap() + 1;
        let seen = memory.seen("gateway").map_or(0, |seen| seen.sequence);
        assert!(seen <= sequence, "the sequence never goes back");
        // One document says one thing, and the same bundle may be offered by several.
        let document = Digest::from_bytes([u8::try_from(100 + index).unwrap(); 32]);
        Ok(Offered::Signed(Box::new(AcceptedRelease {
            offer: Offer { document: Some(document), ..offer(*number, self.urgency) },
            seen: SeenRelease { product: "gateway".to_owned(), sequence, document },
            floor: NOON,
        })))
    }
}

fn poll_settings() -> PollSettings {
    PollSettings {
        server_url: "https://updates.example".to_owned(),
        metadata: Metadata::Signed,
        interval: None,
        report_url: Some("https://fleet.example/reports".to_owned()),
        mirrors: Vec::new(),
        tls: TlsFiles::default(),
    }
}

fn live(world: &mut World, script: &mut Script, time: Duration) {
    let (poll, policy) = (poll_settings(), world.policy.clone());
    world.live(time, &mut |hands, memory| {
        let terms = PollTerms { policy: &policy, poll: &poll };
        assert_eq!(run(hands, script, terms, memory), Stop::Program);
    });
    assert_eq!(world.wrongs, [""; 0], "{:#?}", world.told);
}

fn once_in(world: &mut World, script: &mut Script, how: (Force, Acting)) -> OnceEnd {
    let (poll, policy) = (poll_settings(), world.policy.clone());
    let mut end = None;
    world.live(Duration::ZERO, &mut |hands, memory| {
        let terms = PollTerms { policy: &policy, poll: &poll };
        end = Some(once(hands, script, terms, memory, how));
    });
    assert_eq!(world.wrongs, [""; 0], "{:#?}", world.told);
    end.unwrap()
}

#[track_caller]
fn is_updated(world: &World, number: u8) {
    let slot = world.booted.unwrap();
    let context = || format!("{:#?}\n{:?}\n{:#?}", world.boot, world.cuts, world.told);
    let record = world.boot.slot(slot);
    assert_eq!(record.bundle, Some(manifest(number).into()), "{}", context());
    assert_eq!(record.state, SlotState::Good, "{}", context());
}

fn tries_of(world: &World, number: u8) -> usize {
    world.finished.iter().filter(|bundle| **bundle == manifest(number).into()).count()
}

#[test]
fn a_device_updates_once_and_tells_the_fleet() {
    let mut world = World::new();
    live(&mut world, &mut Script::of(3), HOUR * 11);
    is_updated(&world, 3);
    assert_eq!(world.boots, [SlotId::A, SlotId::B]);
    assert_eq!((tries_of(&world, 3), world.fetched), (1, PIECE.get() * PIECES));
    assert_eq!(world.disk.install, None, "told and forgotten");
    assert_eq!(world.disk.seen("gateway").map(|seen| seen.sequence), Some(1));
    assert_eq!(world.disk.floor(), Some(NOON));
    assert_eq!(world.disk.spent(world.now), ByteLen::new(world.fetched));
    // As it was, on trial, and confirmed.
    assert_eq!(world.arrived.len(), 3, "{:#?}", world.told);
    assert_eq!(world.disk.report.pending, None);
    assert!(world.told.iter().any(|words| words == "the update 2.0 in slot B was confirmed"));
    assert!(world.remembered < 16, "flash wears: {}", world.remembered);
}

/// A timer starts the agent anew each time. Fails when each start sends what is due at once.
#[test]
fn a_report_that_does_not_arrive_waits_also_where_the_agent_is_started_anew() {
    let mut world = World::with(|world| world.receiver_is_away = true);
    let mut nothing = Script { offers: Vec::new(), ..Script::of(3) };
    for _ in 0..120 {
        once_in(&mut world, &mut nothing, (Force::No, Acting::Act));
        world.now.0 += 60;
    }
    let minutes: Vec<i64> = world.posted.iter().map(|at| (at.0 - NOON.0) / 60).collect();
    // 1, 2, 4 … minutes, each within half of its length and the next start after it.
    assert!((6..=8).contains(&minutes.len()), "{minutes:?}");
    for (at, pause) in minutes.windows(2).enumerate() {
        let (own, found) = (1 << at, pause[1] - pause[0]);
        assert!((own / 2..=own * 3 / 2 + 1).contains(&found), "{minutes:?}");
    }
    world.receiver_is_away = false;
    world.now.0 += 3600;
    once_in(&mut world, &mut nothing, (Force::No, Acting::Act));
    assert_eq!((world.arrived.len(), world.disk.report.pending), (1, None));
}

/// Counts the acts of a life without faults.
fn acts_of(make: &dyn Fn() -> World, script: &dyn Fn() -> Script, time: Duration) -> usize {
    let mut world = make();
    live(&mut world, &mut script(), time);
    world.acts
}

/// Ends the agent at each act of its hands in turn, by a power cut and by a kill.
fn cut_everywhere(
    make: &dyn Fn() -> World,
    script: &dyn Fn() -> Script,
    time: Duration,
    holds: &dyn Fn(&World),
) {
    let acts = acts_of(make, script, time);
    assert!(acts > 40);
    for cut in [Cut::Power, Cut::Kill] {
        for at in 1..=acts {
            let mut world = make();
            world.cuts = BTreeMap::from([(at, cut)]);
            live(&mut world, &mut script(), time);
            holds(&world);
        }
    }
}

#[test]
fn whenever_the_power_goes_the_device_updates_exactly_once() {
    cut_everywhere(&World::new, &|| Script::of(3), HOUR * 6, &|world| {
        is_updated(world, 3);
        assert_eq!(tries_of(world, 3), 1, "{:?}", world.cuts);
        let most = PIECE.get() * (PIECES + 1);
        assert!(world.fetched <= most, "a cut costs one piece: {:?}", world.cuts);
        let mut states = world.arrived.clone();
        states.dedup();
        let twice = world.arrived.len() - states.len();
        assert!(twice <= 1, "only a cut between answer and memory sends twice: {:?}", world.cuts);
        assert_eq!(world.disk.report.sent, world.arrived.last().copied());
        assert_eq!(world.disk.report.pending, None);
    });
}

#[test]
fn whenever_the_power_goes_a_bad_release_is_tried_once_and_left() {
    for nature in [Nature::Dies, Nature::Sick] {
        let make = || World::with(|world| world.served.get_mut(&3).unwrap().nature = nature);
        cut_everywhere(&make, &|| Script::of(3), HOUR * 8, &|world| {
            is_updated(world, 1);
            assert_eq!(world.booted, Some(SlotId::A));
            assert_eq!(tries_of(world, 3), 1, "{nature:?} {:?}", world.cuts);
            assert_eq!(world.disk.install, None);
            assert!(world.told.iter().any(|words| words.contains("did not prove itself")));
            assert_eq!(world.disk.report.sent, world.arrived.last().copied());
        });
    }
}

#[test]
fn a_bad_release_is_left_for_a_better_one() {
    let mut world = World::with(|world| world.served.get_mut(&3).unwrap().nature = Nature::Sick);
    let mut script = Script::of(3);
    script.offers.push((5 * 3600, Some(4)));
    live(&mut world, &mut script, HOUR * 12);
    is_updated(&world, 4);
    assert_eq!((tries_of(&world, 3), tries_of(&world, 4)), (1, 1));
}

#[test]
fn what_the_installer_refuses_is_fetched_once() {
    let mut world = World::with(|world| world.served.get_mut(&3).unwrap().nature = Nature::Broken);
    live(&mut world, &mut Script::of(3), HOUR * 24);
    is_updated(&world, 1);
    assert_eq!(world.begun.len(), 1);
    assert_eq!(world.disk.refused, Some(manifest(3)));
}

/// Slot B runs bundle 2 on trial, which never gets a verdict; slot A is the last good one.
fn on_trial() -> World {
    World::with(|world| {
        world.power_on();
        assert!(world.command(&Command::BeginInstall { target: SlotId::B }));
        let bundle = manifest(2).into();
        let activation = bootctl::Activation::Activate;
        assert!(world.command(&Command::FinishInstall { target: SlotId::B, bundle, activation }));
        world.power_on();
        assert_eq!(world.booted, Some(SlotId::B));
        world.boots.clear();
    })
}

/// I8, and the rule that from a trial the last good slot is never written over: `bootctl` would
/// refuse it, and each refusal of its is a wrong of the agent's here.
#[test]
fn an_unhealthy_device_leaves_its_trial_and_updates_from_the_good_slot_whenever_the_power_goes() {
    cut_everywhere(&on_trial, &|| Script::of(3), HOUR * 8, &|world| {
        is_updated(world, 3);
        assert_eq!(world.booted, Some(SlotId::B));
        assert_eq!(tries_of(world, 3), 1, "{:?}", world.cuts);
        assert_eq!(world.boot.a.bundle, Some(manifest(1).into()), "the last good one is as it was");
        assert_eq!(world.disk.leaving, None);
    });
}

#[test]
fn a_trial_that_was_given_up_is_left_as_soon_as_the_hooks_allow_it() {
    let mut world = on_trial();
    world.hook_forbids_until = Some(UnixTime(NOON.0 + 4 * 3600));
    live(&mut world, &mut Script::of(3), HOUR * 9);
    is_updated(&world, 3);
    assert_eq!(world.boots, [SlotId::A, SlotId::B]);
    assert!(world.told.iter().any(|words| words.contains("drain-tills forbids it")));
}

#[test]
fn a_restart_waits_for_whoever_forbids_it_and_is_asked_for_every_five_minutes() {
    let mut world = World::new();
    world.hook_forbids_until = Some(UnixTime(NOON.0 + 6 * 3600));
    let mut script = Script::of(3);
    live(&mut world, &mut script, HOUR * 9);
    is_updated(&world, 3);
    let forbidden = world.told.iter().filter(|words| words.contains("forbids")).count();
    assert!((40..80).contains(&forbidden), "{forbidden}");
    assert!(script.asked.len() < 16, "the server is asked at its interval: {:?}", script.asked);
}

#[test]
fn inhibitors_hold_the_restart_and_not_the_install() {
    let mut world = World::new();
    world.change = |facts| {
        if facts.clock.now.0 < NOON.0 + 5 * 3600 {
            facts.inhibitors.push("backup".to_owned());
        }
    };
    let mut script = Script::of(3);
    live(&mut world, &mut script, HOUR * 4);
    assert_eq!((tries_of(&world, 3), world.boots.len()), (1, 1));
    assert!(script.asked.len() < 8, "the server is not asked for it: {:?}", script.asked);
    live(&mut world, &mut Script::of(3), Duration::from_secs(3600 + 20 * 60));
    is_updated(&world, 3);
}

#[test]
fn a_restart_that_does_not_come_is_asked_for_again() {
    let mut world = World::with(|world| world.lost_restarts = 3);
    live(&mut world, &mut Script::of(3), HOUR + Duration::from_secs(600));
    is_updated(&world, 3);
    let asked: Vec<_> = world.told.iter().filter(|words| *words == "restart into slot B").collect();
    assert_eq!((asked.len(), tries_of(&world, 3)), (4, 1), "{:#?}", world.told);
}

/// The record is a help and no more: without it work is repeated, and nothing is done that would
/// not be done with it.
#[test]
fn whenever_the_record_is_lost_a_good_release_comes_and_a_bad_one_goes() {
    for (nature, wanted) in [(Nature::Sound, 3), (Nature::Dies, 1), (Nature::Sick, 1)] {
        let make = || World::with(|world| world.served.get_mut(&3).unwrap().nature = nature);
        for at in 1..=acts_of(&make, &|| Script::of(3), HOUR * 6) {
            let mut world = make();
            world.cuts = BTreeMap::from([(at, Cut::Forget)]);
            live(&mut world, &mut Script::of(3), HOUR * 6);
            is_updated(&world, wanted);
            assert_eq!(tries_of(&world, 3), 1, "{nature:?} at {at}");
            assert!(world.fetched <= PIECE.get() * PIECES * 2);
        }
    }
}

#[test]
fn installs_and_restarts_keep_to_their_windows() {
    // NOON is 12:00; the window is 20:00 to 22:00.
    let window = Window::new(Days::EVERY, 20 * 60, 22 * 60, 0).unwrap();
    let mut world = World::new();
    world.policy.windows = vec![window];
    world.policy.reboot = RebootRule::Window;
    let mut script = Script::of(3);
    live(&mut world, &mut script, Duration::from_secs(7 * 3600 + 50 * 60));
    assert_eq!((world.begun.len(), world.boots.len()), (0, 1));
    assert!(script.asked.len() >= 6, "who waits goes on asking: {:?}", script.asked);
    live(&mut world, &mut script, HOUR * 2);
    assert_eq!(tries_of(&world, 3), 1);
    live(&mut world, &mut script, HOUR * 2);
    is_updated(&world, 3);
    // What the server forces waits for none.
    let mut world = World::new();
    world.policy.windows = vec![window];
    live(&mut world, &mut Script { urgency: Urgency::Forced, ..Script::of(3) }, HOUR * 3);
    is_updated(&world, 3);
}

#[test]
fn what_was_withdrawn_while_it_waited_is_not_installed() {
    let mut world = World::new();
    world.policy.windows = vec![Window::new(Days::EVERY, 20 * 60, 22 * 60, 0).unwrap()];
    let mut script = Script::of(3);
    script.offers.push((5 * 3600, None));
    live(&mut world, &mut script, HOUR * 12);
    assert_eq!((world.begun.len(), world.boots.len()), (0, 1));
}

#[test]
fn bytes_that_are_paid_for_are_saved_where_the_owner_says_so() {
    let mut world = World::new();
    world.policy.metered = MeteredRule::Defer;
    world.change = |facts| {
        if facts.clock.now.0 < NOON.0 + 5 * 3600 {
            facts.link = Link::Metered;
        }
    };
    live(&mut world, &mut Script::of(3), Duration::from_secs(5 * 3600 - 60));
    assert_eq!(world.fetched, 0);
    live(&mut world, &mut Script::of(3), HOUR * 4);
    is_updated(&world, 3);
}

#[test]
fn a_device_whose_clock_nobody_set_updates_too() {
    let mut world = World::with(|world| world.clock_is_set = false);
    world.policy.windows = vec![Window::new(Days::EVERY, 20 * 60, 22 * 60, 0).unwrap()];
    live(&mut world, &mut Script::of(3), HOUR * 12);
    is_updated(&world, 3);
}

#[test]
fn an_outage_is_counted_and_waited_out() {
    let mut world = World::new();
    let mut script = Script::of(3);
    script.away.push(0..8 * 3600);
    live(&mut world, &mut script, HOUR * 7);
    assert!(world.disk.failures > 4, "{}", world.disk.failures);
    assert!(script.asked.len() < 16, "{:?}", script.asked);
    assert_eq!(world.booted, Some(SlotId::A));
    live(&mut world, &mut script, HOUR * 4);
    is_updated(&world, 3);
    assert_eq!(world.disk.failures, 0);
    let mut world = World::new();
    let mut script = Script { retry_after: Some(HOUR * 4), ..Script::of(3) };
    script.away.push(0..5 * 3600);
    live(&mut world, &mut script, HOUR * 8);
    let asked = &script.asked;
    assert!(asked[1] - asked[0] >= 4 * 3600, "never earlier than it asks for: {asked:?}");
}

#[test]
fn what_cannot_be_remembered_is_not_begun() {
    for claimed in [false, true] {
        let mut world = World::with(|world| world.is_forgetful = true);
        let mut script = Script { is_signed: !claimed, ..Script::of(3) };
        live(&mut world, &mut script, HOUR * 4);
        assert!(script.asked.len() > 2);
        assert_eq!((world.begun.len(), world.fetched, world.boots.len()), (0, 0, 1));
        assert_eq!(world.arrived.len(), 0, "nor is a report sent that nobody remembers");
        let looked = world.told.iter().any(|words| words.starts_with("install "));
        assert_eq!(looked, claimed, "what is signed counts only once its number is kept");
        assert!(world.told.iter().any(|words| words == "cannot remember: the test wants it"));
    }
}

#[test]
fn a_dry_run_says_everything_and_changes_nothing() {
    let mut world = World::new();
    let end = once_in(&mut world, &mut Script::of(3), (Force::No, Acting::DryRun));
    let Some(Polled::Took(took)) = end.polled else { panic!("{end:?}") };
    assert!(matches!(took.judgements[1].decision, crate::Decision::Install { .. }));
    assert_eq!((world.begun.len(), world.remembered, world.fetched), (0, 0, 0));
    assert_eq!((world.arrived.len(), &world.disk), (0, &Memory::default()));
    // Also where a restart is due.
    let mut world = World::new();
    world.policy.reboot = RebootRule::Never;
    once_in(&mut world, &mut Script::of(3), (Force::No, Acting::Act));
    world.policy.reboot = RebootRule::Now;
    let before = world.disk.clone();
    let end = once_in(&mut world, &mut Script::of(3), (Force::No, Acting::DryRun));
    assert!(matches!(end.due.judgements[0].decision, crate::Decision::Reboot { .. }));
    assert_eq!((world.boots.len(), world.begun.len(), &world.disk), (1, 1, &before));
}

#[test]
fn a_person_who_insists_overrules_windows_and_failures() {
    let mut world = World::new();
    world.policy.windows = vec![Window::new(Days::EVERY, 20 * 60, 22 * 60, 0).unwrap()];
    let end = once_in(&mut world, &mut Script::of(3), (Force::No, Acting::Act));
    assert!(matches!(end.polled, Some(Polled::Took(ref took)) if took.again.is_some()));
    let end = once_in(&mut world, &mut Script::of(3), (Force::Yes, Acting::Act));
    let Some(Polled::Took(took)) = end.polled else { panic!("{end:?}") };
    assert!(matches!(took.ending, Ending::Restarting { into: SlotId::B }));
}

#[test]
fn a_bundle_that_is_to_be_stored_first_is_counted_where_that_fails() {
    let mut world = World::new();
    world.policy.keep = crate::Keep::Bundle;
    let end = once_in(&mut world, &mut Script::of(3), (Force::No, Acting::Act));
    let Some(Polled::Took(took)) = end.polled else { panic!("{end:?}") };
    assert!(matches!(took.ending, Ending::Unreachable { .. }));
    assert_eq!((world.begun.len(), world.disk.spent(world.now)), (0, PIECE));
}

proptest! {
    /// Faults, kills and two power cuts at any acts, on devices of each kind: in the end the device
    /// has what it should have, and nothing happened on the way that must not.
    #[test]
    fn whatever_fails_on_the_way_the_device_ends_where_it_should(
        faults in proptest::collection::vec(1_usize..160, 0..30),
        kills in proptest::collection::vec(1_usize..160, 0..10),
        cuts in proptest::collection::vec(1_usize..160, 0..3),
        nature in prop_oneof![
            Just(Nature::Sound), Just(Nature::Dies), Just(Nature::Sick), Just(Nature::Broken)
        ],
        trial: bool,
    ) {
        let mut world = if trial { on_trial() } else { World::new() };
        world.served.get_mut(&3).unwrap().nature = nature;
        world.faults = faults;
        world.cuts = kills.into_iter().map(|at| (at, Cut::Kill)).collect();
        world.cuts.extend(cuts.into_iter().map(|at| (at, Cut::Power)));
        live(&mut world, &mut Script::of(3), HOUR * 48);
        prop_assert!(world.acts > 160, "every fault has happened: {}", world.acts);
        prop_assert!(tries_of(&world, 3) <= 1);
        let wanted = if nature == Nature::Sound { 3 } else { 1 };
        is_updated(&world, wanted);
        prop_assert_eq!(world.disk.report.sent, world.arrived.last().copied());
        prop_assert_eq!(world.disk.report.pending, None);
    }
}
