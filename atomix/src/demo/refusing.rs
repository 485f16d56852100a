// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chapter seven: bundles that must not get in, each refused for its own reason, and a board on
//! which not one byte moved.

use super::story::Story;
use super::world::{World, file_len, file_name, install_quietly};
use crate::failure::{Class, Failure};
use bundle::{DevelopmentPki, DevelopmentPkiOptions};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use storage::{Access, ByteLen, FileStorage, Files, Journal, Storage};

/// Longest status file.
const MAX_STATUS: ByteLen = ByteLen::mib(1);

/// A bundle that must be refused, and how.
struct Offer {
    what: &'static str,
    bundle: PathBuf,
    class: Class,
    says: &'static [&'static str],
}

/// How an offer was answered.
#[derive(Serialize)]
struct Answer {
    offered: &'static str,
    exit_code: u8,
    message: String,
    hint: Option<String>,
}

/// Offers the three and proves that nothing changed.
///
/// # Errors
/// [`Failure`] of a step; a claim that does not hold is one.
pub fn refuse(world: &mut World, story: &mut Story<'_, '_>) -> Result<(), Failure> {
    story.chapter("Bundles that must not get in")?;
    let offers = offers(world)?;
    let before = Fingerprint::take(world)?;
    let journal = Journal::new();
    let mut messages = BTreeSet::new();
    for offer in &offers {
        let context = world.board.context_noting(world.now, &journal)?;
        let Err(failure) = install_quietly(&context, &offer.bundle, &mut |_| {}) else {
            return story.claim(false, &format!("a {} bundle is refused", offer.what));
        };
        let answer = Answer {
            offered: offer.what,
            exit_code: failure.class().exit_code(),
            message: failure
                .chain()
                .replace(&offer.bundle.display().to_string(), &file_name(&offer.bundle)),
            hint: failure.hint(),
        };
        story.show("refused", &answer, &format!("exit code {}:", answer.exit_code))?;
        story.say(&answer.message)?;
        if let Some(hint) = &answer.hint {
            story.say(&format!("hint: {hint}"))?;
        }
        let fits = offer.says.iter().any(|word| answer.message.contains(word));
        story.claim(
            failure.class() == offer.class && fits,
            &format!("the {} bundle is refused, and the reason is named", offer.what),
        )?;
        messages.insert(answer.message);
    }
    story.claim(messages.len() == offers.len(), "each refusal has its own message")?;
    story.claim(
        journal.op_count() == 0 && Fingerprint::take(world)? == before,
        "no write reached disk or flash; boot state and slot status are as before",
    )
}

fn offers(world: &World) -> Result<[Offer; 3], Failure> {
    let tampered = world.bundles.join("tampered.raucb");
    tamper(&world.last_update, &tampered)?;
    let stranger = DevelopmentPki::generate("stranger", &DevelopmentPkiOptions::new(world.now.0))
        .map_err(|source| Failure::Claim { claim: source.to_string() })?;
    let version = "2.0.0";
    let wrongly_signed = world.bundles.join("wrongly-signed.raucb");
    world.workshop.small_bundle(&world.compatible, version, &stranger, &wrongly_signed)?;
    let other_board = world.bundles.join("other-board.raucb");
    let other = format!("{}-other", world.compatible);
    world.workshop.small_bundle(&other, version, &world.pki, &other_board)?;
    Ok([
        Offer {
            what: "tampered",
            bundle: tampered,
            class: Class::NotVerified,
            says: &["hash", "digest", "block"],
        },
        Offer {
            what: "wrongly signed",
            bundle: wrongly_signed,
            class: Class::NotVerified,
            says: &["certificate", "signer", "chain", "CA"],
        },
        Offer {
            what: "other board's",
            bundle: other_board,
            class: Class::Refused,
            says: &["compatible"],
        },
    ])
}

/// Flips one bit in the middle of the payload.
fn tamper(bundle: &Path, copy: &Path) -> Result<(), Failure> {
    std::fs::copy(bundle, copy).map_err(|source| Failure::Io {
        act: "copy",
        path: bundle.to_owned(),
        source,
    })?;
    let middle = file_len(copy)?.get() / 2;
    let mut file = FileStorage::open(copy, Access::ReadWrite)?;
    let mut byte = [0];
    file.read_at(middle, &mut byte)?;
    byte[0] ^= 1;
    file.write_at(middle, &byte)?;
    Ok(file.flush()?)
}

/// What would differ if anything had been written.
#[derive(PartialEq, Eq)]
struct Fingerprint {
    changed_at: Vec<SystemTime>,
    lens: Vec<ByteLen>,
    status: Option<Vec<u8>>,
    state: bootctl::BootState,
}

impl Fingerprint {
    fn take(world: &World) -> Result<Self, Failure> {
        let context = world.context()?;
        let status = updater::status_path(&context.system_conf()?);
        let mut changed_at = Vec::new();
        let mut lens = Vec::new();
        for medium in world.board.media() {
            let failed = |source| Failure::Io { act: "look at", path: medium.clone(), source };
            let facts = std::fs::metadata(&medium).map_err(failed)?;
            changed_at.push(facts.modified().map_err(failed)?);
            lens.push(ByteLen::new(facts.len()));
        }
        let status = context.files.read(&status, MAX_STATUS)?;
        Ok(Self { changed_at, lens, status, state: world.state()? })
    }
}
