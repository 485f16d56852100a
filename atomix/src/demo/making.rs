// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chapters one to three: a bundle is made, a board is flashed, the board boots for the first time.

use super::materials::Behaviour;
use super::story::Story;
use super::world::{World, file_len, file_name};
use crate::cli::BundleCommand;
use crate::commands::{bundle, flash, repart};
use crate::failure::Failure;
use crate::virtual_board::Ending;
use ::bundle::BundleFormat;
use atomix_repart::Request;
use bootctl::{Reason, SlotId, SlotState};
use std::path::Path;
use storage::{ByteLen, Files, HostFiles, Journal};

/// Keys, a release, its bundle, and what the bundle says of itself.
///
/// # Errors
/// [`Failure`] of a step; a claim that does not hold is one.
pub fn create_bundle(world: &mut World, story: &mut Story<'_, '_>) -> Result<(), Failure> {
    story.chapter("A signed bundle")?;
    story.say(
        "Throw-away keys were made for this run. Their subjects say DEVELOPMENT; no product may \
         trust them.",
    )?;
    if let Some(foreign) = &world.foreign {
        story.say(&format!(
            "The update that works is {}, made by someone else. The board's compatible is the \
             bundle's, {:?}; its keyring is {} and, for the demo's own bundles, the throw-away \
             CA.",
            file_name(&foreign.bundle),
            foreign.compatible,
            file_name(&foreign.keyring_path),
        ))?;
        if foreign.format == BundleFormat::Plain {
            story.say(
                "It is a plain bundle. This board's own configuration refuses those; here they \
                 are allowed for the sake of the story.",
            )?;
        }
    } else {
        let release = world.workshop.release("1.1.0", Behaviour::Healthy)?;
        let path = &world.first_update;
        let made = world.workshop.bundle(&release, &world.compatible, &world.pki, path)?;
        story.claim(
            file_len(path)? == made.file_len,
            &format!("{} made: {}, format verity", file_name(path), made.file_len),
        )?;
    }
    let keyring = world.workshop.dir.join("keyring.pem");
    put(&keyring, world.factory.get(Path::new("/etc/rauc/ca.cert.pem")))?;
    let context = world.context()?;
    let command = BundleCommand::Info {
        bundle: world.first_update.clone(),
        keyring: Some(keyring),
        no_verify: false,
    };
    let words = format!("bundle info {} --keyring keyring.pem", file_name(&world.first_update));
    story.command(&words, |out| bundle::run(&context, &command, out))
}

fn put(path: &Path, content: Option<&Vec<u8>>) -> Result<(), Failure> {
    let content = content.map(Vec::as_slice).unwrap_or_default();
    Ok(HostFiles::new("/").replace(path, content)?)
}

/// The flashable image, and the flashing.
///
/// # Errors
/// [`Failure`] of a step; a claim that does not hold is one.
pub fn flash_board(world: &mut World, story: &mut Story<'_, '_>) -> Result<(), Failure> {
    story.chapter("A flashable image, and a board to flash")?;
    let image = world.workshop.dir.join("factory.img");
    let len = world.workshop.image(&world.factory_release, &image)?;
    story.say(&format!(
        "Image of release {} assembled: {len}, with placeholders for U-Boot, boot-a and rootfs-a. \
         The board makes the rest itself.",
        world.factory_release.version
    ))?;
    let device = world.board.board().disk.device;
    let context = world.context()?;
    let mut progress = |done, total| {
        if done == total {
            story.progress("flashed and read back", done, total);
        }
    };
    let loader = flash::BootLoader::InImage;
    let report = flash::flash(&context, &image, Path::new(device), loader, &mut progress)?;
    story.claim(
        report.image_bytes == len.get() && report.written_bytes > 0,
        &format!(
            "{device} holds the image, every byte read back; {} of it were not zero",
            ByteLen::new(report.written_bytes)
        ),
    )?;
    let table = context.table(Path::new(device))?;
    let labels: Vec<&str> = table.partitions.iter().map(|p| p.label.as_str()).collect();
    story.claim(labels == ["boot-a", "rootfs-a"], "the disk has boot-a and rootfs-a only")?;
    world.show_partitions(story)
}

/// The first boot makes the missing partitions; doing it again changes nothing.
///
/// # Errors
/// [`Failure`] of a step; a claim that does not hold is one.
pub fn first_boot(world: &mut World, story: &mut Story<'_, '_>) -> Result<(), Failure> {
    story.chapter("First boot")?;
    let outcome = world.boot()?;
    for line in &outcome.repart_lines {
        story.say(line)?;
    }
    let report = outcome.repart.clone();
    story.claim(
        outcome.slot == Some(SlotId::A) && outcome.reason == Reason::EnvLost,
        "blank flash: the selector knew nothing, said env-lost and started the only slot",
    )?;
    story.claim(
        report
            .as_ref()
            .is_some_and(|report| report.created == [3, 4, 5] && report.ended_first_boot),
        "boot-b, rootfs-b and data exist, and the first boot is recorded as over",
    )?;
    let state = world.state()?;
    let table = world.context()?.table(Path::new(world.board.board().disk.device))?;
    let boot_b = table.partitions.iter().find(|partition| partition.label == "boot-b");
    story.claim(
        state.a.state == SlotState::Good
            && state.b.state == SlotState::Empty
            && state.order == [SlotId::A]
            && state.disk.is_some()
            && state.disk == boot_b.map(|partition| partition.part_uuid),
        "boot state: A good, B empty, bound to this disk by the identity of boot-b",
    )?;
    story.claim(outcome.ending == Ending::Good, "slot A is healthy")?;
    world.show_partitions(story)?;
    second_run(world, story, report.is_some_and(|report| report.missing_programs.is_empty()))?;
    world.show_boots(story, 1)?;
    world.show_slots(story)
}

fn second_run(
    world: &World,
    story: &mut Story<'_, '_>,
    all_formatted: bool,
) -> Result<(), Failure> {
    let journal = Journal::new();
    let context = world.board.context_noting(world.now, &journal)?;
    let decision = repart::decide(&context, &Request::default(), [0; 16])?;
    let report = repart::carry_out(&context, &decision, &mut |_| {})?;
    if !all_formatted {
        story.say("mkfs.f2fs is not installed here, so data stays blank and due.")?;
    }
    story.claim(
        journal.op_count() == 0 && report.created.is_empty() && report.formatted.is_empty(),
        "a second run of repart sent no write and no flush to any device",
    )?;
    story.claim(
        report.nothing_to_do == all_formatted && !report.ended_first_boot,
        if all_formatted { "it says: nothing to do" } else { "it says what is still due" },
    )
}
