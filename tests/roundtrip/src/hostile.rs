// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is what should not be installed refused with a reason, and nothing left that may boot? Bundles
//! that are not what they say, servers that trick, a hook that never ends.

use crate::daemon::until;
use crate::device::{COMPATIBLE, Device, Recipe, Service, make_bundle};
use crate::keys::{Chain, Keys};
use crate::matrix::Extent;
use crate::tricks::{self, Trick};
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

const SLOT_BYTES: u64 = 4 << 20;

const TRICKS: [Trick; 5] = [
    Trick::IgnoresRanges,
    Trick::Truncates,
    Trick::Changes,
    Trick::ChangesSilently,
    Trick::LiesAboutLength,
];

/// A bundle that is damaged: what is told of it, and what is done to its bytes.
type Damage = (&'static str, fn(&mut Vec<u8>));

const DAMAGES: [Damage; 5] = [
    ("a payload with another byte", |bytes| {
        if let Some(byte) = bytes.get_mut(5000) {
            *byte ^= 1;
        }
    }),
    ("a signature with another byte", |bytes| {
        let place = bytes.len().saturating_sub(200);
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= 1;
        }
    }),
    ("no end", |bytes| bytes.truncate(bytes.len() / 2)),
    ("a signature longer than the file", |bytes| {
        let length = bytes.len();
        bytes.splice(length.saturating_sub(8).., u64::MAX.to_be_bytes());
    }),
    ("nothing in it", Vec::clear),
];

/// Plays all of them.
///
/// # Errors
/// When one is installed, is refused without a reason, or leaves something bootable.
pub fn judge(
    real: &Path,
    rauc: &Path,
    extent: Extent,
    scratch: &Path,
    out: &mut dyn Write,
) -> Result<()> {
    let dir = scratch.join("hostile");
    let rig = Rig { keys: Keys::make(&dir.join("keys"))?, real, rauc, dir };
    for (number, format) in ["plain", "verity"].into_iter().enumerate() {
        let good = fs::read(rig.bundle(&format!("good-{number}"), format, None)?)?;
        for (name, damage) in DAMAGES {
            let mut bytes = good.clone();
            damage(&mut bytes);
            let file = rig.dir.join("damaged.raucb");
            fs::write(&file, bytes)?;
            rig.refused(&format!("{format}: {name}"), &file.display().to_string(), out)?;
        }
    }
    if rauc == real {
        // RAUC 1.15.2's service ends where a server ignores ranges, and a hook of its bundles that
        // does not end never does.
        return Ok(());
    }
    let first = fs::read(rig.bundle("first", "verity", None)?)?;
    let second = fs::read(rig.bundle("second", "verity", None)?)?;
    for trick in TRICKS {
        if trick == Trick::Truncates && extent == Extent::Pairs {
            // All tries with their pauses take a minute.
            continue;
        }
        let mut second = second.clone();
        second.resize(first.len(), 0);
        let url = tricks::serve(trick, first.clone(), second)?;
        rig.refused(&format!("server: {trick:?}"), &url, out)?;
    }
    rig.endless(out)
}

struct Rig<'a> {
    keys: Keys,
    real: &'a Path,
    rauc: &'a Path,
    dir: PathBuf,
}

impl Rig<'_> {
    fn bundle(&self, name: &str, format: &str, hook: Option<&str>) -> Result<PathBuf> {
        let seed = name.bytes().fold(7, |sum: u32, byte| sum.wrapping_mul(31) + u32::from(byte));
        let image: Vec<u8> = (0..3_u32 << 18)
            .flat_map(|n| n.wrapping_add(seed).wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        let hooks =
            if hook.is_some() { "[hooks]\nfilename=hook.sh\nhooks=install-check\n" } else { "" };
        let manifest = format!(
            "[update]\ncompatible={COMPATIBLE}\nversion=2\n[bundle]\nformat={format}\n{hooks}\
             [image.rootfs]\nfilename=rootfs.img\n"
        );
        let bundle = self.dir.join(format!("{name}.raucb"));
        let recipe = Recipe {
            manifest: &manifest,
            files: &[("rootfs.img", &image)],
            hook,
            arguments: &self.keys.signing(Chain::Root),
        };
        make_bundle(self.real, &recipe, &bundle)?;
        Ok(bundle)
    }

    fn device(&self) -> Result<Device> {
        let place = self.dir.join("device");
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        Device::make(&place, &self.keys.trust(Chain::Root, SLOT_BYTES))
    }

    fn refused(&self, what: &str, bundle: &str, out: &mut dyn Write) -> Result<()> {
        let begun = Instant::now();
        let device = self.device()?;
        let service = device.serve(self.rauc)?;
        let installed = service.client(self.rauc, &["install", bundle]);
        ensure!(installed.is_err(), "{what}: it was installed");
        let error = nothing_boots(&device, &service).with_context(|| what.to_owned())?;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(writeln!(out, "  {what}: {error} ({seconds:.0} s)")?)
    }

    /// A hook that never ends: others are refused meanwhile, the service answers, and it can be told
    /// to stop.
    fn endless(&self, out: &mut dyn Write) -> Result<()> {
        let hook = "#!/bin/sh\nsleep 100000 &\nsleep 100000\n";
        let bundle = self.bundle("endless", "verity", Some(hook))?.display().to_string();
        let device = self.device()?;
        let service = device.serve(self.rauc)?;
        let ended = std::thread::scope(|scope| {
            let first = scope.spawn(|| service.client(self.rauc, &["install", &bundle]));
            let running = || service.property("Operation").is_ok_and(|now| now == "installing");
            until("the install begins", running, || Ok(None))?;
            let second = service.client(self.rauc, &["install", &bundle]);
            let second = second.err().context("a second install beside it")?;
            let busy = format!("{second:#}").contains("Already processing a different method");
            service.call("de.atomix.Installer.Cancel")?;
            let first = first.join().map_err(|_| anyhow::anyhow!("the client panicked"))?;
            ensure!(busy, "a second install beside it: {second:#}");
            Ok(first)
        })?;
        ensure!(ended.is_err(), "the install succeeded");
        let error = nothing_boots(&device, &service)?;
        Ok(writeln!(out, "  hook without an end, a second install, a cancel: {error}")?)
    }
}

/// The error that the service keeps, after it is checked that nothing boots that should not.
fn nothing_boots(device: &Device, service: &Service<'_>) -> Result<String> {
    let error = service.property("LastError")?;
    ensure!(!error.is_empty(), "refused without a reason; the service said:\n{}", service.said());
    ensure!(service.property("Operation")? == "idle", "it is still busy");
    ensure!(service.primary()? == "rootfs.0", "another slot boots next");
    ensure!(device.primary()? == "A" && device.state("B")? == "bad", "the other slot may boot");
    Ok(error)
}
