// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is what should not be installed refused with a reason, and nothing left that may boot? Bundles
//! that are not what they say, indexes and servers that lie, programs that fail or never end,
//! callers without rights.
//!
//! Each of them goes through a running service, asked over D-Bus by a command line. What counts is
//! the client's exit code, what `LastError` says, and what the boot backend was told.

mod bundles;
mod callers;
mod crafted;
mod damages;
mod indexes;
mod programs;
mod servers;

use crate::device::{COMPATIBLE, Device, Recipe, Service, Setup, Tried, make_bundle};
use crate::keys::{Chain, Keys};
use crate::matrix::Extent;
use crate::peers;
use anyhow::{Result, ensure};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

const SLOT_BYTES: u64 = 4 << 20;

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
    let whose = if rauc == real { Whose::Theirs } else { Whose::Ours };
    let keys = Keys::make(&dir.join("keys"))?;
    let rig = Rig { keys, tests: peers::rauc_tests()?, real, rauc, whose, extent, dir };
    let mut steps: Vec<Step<'_>> =
        vec![Rig::honest, Rig::damaged, Rig::untrusted, Rig::unfit, Rig::crafted, Rig::failing];
    if whose == Whose::Ours {
        // RAUC 1.15.2's service ends where a server ignores ranges, a hook of its bundles that does
        // not end never does, and its policy is not ours.
        let ours: [Step<'_>; 6] = [
            Rig::lying_chunks,
            Rig::lying_blocks,
            Rig::tricking,
            Rig::redirected,
            Rig::endless,
            Rig::strangers,
        ];
        steps.extend(ours);
    }
    let mut told = Told { out, wrong: 0 };
    for step in steps {
        if let Err(failed) = step(&rig, &mut told) {
            told.wrong("", &failed)?;
        }
    }
    ensure!(told.wrong == 0, "{} are not refused as they should be", told.wrong);
    Ok(())
}

type Step<'r> = fn(&Rig<'r>, &mut Told<'_>) -> Result<()>;

/// What is told, and how much of it should not be.
struct Told<'a> {
    out: &'a mut dyn Write,
    wrong: usize,
}

impl Told<'_> {
    fn line(&mut self, text: &str) -> Result<()> {
        Ok(writeln!(self.out, "  {text}")?)
    }

    /// The others are played all the same.
    fn wrong(&mut self, what: &str, failed: &anyhow::Error) -> Result<()> {
        self.wrong += 1;
        Ok(writeln!(self.out, "  WRONG {what}: {failed:#}")?)
    }
}

/// Whose program is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Ours,
    /// As a control: of the reasons in words nothing is asked.
    Theirs,
}

struct Rig<'a> {
    keys: Keys,
    /// RAUC's own tests.
    tests: PathBuf,
    real: &'a Path,
    rauc: &'a Path,
    whose: Whose,
    extent: Extent,
    dir: PathBuf,
}

/// What is asked for, and what must be said of it.
struct Refusal<'a> {
    what: &'a str,
    /// A file or an address.
    bundle: &'a str,
    setup: Setup,
    /// Stands in the reason.
    says: &'a str,
    /// More of the client's arguments.
    arguments: &'a [&'a str],
    /// Of the service's environment.
    variables: &'a [(&'a str, &'a str)],
}

impl Rig<'_> {
    /// A device that trusts our signer.
    fn setup(&self) -> Setup {
        self.keys.trust(Chain::Root, SLOT_BYTES)
    }

    /// A bundle of one image for the slots, signed by whom the device trusts.
    fn bundle(&self, name: &str, format: &str) -> Result<PathBuf> {
        self.bundle_of(name, &plain_manifest(format), None, &self.keys.signing(Chain::Root))
    }

    fn bundle_of(
        &self,
        name: &str,
        manifest: &str,
        hook: Option<&str>,
        signing: &[String],
    ) -> Result<PathBuf> {
        let bundle = self.dir.join(format!("{name}.raucb"));
        let image = image(name);
        let recipe =
            Recipe { manifest, files: &[("rootfs.img", &image)], hook, arguments: signing };
        make_bundle(self.real, &recipe, &bundle)?;
        Ok(bundle)
    }

    fn device(&self, setup: &Setup) -> Result<Device> {
        let place = self.dir.join("device");
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        Device::make(&place, setup)
    }

    /// Without these the refusals would prove nothing.
    fn honest(&self, out: &mut Told<'_>) -> Result<()> {
        let formats = match self.whose {
            Whose::Ours => &["plain", "verity"][..],
            // The others want a device mapper.
            Whose::Theirs => &["plain"],
        };
        for format in formats {
            let bundle = self.bundle(&format!("honest-{format}"), format)?;
            let device = self.device(&self.setup())?;
            let service = device.serve(self.rauc)?;
            service.client(self.rauc, &["install", &bundle.display().to_string()])?;
            ensure!(device.primary()? == "B", "the new slot does not boot");
            out.line(&format!("{format}: an honest bundle: installed"))?;
        }
        Ok(())
    }

    fn refuse(&self, refusal: &Refusal<'_>, out: &mut Told<'_>) -> Result<()> {
        match self.try_refuse(refusal) {
            Ok(told) => out.line(&told),
            Err(failed) => out.wrong(refusal.what, &failed),
        }
    }

    fn try_refuse(&self, refusal: &Refusal<'_>) -> Result<String> {
        let what = refusal.what;
        let begun = Instant::now();
        let device = self.device(&refusal.setup)?;
        let service = device.serve_with(self.rauc, refusal.variables)?;
        let mut words = vec!["install"];
        words.extend(refusal.arguments);
        words.push(refusal.bundle);
        let tried = service.try_program(&self.rauc.display().to_string(), &words)?;
        let error = self.told(&tried, &device, &service)?;
        ensure!(
            self.whose == Whose::Theirs || error.contains(refusal.says),
            "not told of {:?}: {error}",
            refusal.says
        );
        Ok(format!("{what}: {error} ({:.0} s)", begun.elapsed().as_secs_f64()))
    }

    /// What the client was told of a failed install, after it is checked that all is as before.
    fn told(&self, tried: &Tried, device: &Device, service: &Service<'_>) -> Result<String> {
        ensure!(tried.code == Some(1), "exit code {:?}: {}", tried.code, tried.printed);
        let error = nothing_boots(device, service)?;
        let line = format!("LastError: {error}");
        ensure!(tried.printed.contains(&line), "the client does not say {line}: {tried:?}");
        ensure!(tried.complained.contains("failed"), "no failure on stderr: {tried:?}");
        Ok(error)
    }
}

/// One image and nothing else.
fn plain_manifest(format: &str) -> String {
    manifest(format, "", "")
}

/// A manifest with more sections, and more keys of its image.
fn manifest(format: &str, sections: &str, of_image: &str) -> String {
    format!(
        "[update]\ncompatible={COMPATIBLE}\nversion=2\n[bundle]\nformat={format}\n{sections}\
         [image.rootfs]\nfilename=rootfs.img\n{of_image}"
    )
}

/// 3 MiB that cannot be compressed, others for each name.
fn image(name: &str) -> Vec<u8> {
    let seed = name.bytes().fold(7, |sum: u32, byte| sum.wrapping_mul(31) + u32::from(byte));
    (0..3_u32 << 18)
        .flat_map(|n| n.wrapping_add(seed).wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
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
