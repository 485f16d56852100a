// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does the fleet hear of a server that is frozen, and is it told once?

use super::*;
use crate::agent::refused::Taken;
use crate::{OriginalError, PlaceError, ReleaseError, Sequence};

/// A server that says what its script says of the seconds since noon.
struct Says(fn(i64) -> Result<Offered, AskError>);

impl Server for Says {
    fn ask(&mut self, facts: &Facts, _memory: &Memory) -> Result<Offered, AskError> {
        (self.0)(facts.clock.now.0 - NOON.0)
    }
}

const fn expired(at: i64) -> AskError {
    let (expires, now) = (UnixTime(NOON.0 - 60), UnixTime(NOON.0 + at));
    AskError::Release(ReleaseError::Expired { expires, now })
}

fn away() -> AskError {
    AskError::Status { code: 503, meaning: "it has a fault", retry_after: None }
}

fn live_with(world: &mut World, says: fn(i64) -> Result<Offered, AskError>, time: Duration) {
    let (poll, policy) = (poll_settings(), world.policy.clone());
    world.live(time, &mut |hands, memory| {
        let terms = PollTerms { policy: &policy, poll: &poll };
        assert_eq!(run(hands, &mut Says(says), terms, memory), Stop::Program);
    });
}

/// A freeze: somebody withholds what is new and answers with what has expired. Fails when the fleet
/// does not hear of it, hears of it at each question, or hears nothing of its end.
#[test]
fn a_frozen_server_is_told_to_the_fleet_once_and_so_is_its_end() {
    let mut world = World::new();
    let says: fn(i64) -> _ = |at| match at / 3600 {
        // Also where it is away in between.
        20..30 => Err(away()),
        0..48 => Err(expired(at)),
        _ => Ok(Offered::Nothing),
    };
    live_with(&mut world, says, HOUR * 19);
    let told = AgentFacts::of("poll", &world.disk);
    let refusal = told.refusal.unwrap();
    assert_eq!((refusal.kind.as_str(), world.arrived.len()), ("release-expired", 2));
    assert!(refusal.words.contains("the release expired at 2026-11-22"), "{}", refusal.words);
    assert!(refusal.since.unwrap().0 <= NOON.0 + 3 * 3600, "since the first time");
    live_with(&mut world, says, HOUR * 28);
    assert_eq!(
        (world.disk.refusal.clone().unwrap().since, world.arrived.len()),
        (refusal.since, 2)
    );
    live_with(&mut world, says, HOUR * 10);
    assert_eq!((&world.disk.refusal, world.arrived.len()), (&None, 3), "{:#?}", world.told);
}

/// Of a fleet each device would report the end of its server's outage.
#[test]
fn a_server_that_is_away_is_counted_and_makes_no_report() {
    let mut world = World::new();
    live_with(&mut world, |_| Err(away()), HOUR * 12);
    let told = AgentFacts::of("poll", &world.disk);
    assert!(told.failures > 2, "{}", told.failures);
    assert_eq!((told.refusal, world.arrived.len()), (None, 1));
    live_with(&mut world, |_| Ok(Offered::Nothing), HOUR * 12);
    assert_eq!((world.disk.failures, world.arrived.len()), (0, 1));
}

/// A timer starts the agent anew each time. Fails when each start tells the same refusal again, and
/// when a dry run keeps one.
#[test]
fn what_no_device_takes_is_told_once_by_a_timer_too() {
    let mut world = World::new();
    let offers = &mut Script::of(3);
    world.disk.refused = Some(manifest(3));
    once_in(&mut world, offers, (Force::No, Acting::DryRun));
    assert_eq!((&world.disk.refusal, world.arrived.len()), (&None, 0));
    for _ in 0..5 {
        once_in(&mut world, offers, (Force::No, Acting::Act));
        world.now.0 += 3600;
    }
    let refusal = world.disk.refusal.clone().unwrap();
    assert_eq!((refusal.kind.as_str(), world.arrived.len()), ("offer-failed", 1));
    assert_eq!((refusal.bundle, refusal.version.as_deref()), (Some(manifest(3)), Some("2.0")));
}

#[test]
fn the_page_has_every_kind_of_refusal() {
    let place = || PlaceError::NotHttps;
    let sequence = Sequence::new(1).unwrap();
    let (floor, product) = (NOON, "gateway".to_owned());
    let answers: Vec<AskError> = vec![
        AskError::Status { code: 404, meaning: "nothing is there", retry_after: None },
        AskError::Redirects,
        OriginalError::WebPage.into(),
        OriginalError::Version.into(),
        ReleaseError::WebPage.into(),
        ReleaseError::TooLong { found: 1 }.into(),
        ReleaseError::CertificateEnded { subject: product.clone(), floor }.into(),
        ReleaseError::OtherProduct { wanted: product.clone(), found: product }.into(),
        ReleaseError::Replayed { found: sequence, seen: 2 }.into(),
        ReleaseError::Forked { sequence }.into(),
        expired(0),
        ReleaseError::Place { index: 0, source: place() }.into(),
    ];
    let page = include_str!("../../../docs/agents-report.md");
    for answer in answers {
        let Taken::Refused { kind, words } = Taken::of_answer(&answer) else { panic!("{answer}") };
        assert!(page.contains(&format!("`{kind}`")) && !words.is_empty(), "{kind}");
    }
    assert_eq!(Taken::of_answer(&away()), Taken::Unknown);
    assert_eq!(Taken::of_answer(&AskError::Place(place())), Taken::Unknown);
}
