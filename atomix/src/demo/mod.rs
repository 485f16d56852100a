// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole chain on a virtual board, told in seven chapters: build, flash, first boot, an
//! update that works, one that does not, one that is cut, and three that must not get in.
//!
//! Every step is done by the code of the command it is named after, and every statement printed
//! was checked first: a story that does not hold ends with exit code 1.

mod factory;
mod foreign;
mod making;
mod materials;
mod refusing;
mod story;
mod timeline;
mod updating;
mod world;

use crate::cli::DemoArgs;
use crate::commands::status;
use crate::context::Now;
use crate::failure::Failure;
use crate::output::Output;
use crate::virtual_board::VirtualBoard;
use bundle::{BundleFormat, DevelopmentPki, DevelopmentPkiOptions};
use foreign::Foreign;
use materials::{Behaviour, Workshop};
use std::path::{Path, PathBuf};
use story::Story;
use world::World;

/// Version of the system that the board is flashed with.
const FACTORY_VERSION: &str = "1.0.0";

/// Where bundles lie beside a kept board.
const BUNDLES_DIR: &str = "bundles";

/// Tells the story.
///
/// # Errors
/// [`Failure`] of the step that failed; [`Failure::Claim`] when something did not come out as it
/// must.
pub fn run(args: &DemoArgs, now: Now, out: &mut Output) -> Result<(), Failure> {
    let scratch = tempfile::Builder::new()
        .prefix("atomix-demo-")
        .tempdir()
        .map_err(|source| Failure::Io { act: "make", path: std::env::temp_dir(), source })?;
    let home = match &args.keep {
        Some(dir) => new_directory(dir)?,
        None => scratch.path().join("board"),
    };
    let workshop_dir = scratch.path().join("workshop");
    for dir in [&workshop_dir, &home.join(BUNDLES_DIR)] {
        std::fs::create_dir_all(dir).map_err(|source| Failure::Io {
            act: "make",
            path: dir.clone(),
            source,
        })?;
    }
    let mut world = prepare(args, now, &home, workshop_dir)?;
    let mut story = Story::new(out);
    making::create_bundle(&mut world, &mut story)?;
    making::flash_board(&mut world, &mut story)?;
    making::first_boot(&mut world, &mut story)?;
    updating::good_update(&mut world, &mut story)?;
    updating::bad_update(&mut world, &mut story)?;
    updating::cut_update(&mut world, &mut story)?;
    refusing::refuse(&mut world, &mut story)?;
    end(&world, args, &mut story)
}

/// A directory that is new or empty: nobody's files are mixed with a board's.
fn new_directory(dir: &Path) -> Result<PathBuf, Failure> {
    let failed = |source| Failure::Io { act: "make", path: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(failed)?;
    if std::fs::read_dir(dir).map_err(failed)?.next().is_some() {
        return Err(Failure::Usage {
            what: format!("{} is not empty", dir.display()),
            hint: "name a new directory to keep the virtual board in",
        });
    }
    std::path::absolute(dir).map_err(failed)
}

fn prepare(
    args: &DemoArgs,
    now: Now,
    home: &Path,
    workshop_dir: PathBuf,
) -> Result<World, Failure> {
    let rock64 = &board_rock64::ROCK64;
    let board = VirtualBoard::create(home, rock64)?;
    let foreign = match (&args.bundle, &args.keyring) {
        (Some(bundle), Some(keyring)) => {
            let context = board.context(now)?;
            Some(Foreign::examine(&context, rock64, bundle, keyring, &workshop_dir)?)
        }
        _ => None,
    };
    let pki = DevelopmentPki::generate("atomix demo", &DevelopmentPkiOptions::new(now.0))
        .map_err(|source| Failure::Claim { claim: source.to_string() })?;
    let workshop = Workshop { board: rock64, dir: workshop_dir, seed: args.seed, time: now.0 };
    let bundles = home.join(BUNDLES_DIR);
    let (compatible, format, mut keyring, first_update) = match &foreign {
        Some(foreign) => (
            foreign.compatible.clone(),
            foreign.format,
            foreign.keyring.clone(),
            foreign.bundle.clone(),
        ),
        None => (
            rock64.compatible.to_owned(),
            BundleFormat::Verity,
            Vec::new(),
            bundles.join("update-1.raucb"),
        ),
    };
    if !keyring.is_empty() && !keyring.ends_with(b"\n") {
        keyring.push(b'\n');
    }
    keyring.extend_from_slice(&pki.ca_cert_pem);
    Ok(World {
        factory: factory::files(rock64, &compatible, format, &keyring)?,
        factory_release: workshop.release(FACTORY_VERSION, Behaviour::Healthy)?,
        board,
        workshop,
        bundles,
        pki,
        foreign,
        compatible,
        last_update: first_update.clone(),
        first_update,
        now,
        boots: Vec::new(),
    })
}

fn end(world: &World, args: &DemoArgs, story: &mut Story<'_, '_>) -> Result<(), Failure> {
    story.epilogue("What the board went through")?;
    world.show_boots(story, world.boots.len())?;
    let context = world.context()?;
    story.command("status", |out| status::run(&context, out))?;
    match &args.keep {
        Some(dir) => story.say(&format!(
            "The board is kept in {}. Look around: atomix --board {} status",
            dir.display(),
            dir.display()
        )),
        None => story.say("Nothing of this is left; --keep DIR leaves the board for inspection."),
    }
}
