// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chapters four to six: an update that works, one that never becomes healthy, one that is cut.

use super::materials::Behaviour;
use super::story::Story;
use super::world::{World, file_name, install_quietly};
use crate::boot_control::BootControl;
use crate::cli::WhyArgs;
use crate::commands::bundle::open_verified;
use crate::commands::{install, why};
use crate::context::Context;
use crate::failure::{Class, Failure};
use crate::virtual_board::{BootOutcome, Ending};
use bootctl::{Reason, SlotId, SlotState, explain};
use std::io::Read;
use std::path::Path;
use storage::{Access, ByteLen, CutAt, CutPlan, Files, Storage};
use updater::InstallEvent;

/// The service dies when ten seconds of the window are left.
const FAILS_AT_SECOND: u64 = 50;

/// Bytes that an install writes before the first image: the environment's commit and a few
/// records of the recorder.
const PRELUDE: ByteLen = ByteLen::kib(108);

/// Longest status file.
const MAX_STATUS: ByteLen = ByteLen::mib(1);

/// An update that works.
///
/// # Errors
/// [`Failure`] of a step; a claim that does not hold is one.
pub fn good_update(world: &mut World, story: &mut Story<'_, '_>) -> Result<(), Failure> {
    story.chapter("An update that works")?;
    let bundle = world.first_update.clone();
    world.install_and_tell(story, &bundle, SlotId::B)?;
    let state = world.state()?;
    story.claim(
        state.b.state == SlotState::Trying && state.order == [SlotId::B, SlotId::A],
        "slot B is trying and boots next; slot A is still good",
    )?;
    let outcome = world.boot()?;
    told_etc(story, &outcome)?;
    story.claim(
        outcome.slot == Some(SlotId::B) && outcome.reason == Reason::Trying,
        "the selector started slot B and spent one of its three attempts first",
    )?;
    healthy(story, &outcome, SlotId::B)?;
    let state = world.state()?;
    story.claim(
        state.b.state == SlotState::Good && state.b.attempts.get() == 3,
        "slot B is good and has its attempts back",
    )?;
    world.show_boots(story, 1)?;
    world.show_slots(story)
}

/// The verdict and the comparison of every byte with the install's record.
fn healthy(story: &mut Story<'_, '_>, outcome: &BootOutcome, slot: SlotId) -> Result<(), Failure> {
    let clean = outcome.health.as_ref().is_some_and(|report| {
        report.slot == slot
            && matches!(&report.verdict, verifier::Verdict::Healthy { warnings } if warnings.is_empty())
    });
    story.claim(
        outcome.ending == Ending::Good && clean,
        &format!(
            "healthy in {} rounds of probes, and slot {slot} still holds byte for byte what was \
             installed",
            outcome.rounds
        ),
    )
}

fn told_etc(story: &mut Story<'_, '_>, outcome: &BootOutcome) -> Result<(), Failure> {
    match &outcome.etc_note {
        Some(why) => story.say(&format!(
            "The root file system's /etc cannot be shown here ({why}); the board's own files \
             stand in for it."
        )),
        None => Ok(()),
    }
}

/// An update that never becomes healthy.
///
/// # Errors
/// [`Failure`] of a step; a claim that does not hold is one.
pub fn bad_update(world: &mut World, story: &mut Story<'_, '_>) -> Result<(), Failure> {
    story.chapter("An update that never becomes healthy")?;
    // Not older than what runs, or it would be refused as a downgrade.
    let version = match &world.foreign {
        Some(foreign) => foreign.version.clone().unwrap_or_else(|| "1.2.0".to_owned()),
        None => "1.2.0".to_owned(),
    };
    let behaviour = Behaviour::FailsAtSecond(FAILS_AT_SECOND);
    let release = world.workshop.release(&version, behaviour)?;
    let bundle = world.bundles.join("update-2-never-healthy.raucb");
    world.workshop.bundle(&release, &world.compatible, &world.pki, &bundle)?;
    let report = world.install_and_tell(story, &bundle, SlotId::A)?;
    for attempt in 1..=3_u8 {
        let outcome = world.boot()?;
        let Ending::Rebooted(cause) = &outcome.ending else {
            return story.claim(false, "an unhealthy trying slot reboots");
        };
        let left = match outcome.attempts {
            1 => "1 attempt".to_owned(),
            left => format!("{left} attempts"),
        };
        story.claim(
            outcome.slot == Some(SlotId::A) && outcome.attempts == 3 - attempt,
            &format!("attempt {attempt}: {cause}; reboot, {left} left"),
        )?;
    }
    let outcome = world.boot()?;
    story.claim(
        outcome.slot == Some(SlotId::B) && outcome.reason == Reason::Fallback,
        "no attempt left: the selector turned A bad and went back to B, nobody asked it to",
    )?;
    story.claim(outcome.ending == Ending::Good, "slot B is healthy and stays good")?;
    world.show_boots(story, 4)?;
    let context = world.context()?;
    let mut control = BootControl::open(&context, Access::ReadOnly)?;
    let history = control.history();
    let told = explain(&history, control.state()).fallback;
    story.claim(
        told.is_some_and(|told| {
            told.from == SlotId::A
                && told.to == SlotId::B
                && told.reached_userspace == 3
                && told.bundle == Some(report.bundle)
                && told.cause.contains("dnsmasq.service")
        }),
        "the flight recorder knows slot, bundle, three attempts and the service that died",
    )?;
    story.command("why", |out| why::run(&context, &WhyArgs::default(), out))?;
    known_as_failed(world, story, &bundle, &report.bundle)
}

fn known_as_failed(
    world: &World,
    story: &mut Story<'_, '_>,
    bundle: &Path,
    id: &bootctl::BundleId,
) -> Result<(), Failure> {
    let refused = install_quietly(&world.context()?, bundle, &mut |_| {});
    let refused = refused.err().filter(|failure| failure.class() == Class::Refused);
    story.claim(
        world.state()?.is_known_failed(id) && refused.is_some(),
        "the same bundle is refused from now on, unless forced",
    )
}

/// An update whose power is cut in the middle.
///
/// # Errors
/// [`Failure`] of a step; a claim that does not hold is one.
pub fn cut_update(world: &mut World, story: &mut Story<'_, '_>) -> Result<(), Failure> {
    story.chapter("A power cut in the middle of an install")?;
    let bundle = match &world.foreign {
        Some(foreign) => foreign.bundle.clone(),
        None => {
            let release = world.workshop.release("1.3.0", Behaviour::Healthy)?;
            let bundle = world.bundles.join("update-3.raucb");
            world.workshop.bundle(&release, &world.compatible, &world.pki, &bundle)?;
            bundle
        }
    };
    cut_install(world, story, &bundle)?;
    let state = world.state()?;
    story.claim(
        state.a.state == SlotState::Writing && state.order == [SlotId::B],
        "slot A is left as writing and out of the boot order",
    )?;
    let outcome = world.boot()?;
    story.claim(
        outcome.slot == Some(SlotId::B) && outcome.ending == Ending::Good,
        "the board boots slot B, which is healthy",
    )?;
    story.claim(
        !outcome.firmware.loads.a.starts(),
        "the half-written slot A has no seal: it would not start even without an environment",
    )?;
    story.say("The install is repeated.")?;
    world.install_and_tell(story, &bundle, SlotId::A)?;
    let outcome = world.boot()?;
    told_etc(story, &outcome)?;
    story.claim(outcome.slot == Some(SlotId::A), "slot A boots as the update")?;
    healthy(story, &outcome, SlotId::A)?;
    let state = world.state()?;
    story.claim(
        state.a.state == SlotState::Good && state.b.state == SlotState::Good,
        "both slots are good: the repeated install came to the same end as an undisturbed one",
    )?;
    world.last_update = bundle;
    world.show_boots(story, 2)?;
    world.show_slots(story)
}

fn cut_install(world: &World, story: &mut Story<'_, '_>, bundle: &Path) -> Result<(), Failure> {
    let differing = differing_bytes(&world.context()?, bundle, SlotId::A)?;
    let at = ByteLen::new(PRELUDE.get() + differing.get() / 2);
    story.say(&format!(
        "$ atomix install {}: {differing} of it differ from what slot A holds; the power goes \
         at byte {} of the writing",
        file_name(bundle),
        at.get()
    ))?;
    let power = CutPlan::new(CutAt::Byte(at), world.workshop.seed);
    let context = world.board.context_on(world.now, &power)?;
    let status = updater::status_path(&context.system_conf()?);
    let mut on_disk = context.files.read(&status, MAX_STATUS)?;
    let mut wrote = false;
    let cut = story.install(|progress| {
        let done = install_quietly(&context, bundle, &mut |event| {
            if let (InstallEvent::Step(_), false) = (&event, power.is_cut()) {
                on_disk = context.files.read(&status, MAX_STATUS).ok().flatten();
            }
            wrote |= matches!(event, InstallEvent::Bytes { .. });
            progress(event);
        });
        Ok(done.err())
    })?;
    // What the program still wrote into /data after the cut, a board could not have written.
    let mut files = context.files.clone();
    match on_disk {
        Some(content) => files.replace(&status, &content)?,
        None => files.remove(&status)?,
    }
    let message = cut.map(|failure| failure.chain()).unwrap_or_default();
    let message = message.replace(&bundle.display().to_string(), &file_name(bundle));
    story.claim(
        power.is_cut() && wrote && !message.is_empty(),
        &format!("the power went after {} in {} acts", power.bytes(), power.operations()),
    )?;
    story.say(&format!("the program's last words: {message}"))
}

/// How much of a bundle's images is not on the slots of a group already.
fn differing_bytes(context: &Context, bundle: &Path, slot: SlotId) -> Result<ByteLen, Failure> {
    const BLOCK: usize = 4096;
    let verified = open_verified(context, bundle, None)?;
    let failed = |source| Failure::Bundle { bundle: bundle.to_owned(), source };
    let config = context.system_conf()?;
    let groups = install::install_groups(&config)?;
    let members = groups.iter().filter(|group| group.slot_id == slot).flat_map(|g| &g.members);
    let mut differing = 0;
    for member in members {
        let images = &verified.manifest().images;
        let Some(image) = images.iter().find(|image| image.class == member.name.class) else {
            continue;
        };
        let device = context.devices.open(&member.device, Access::ReadOnly)?;
        let mut stream = verified.open_image(image).map_err(failed)?;
        let (mut wanted, mut found) = (vec![0; 256 * BLOCK], vec![0; 256 * BLOCK]);
        let mut left = stream.len().get();
        let mut at = 0;
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(wanted.len());
            let (Some(wanted), Some(found)) = (wanted.get_mut(..count), found.get_mut(..count))
            else {
                break;
            };
            stream
                .read_exact(wanted)
                .map_err(|source| failed(::bundle::ImageStream::cause(source)))?;
            device.read_at(at, found)?;
            let blocks = wanted.chunks(BLOCK).zip(found.chunks(BLOCK));
            differing += blocks.filter(|(a, b)| a != b).map(|(a, _)| a.len() as u64).sum::<u64>();
            at += count as u64;
            left -= count as u64;
        }
    }
    Ok(ByteLen::new(differing))
}
