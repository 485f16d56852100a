// SPDX-License-Identifier: MIT OR Apache-2.0
//! Indexes that lie, in bundles that are signed: of chunks in a store, of blocks in slots.
//!
//! A chunk or block that has the hash it is asked for by may still be too long or too short for its
//! place, or stand in the wrong one. The slot that runs has most of what the true index names, so
//! the lies are about bytes that would be copied without asking anybody.

use super::{Rig, SLOT_BYTES, Told, image, manifest};
use crate::device::{COMPATIBLE, Device, Recipe, Setup, make_bundle, make_bundle_by};
use crate::keys::Chain;
use anyhow::{Context as _, Result, ensure};
use e2e::program::Program;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Bytes of a block and of its hash.
const BLOCK: usize = 4096;
const HASH: usize = 32;

/// Of a casync index: where the chunks begin, and bytes of each: its end, its id.
const CHUNKS_AT: usize = 64;
const CHUNK: usize = 40;

/// What a lie about chunks is called, and how it is told.
type ChunkLie = (&'static str, fn(&mut Vec<u8>) -> Option<()>);

const CHUNK_LIES: [ChunkLie; 6] = [
    ("the last chunk is shorter", |index| last(index).and_then(|it| move_end(index, it, -10))),
    ("the last chunk is longer", |index| last(index).and_then(|it| move_end(index, it, 10))),
    // It is at the slot's begin, which has not changed.
    ("a chunk of the running slot is shorter, the next longer", |index| move_end(index, 0, -1)),
    ("a chunk that is fetched is longer, the next shorter", |index| {
        let number = last(index)?.checked_sub(1)?;
        move_end(index, number, 1)
    }),
    ("two chunks change their ids", |index| {
        let [one, other] = [0, last(index)?].map(|number| CHUNKS_AT + number * CHUNK + 8);
        let id = index.get(one..one + HASH)?.to_vec();
        index.copy_within(other..other + HASH, one);
        index.get_mut(other..other + HASH)?.copy_from_slice(&id);
        Some(())
    }),
    ("the table lacks a chunk", |index| {
        index.drain(CHUNKS_AT..CHUNKS_AT + CHUNK);
        Some(())
    }),
];

/// The number of the last chunk; one entry more is the table's end.
fn last(index: &[u8]) -> Option<usize> {
    (index.len().checked_sub(CHUNKS_AT)? / CHUNK).checked_sub(2)
}

fn move_end(index: &mut [u8], number: usize, by: i64) -> Option<()> {
    let place = CHUNKS_AT + number * CHUNK;
    let word = index.get_mut(place..place + 8)?;
    let end = u64::from_le_bytes((&*word).try_into().ok()?);
    word.copy_from_slice(&end.checked_add_signed(by)?.to_le_bytes());
    Some(())
}

/// What an install from a lie about blocks may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// The true image is installed, taken whole, and the log says why.
    Whole,
    Refused,
}

type BlockLie = (&'static str, fn(Vec<u8>) -> Vec<u8>, Comes);

const BLOCK_LIES: [BlockLie; 6] = [
    (
        "a block is missing",
        |mut index| {
            index.truncate(index.len() - HASH);
            index
        },
        Comes::Whole,
    ),
    (
        "a block too many",
        |mut index| {
            index.extend_from_within(..HASH);
            index
        },
        Comes::Whole,
    ),
    (
        "half a hash at its end",
        |mut index| {
            index.truncate(index.len() - HASH / 2);
            index
        },
        Comes::Whole,
    ),
    ("no blocks", |_| Vec::new(), Comes::Whole),
    (
        "two blocks of the running slot change places",
        |mut index| {
            let (one, rest) = index.split_at_mut(HASH);
            one.swap_with_slice(&mut rest[..HASH]);
            index
        },
        Comes::Refused,
    ),
    (
        "a block is another of the running slot",
        |mut index| {
            let place = index.len() / 2 / HASH * HASH;
            index.copy_within(..HASH, place);
            index
        },
        Comes::Refused,
    ),
];

impl Rig<'_> {
    pub(super) fn lying_chunks(&self, out: &mut Told<'_>) -> Result<()> {
        let dir = self.dir.join("chunks");
        fs::create_dir_all(&dir)?;
        let file = dir.join("rootfs.img");
        fs::write(&file, versions().1)?;
        let (index, store) = (dir.join("rootfs.img.caibx"), dir.join("store.castr"));
        Program::new("casync")
            .args(["make", "--with=unix"])
            .arg(format!("--store={}", store.display()))
            .args([&index, &file])
            .run()?;
        let honest = fs::read(&index)?;
        let setup = Setup { store: Some(store.display().to_string()), ..self.setup() };
        let bundle = self.of_index("honest-index", &honest)?;
        let device = self.half_updated(&setup)?;
        let service = device.serve(self.rauc)?;
        service.client(self.rauc, &["install", &bundle.display().to_string()])?;
        ensure!(device.holds(&versions().1)?, "an honest index, and other bytes in the slot");
        ensure!(service.said().contains("in the running slot"), "no seed: {}", service.said());
        drop(service);
        for (what, lie) in CHUNK_LIES {
            let mut index = honest.clone();
            lie(&mut index).context("the index is too short")?;
            let bundle = self.of_index("lying-index", &index)?;
            let device = self.half_updated(&setup)?;
            let service = device.serve(self.rauc)?;
            let words = ["install", &bundle.display().to_string()];
            let tried = service.try_program(&self.rauc.display().to_string(), &words)?;
            match self.told(&tried, &device, &service) {
                Ok(error) if error.contains("chunk") || error.contains("index") => {
                    out.line(&format!("index: {what}: {error}"))?;
                }
                Ok(error) => out.wrong(what, &anyhow::anyhow!("not told why: {error}"))?,
                Err(failed) => out.wrong(what, &failed)?,
            }
        }
        Ok(())
    }

    fn of_index(&self, name: &str, index: &[u8]) -> Result<PathBuf> {
        let bundle = self.dir.join(format!("{name}.raucb"));
        let text = format!(
            "[update]\ncompatible={COMPATIBLE}\nversion=2\n[bundle]\nformat=plain\n\
             [image.rootfs]\nfilename=rootfs.img.caibx\n"
        );
        let recipe = Recipe {
            manifest: &text,
            files: &[("rootfs.img.caibx", index)],
            hook: None,
            arguments: &self.keys.signing(Chain::Root),
        };
        make_bundle(self.real, &recipe, &bundle)?;
        Ok(bundle)
    }

    /// A device that runs the version before.
    fn half_updated(&self, setup: &Setup) -> Result<Device> {
        let device = self.device(setup)?;
        let mut slot = versions().0;
        slot.resize(usize::try_from(SLOT_BYTES)?, 0);
        fs::write(device.running(), slot)?;
        Ok(device)
    }

    pub(super) fn lying_blocks(&self, out: &mut Told<'_>) -> Result<()> {
        let dir = self.dir.join("blocks");
        fs::create_dir_all(&dir)?;
        let image = versions().1;
        let honest = index_of(&image, &dir)?;
        let (said, tried) = self.adaptive(&honest, &dir)?;
        tried.context("an honest index of blocks")?;
        ensure!(said.contains("from the active slot"), "nothing taken from the slot:\n{said}");
        for (what, lie, comes) in BLOCK_LIES {
            match self.lied_about_blocks(&lie(honest.clone()), comes, &dir) {
                Ok(told) => out.line(&format!("blocks: {what}: {told}"))?,
                Err(failed) => out.wrong(what, &failed)?,
            }
        }
        Ok(())
    }

    fn lied_about_blocks(&self, index: &[u8], comes: Comes, dir: &Path) -> Result<String> {
        let (said, tried) = self.adaptive(index, dir)?;
        match (comes, tried) {
            (Comes::Whole, tried) => {
                tried?;
                let why = said.lines().find(|line| line.contains("adaptive mode error"));
                let why = why.with_context(|| format!("not told:\n{said}"))?;
                Ok(format!("the image is taken whole: {why}"))
            }
            (Comes::Refused, Err(error)) => Ok(format!("{error:#}")),
            (Comes::Refused, Ok(())) => anyhow::bail!("it was installed"),
        }
    }

    /// Installs the newer version by an index; what the service said, and `LastError` if it failed.
    fn adaptive(&self, index: &[u8], dir: &Path) -> Result<(String, Result<()>)> {
        // RAUC makes the index itself: it is changed just before it is packed.
        let (lie, packer) = (dir.join("index"), dir.join("mksquashfs"));
        fs::write(&lie, index)?;
        fs::write(
            &packer,
            format!(
                "#!/bin/sh\ncp '{}' \"$1/rootfs.img.block-hash-index\" || exit 1\n\
                 exec /usr/bin/mksquashfs \"$@\"\n",
                lie.display()
            ),
        )?;
        fs::set_permissions(&packer, fs::Permissions::from_mode(0o755))?;
        let bundle = self.dir.join("blocks.raucb");
        let image = versions().1;
        let recipe = Recipe {
            manifest: &manifest("plain", "", "adaptive=block-hash-index\n"),
            files: &[("rootfs.img", &image)],
            hook: None,
            arguments: &self.keys.signing(Chain::Root),
        };
        make_bundle_by(self.real, &recipe, &bundle, Some(dir))?;
        let device = self.half_updated(&self.setup())?;
        let service = device.serve(self.rauc)?;
        let words = ["install", &bundle.display().to_string()];
        let tried = service.try_program(&self.rauc.display().to_string(), &words)?;
        let said = service.said();
        if tried.code == Some(0) {
            ensure!(device.holds(&image)?, "installed, and other bytes in the slot:\n{said}");
            ensure!(device.primary()? == "B", "installed and not booted");
            return Ok((said, Ok(())));
        }
        let error = self.told(&tried, &device, &service)?;
        Ok((said, Err(anyhow::anyhow!("{error}"))))
    }
}

/// The version that runs, and the newer one: the last of its blocks are new.
fn versions() -> (Vec<u8>, Vec<u8>) {
    let old = image("old");
    let mut new = old.clone();
    let place = new.len() - 100 * BLOCK;
    new.splice(place.., image("new").into_iter().take(100 * BLOCK));
    (old, new)
}

/// SHA-256 of each block, by a program that is not ours.
fn index_of(image: &[u8], dir: &Path) -> Result<Vec<u8>> {
    let files: Vec<PathBuf> = image
        .chunks(BLOCK)
        .enumerate()
        .map(|(number, block)| {
            let file = dir.join(format!("block-{number}"));
            fs::write(&file, block).map(|()| file)
        })
        .collect::<Result<_, _>>()?;
    let told = Program::new("sha256sum").args(&files).output()?;
    for file in files {
        fs::remove_file(file)?;
    }
    let mut index = Vec::new();
    for line in told.lines() {
        let digits = line.split(' ').next().unwrap_or_default();
        for place in (0..digits.len()).step_by(2) {
            let byte = digits.get(place..place + 2).context("half a byte")?;
            index.push(u8::from_str_radix(byte, 16)?);
        }
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lie_about_chunks_changes_the_index() {
        let mut index = vec![0; CHUNKS_AT];
        for end in [100_u64, 200, 300] {
            index.extend(end.to_le_bytes());
            index.extend([u8::try_from(end / 100).unwrap(); HASH]);
        }
        index.extend([9; CHUNK]);
        assert_eq!(last(&index), Some(2));
        for (what, lie) in CHUNK_LIES {
            let mut lying = index.clone();
            lie(&mut lying).unwrap();
            assert_ne!(lying, index, "{what}");
        }
        assert!(last(&[0; CHUNKS_AT]).is_none());
    }

    #[test]
    fn each_lie_about_blocks_changes_the_index() {
        let index: Vec<u8> = (0..6).flat_map(|number| [number; HASH]).collect();
        for (what, lie, _) in BLOCK_LIES {
            assert_ne!(lie(index.clone()), index, "{what}");
        }
    }
}
