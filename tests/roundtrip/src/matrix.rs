// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does either program take what the other made, say the same about it, and leave the same device
//! behind? Over the cases of [`crate::cases`], each bundle made by each.

use crate::cases::{self, Adaptive, Case, Client, Format, Hooks};
use crate::device::{COMPATIBLE, Device, Recipe, make_bundle};
use crate::keys::Keys;
use anyhow::{Context as _, Result, bail, ensure};
use e2e::program::Program;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

const SLOT_BYTES: u64 = 1 << 20;

/// Writes down what it is told; the log is beside the device's other files.
const HOOK: &str = "#!/bin/sh\n{ echo \"== $1\"; env | grep ^RAUC_ | sort; } \
                    >>\"$RAUC_MOUNT_PREFIX/../hooks.log\"\n[ \"$1\" != slot-install ] || \
                    dd if=\"$RAUC_IMAGE_NAME\" of=\"$RAUC_SLOT_DEVICE\" conv=notrunc status=none\n";

/// In the status and in the hooks' environment since RAUC 1.16, which Debian has not yet.
const NEWER_KEY: &str = "system_version";
const NEWER_VARIABLE: &str = "RAUC_SYSTEM_VERSION=";

/// Which cases are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A few, in which all pairs of choices occur.
    Pairs,
    /// All of them.
    Exhaustive,
}

/// One program that makes and takes bundles.
#[derive(Clone, Debug)]
pub struct Party {
    /// `ours` or `theirs`, for what is told.
    pub name: &'static str,
    /// Where it is.
    pub rauc: PathBuf,
    /// What it can install on this kernel.
    pub installs: Installs,
}

/// What a program can install here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installs {
    /// Every format.
    All,
    /// Only what needs no device mapper.
    Plain,
}

/// Plays the cases.
///
/// # Errors
/// When one of them ends otherwise than it should; all are played before.
pub fn judge(
    parties: &[Party; 2],
    extent: Extent,
    scratch: &Path,
    out: &mut dyn Write,
) -> Result<()> {
    let keys = Keys::make(&scratch.join("keys"))?;
    let cases = match extent {
        Extent::Pairs => cases::pairwise(),
        Extent::Exhaustive => cases::all(),
    };
    let (mut bundles, mut installs, mut wrong) = (0_usize, 0, 0_usize);
    for case in &cases {
        for maker in parties {
            let dir = scratch.join(format!("{case}-by-{}", maker.name));
            bundles += 1;
            match play(case, maker, parties, &keys, &dir) {
                Ok(count) => {
                    installs += count;
                    fs::remove_dir_all(&dir)?;
                }
                Err(failed) => {
                    wrong += 1;
                    writeln!(out, "  WRONG {case}, made by {}: {failed:#}", maker.name)?;
                }
            }
        }
    }
    writeln!(
        out,
        "  {bundles} bundles of {} cases, {installs} installs, {wrong} wrong",
        cases.len()
    )?;
    ensure!(wrong == 0, "{wrong} bundles are not the same to both");
    Ok(())
}

/// One bundle: made, described by both, installed by all who can. Returns the installs.
fn play(
    case: &Case,
    maker: &Party,
    parties: &[Party; 2],
    keys: &Keys,
    dir: &Path,
) -> Result<usize> {
    fs::create_dir_all(dir)?;
    let image = image();
    let bundle = make(case, maker, keys, &image, dir).context("not made")?;
    described_alike(case, parties, keys, &bundle, dir)?;
    let mut left = Vec::new();
    for (taker, peer) in parties.iter().zip(parties.iter().rev()) {
        if case.format != Format::Plain && taker.installs == Installs::Plain {
            continue;
        }
        let client = if case.client == Client::Own { taker } else { peer };
        let place = dir.join(taker.name);
        let device = Device::make(&place, &keys.trust(case.chain, SLOT_BYTES))?;
        let found = install(&device, taker, client, &bundle)
            .with_context(|| format!("{} does not install it", taker.name))?;
        ensure!(device.holds(&image)?, "{} left something else in the slot", taker.name);
        ensure!(device.primary()? == "B", "{} left {} to boot", taker.name, device.primary()?);
        let ran: Vec<&str> = found.lines().filter_map(|line| line.strip_prefix("== ")).collect();
        ensure!(ran == expected(case.hooks), "{} ran the hooks {ran:?}", taker.name);
        left.push((taker, found));
    }
    if let [(one, first), (other, second)] = left.as_slice() {
        same(&format!("what {} and {} left", one.name, other.name), first, second)?;
    }
    Ok(left.len())
}

const fn expected(hooks: Hooks) -> &'static [&'static str] {
    match hooks {
        Hooks::None => &[],
        Hooks::InstallCheck => &["install-check"],
        Hooks::Around => &["slot-pre-install", "slot-post-install"],
        Hooks::Install => &["slot-install"],
    }
}

/// Half of it cannot be compressed, the other half is empty.
fn image() -> Vec<u8> {
    let half = SLOT_BYTES / 4;
    let mut bytes: Vec<u8> = (0..half / 4)
        .flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes().into_iter().skip(4))
        .collect();
    bytes.resize(bytes.len() * 2, 0);
    bytes
}

fn manifest(case: &Case) -> String {
    // The install-check takes a bundle that the comparison of compatibles would refuse.
    let compatible = if case.hooks == Hooks::InstallCheck { "Another" } else { COMPATIBLE };
    let (used, of_bundle, of_image) = match case.hooks {
        Hooks::None => (false, "", ""),
        Hooks::InstallCheck => (true, "hooks=install-check\n", ""),
        Hooks::Around => (true, "", "hooks=pre-install;post-install\n"),
        Hooks::Install => (true, "", "hooks=install\n"),
    };
    let hooks =
        if used { format!("[hooks]\nfilename=hook.sh\n{of_bundle}") } else { String::new() };
    let adaptive = match case.adaptive {
        Adaptive::No => "",
        Adaptive::BlockHashIndex => "adaptive=block-hash-index\n",
    };
    format!(
        "[update]\ncompatible={compatible}\nversion=1.2.3\ndescription=a b; c\nbuild=7\n\
         [bundle]\nformat={}\n{hooks}[image.rootfs]\nfilename=rootfs.img\n{of_image}{adaptive}\
         [meta.place]\nlevel=two\n",
        case.format.name(),
    )
}

fn make(case: &Case, maker: &Party, keys: &Keys, image: &[u8], dir: &Path) -> Result<PathBuf> {
    let mut arguments = keys.signing(case.chain);
    arguments.push(format!("--mksquashfs-args=-comp {}", case.compression));
    let manifest = manifest(case);
    let hook = (case.hooks != Hooks::None).then_some(HOOK);
    let recipe = Recipe {
        manifest: &manifest,
        files: &[("rootfs.img", image)],
        hook,
        arguments: &arguments,
    };
    let bundle = dir.join("made.raucb");
    make_bundle(&maker.rauc, &recipe, &bundle)?;
    if case.format != Format::Crypt {
        return Ok(bundle);
    }
    let encrypted = dir.join("encrypted.raucb");
    let conf = Device::make(&dir.join("maker"), &keys.trust(case.chain, SLOT_BYTES))?.conf();
    run(
        maker,
        &conf,
        &[
            "encrypt",
            &format!("--to={}", keys.recipient().display()),
            &bundle.display().to_string(),
            &encrypted.display().to_string(),
        ],
    )?;
    Ok(encrypted)
}

fn run(party: &Party, conf: &Path, arguments: &[&str]) -> Result<String> {
    Program::new(&party.rauc.display().to_string())
        .arg("--conf")
        .arg(conf)
        .args(arguments)
        .output()
        .with_context(|| party.name)
}

/// What both say of the bundle, in every form.
fn described_alike(
    case: &Case,
    parties: &[Party; 2],
    keys: &Keys,
    bundle: &Path,
    dir: &Path,
) -> Result<()> {
    let conf = Device::make(&dir.join("reader"), &keys.trust(case.chain, SLOT_BYTES))?.conf();
    let bundle = bundle.display().to_string();
    for form in ["json", "json-2", "shell", "readable"] {
        let ask = |party| run(party, &conf, &["info", "--output-format", form, &bundle]);
        let [one, other] = parties;
        let (one, other) = (ask(one)?, ask(other)?);
        let what = format!("info in the form {form}");
        if form.starts_with("json") {
            let parse = |text: &str| {
                serde_json::from_str::<Value>(text).with_context(|| format!("{what}: {text}"))
            };
            same(&what, &format!("{:#}", parse(&one)?), &format!("{:#}", parse(&other)?))?;
        } else {
            same(&what, &one, &other)?;
        }
    }
    Ok(())
}

/// Installs the bundle over the bus and returns what is to be seen on the device afterwards, without
/// times and without its own path.
fn install(device: &Device, taker: &Party, client: &Party, bundle: &Path) -> Result<String> {
    let service = device.serve(&taker.rauc)?;
    service.client(&client.rauc, &["install", &bundle.display().to_string()])?;
    let error = service.property("LastError")?;
    ensure!(error.is_empty(), "last error after it: {error}");
    let status = service.client(&taker.rauc, &["status", "--detailed", "--output-format=json"])?;
    let mut status: Value = serde_json::from_str(&status).with_context(|| status.clone())?;
    forget_times(&mut status);
    // RAUC's order is that of a hash table.
    if let Some(slots) = status["slots"].as_array_mut() {
        slots.sort_by_key(ToString::to_string);
    }
    let hooks = fs::read_to_string(device.dir.join("hooks.log")).unwrap_or_default();
    let hooks: Vec<&str> = hooks.lines().filter(|line| !line.starts_with(NEWER_VARIABLE)).collect();
    let states = format!("A {}, B {}", device.state("A")?, device.state("B")?);
    let primary = service.primary()?;
    ensure!(primary == "rootfs.1", "the service says that {primary} boots next");
    let found = format!("{status:#}\n{states}\n{}", hooks.join("\n"));
    Ok(found.replace(&device.dir.display().to_string(), "DEVICE"))
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| key != "timestamp" && key != NEWER_KEY);
            fields.values_mut().for_each(forget_times);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_times),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Fails with the first lines that differ.
fn same(what: &str, one: &str, other: &str) -> Result<()> {
    if one == other {
        return Ok(());
    }
    let lines = one.lines().zip(other.lines());
    let differing: Vec<String> = lines
        .filter(|(one, other)| one != other)
        .take(3)
        .map(|(one, other)| format!("{one:?} and {other:?}"))
        .collect();
    let counts = (one.lines().count(), other.lines().count());
    bail!("{what} differs ({} and {} lines): {}", counts.0, counts.1, differing.join("; "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_by_its_lines_and_more_lines_are_a_difference() {
        same("x", "a\nb", "a\nb").unwrap();
        let told = same("x", "a\nb", "a\nc").unwrap_err().to_string();
        assert!(told.contains("\"b\" and \"c\""), "{told}");
        assert!(same("x", "a", "a\nb").is_err());
    }

    #[test]
    fn only_times_are_forgotten() {
        let mut value = serde_json::json!([{"installed": {"timestamp": "now", "count": 1}}]);
        forget_times(&mut value);
        assert_eq!(value, serde_json::json!([{"installed": {"count": 1}}]));
    }
}
