// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long, how much memory, how many bytes, beside the real RAUC in the same run? The numbers are
//! for docs/performance.md; none of them fails anything.

use crate::device::{COMPATIBLE, Device, Recipe, Setup, make_bundle};
use crate::floor::{Floor, fetch, forget_caches};
use crate::keys::{Chain, Keys};
use crate::matrix::{Installs, Party};
use crate::nginx::{Nginx, Sent};
use crate::slots::Slots;
use crate::usage::{Usage, timed, watched};
use anyhow::{Context as _, Result, ensure};
use conformance::cli::Kernel;
use e2e::program::Program;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Runs of each, of which the median counts.
const ROUNDS: usize = 5;

/// The same for what takes long: making bundles, and ways of updates that wait for a network.
const LONG_ROUNDS: usize = 3;

/// Links that bundles are streamed over: a name, the round trip in ms, losses in percent.
const LINKS: [(&str, u32, u32); 4] =
    [("0 ms", 0, 0), ("20 ms", 20, 0), ("100 ms", 100, 0), ("20 ms, 1 % lost", 20, 1)];

/// What is measured.
pub struct Bench<'a> {
    /// The real one first.
    pub parties: [&'a Party; 2],
    /// For its files.
    pub scratch: &'a Path,
    /// Of the image.
    pub bytes: usize,
    /// Signers.
    pub keys: Keys,
}

/// Measures all that the kernel lets both do.
///
/// # Errors
/// When something that is measured does not work.
pub fn judge(bench: &Bench<'_>, kernel: Kernel, out: &mut dyn Write) -> Result<()> {
    bench.begin(out)?;
    let old = bench.scratch.join("old.img");
    Change { places: 32, bytes: 16 << 10, shift: 0 }.make(&bench.image(), &old)?;
    let seeds = Seeds { running: &old, target: None };
    match kernel {
        Kernel::Host => {
            bench.creation(out)?;
            bench.info(out)?;
            bench.install("plain", &Way::File, out)?;
            bench.install("casync", &Way::Store(seeds), out)?;
        }
        Kernel::Uml => {
            bench.install("verity", &Way::File, out)?;
            for (name, round_trip, lost) in LINKS {
                shape(round_trip, lost)?;
                writeln!(out, "  | **streamed, {name}** | | | | |")?;
                bench.install("verity", &Way::Stream, out)?;
            }
            shape(0, 0)?;
            writeln!(out, "  | **streamed, block-hash-index** | | | | |")?;
            bench.install("adaptive", &Way::Delta(seeds), out)?;
        }
    }
    Ok(())
}

/// Measures a bundle from a file and the same streamed without a latency.
///
/// # Errors
/// When something that is measured does not work.
pub fn judge_streamed(bench: &Bench<'_>, out: &mut dyn Write) -> Result<()> {
    bench.begin(out)?;
    bench.install("verity", &Way::File, out)?;
    shape(0, 0)?;
    writeln!(out, "  | **streamed, 0 ms** | | | | |")?;
    bench.install("verity", &Way::Stream, out)
}

/// How an update comes.
pub(crate) enum Way<'a> {
    File,
    Stream,
    /// Streamed over a slot's old content.
    Delta(Seeds<'a>),
    /// By an index, from a store, over a slot's old content.
    Store(Seeds<'a>),
}

/// What slots hold before an install.
#[derive(Clone, Copy)]
pub(crate) struct Seeds<'a> {
    pub(crate) running: &'a Path,
    /// Nothing: zeros.
    pub(crate) target: Option<&'a Path>,
}

/// What one install took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Install {
    pub(crate) usage: Usage,
    pub(crate) sent: Sent,
    pub(crate) written: u64,
}

/// In how many places two versions of an image differ, by how many bytes in each, and how far behind
/// the first of equal parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) places: usize,
    pub(crate) bytes: usize,
    pub(crate) shift: usize,
}

impl Change {
    /// Writes the other version.
    ///
    /// # Errors
    /// When there is no room.
    pub(crate) fn make(self, from: &Path, to: &Path) -> Result<()> {
        let mut bytes = fs::read(from)?;
        let part = bytes.len() / self.places;
        for place in 0..self.places {
            let from = ((part * place) & !4095) + self.shift;
            for byte in bytes.iter_mut().skip(from).take(self.bytes) {
                *byte = byte.wrapping_mul(31).wrapping_add(7);
            }
        }
        Ok(fs::write(to, bytes)?)
    }
}

impl Bench<'_> {
    /// Makes the image, and the head of the table.
    fn begin(&self, out: &mut dyn Write) -> Result<()> {
        self.write_image()?;
        let mib = self.bytes >> 20;
        writeln!(out, "  image: {mib} MiB; medians of {ROUNDS} runs, or of {LONG_ROUNDS}")?;
        writeln!(out, "  | measure | real | this | this/real | real/its median |")?;
        Ok(writeln!(out, "  |---|---|---|---|---|")?)
    }

    pub(crate) fn image(&self) -> PathBuf {
        self.scratch.join("rootfs.img")
    }

    /// The image of the update, of files that systems have.
    pub(crate) fn write_image(&self) -> Result<()> {
        let script = "tar -cf - /usr/lib /usr/bin /usr/share 2>/dev/null | head -c \"$0\" >\"$1\"";
        Program::new("sh").args(["-c", script, &self.bytes.to_string()]).arg(self.image()).run()?;
        let found = fs::metadata(self.image())?.len();
        ensure!(found == self.bytes as u64, "this machine has too few files");
        Ok(())
    }

    pub(crate) fn bundle(&self, party: &Party, kind: &str, to: &Path) -> Result<Usage> {
        let (format, more) = match kind {
            "plain" => ("plain", ""),
            "adaptive" => ("verity", "adaptive=block-hash-index\n"),
            _ => ("verity", ""),
        };
        let content = to.with_extension("content");
        let _ = fs::remove_dir_all(&content);
        fs::create_dir_all(&content)?;
        fs::hard_link(self.image(), content.join("rootfs.img"))?;
        fs::write(
            content.join("manifest.raucm"),
            format!(
                "[update]\ncompatible={COMPATIBLE}\nversion=2\n[bundle]\nformat={format}\n\
                 [image.rootfs]\nfilename=rootfs.img\n{more}"
            ),
        )?;
        let mut arguments = vec!["bundle".to_owned(), "--mksquashfs-args=-comp zstd".to_owned()];
        arguments.extend(self.keys.signing(Chain::Root));
        arguments.extend([&content, to].map(|path| path.display().to_string()));
        let _ = fs::remove_file(to);
        let usage = timed(&party.rauc, &arguments, &[], self.scratch)?;
        fs::remove_dir_all(&content)?;
        Ok(usage)
    }

    fn creation(&self, out: &mut dyn Write) -> Result<()> {
        for kind in ["plain", "verity", "adaptive"] {
            let made = self.scratch.join("made.raucb");
            let both = self.each(LONG_ROUNDS, |party| self.bundle(party, kind, &made))?;
            usages(&format!("`bundle`, {kind}"), &both, out)?;
        }
        let squashfs = self.scratch.join("made.squashfs");
        let words = [
            self.image().display().to_string(),
            squashfs.display().to_string(),
            "-noappend".to_owned(),
            "-quiet".to_owned(),
            "-no-progress".to_owned(),
            "-comp".to_owned(),
            "zstd".to_owned(),
        ];
        let program = Path::new("mksquashfs");
        let mut alone = Runs::default();
        for _ in 0..LONG_ROUNDS {
            alone.0.push(timed(program, &words, &[], self.scratch)?);
        }
        let (wall, spread) = alone.of(|usage| usage.wall);
        Ok(writeln!(out, "  | `mksquashfs` alone, seconds | {wall:.2} | | | {spread} |")?)
    }

    fn info(&self, out: &mut dyn Write) -> Result<()> {
        let bundle = self.scratch.join("info.raucb");
        self.bundle(self.parties[0], "verity", &bundle)?;
        let setup = self.keys.trust(Chain::Root, 1 << 20);
        let conf = Device::make(&self.scratch.join("info"), &setup)?.conf();
        let words =
            [format!("--conf={}", conf.display()), "info".to_owned(), bundle.display().to_string()];
        let both = self.each(ROUNDS, |party| timed(&party.rauc, &words, &[], self.scratch))?;
        usages("`info`", &both, out)
    }

    fn each(
        &self,
        rounds: usize,
        mut one: impl FnMut(&Party) -> Result<Usage>,
    ) -> Result<[Runs; 2]> {
        let [real, this] = self.parties;
        // In turns, so that what the machine does besides meets both.
        let mut found = [Runs::default(), Runs::default()];
        for _ in 0..rounds {
            for (party, found) in [real, this].into_iter().zip(&mut found) {
                found.0.push(one(party).with_context(|| party.name)?);
            }
        }
        Ok(found)
    }

    fn install(&self, kind: &str, way: &Way<'_>, out: &mut dyn Write) -> Result<()> {
        let files = self.scratch.join("files");
        fs::create_dir_all(&files)?;
        let bundle = files.join("update.raucb");
        match way {
            Way::Store(_) => self.store(&files, &bundle)?,
            Way::File | Way::Stream | Way::Delta(_) => {
                self.bundle(self.parties[0], kind, &bundle).map(drop)?;
            }
        }
        let mut last = [Install::default(), Install::default()];
        let [real, this] = self.parties;
        let mut turn = 0;
        let rounds = if matches!(way, Way::File) { ROUNDS } else { LONG_ROUNDS };
        let both = self.each(rounds, |party| {
            let found = self.install_once(party, way, &files)?;
            if let Some(place) = last.get_mut(turn % 2) {
                *place = found;
            }
            turn += 1;
            Ok(found.usage)
        })?;
        usages(&format!("install, {kind}"), &both, out)?;
        let [first, second] = last;
        if !matches!(way, Way::File) {
            bytes("fetched, bytes", first.sent.bytes, second.sent.bytes, out)?;
            bytes("requests", first.sent.answers, second.sent.answers, out)?;
        }
        bytes("written to the slot, bytes", first.written, second.written, out)?;
        if matches!(way, Way::Stream) {
            let server = Nginx::start(&files, &self.scratch.join("server"))?;
            let url = format!("{}/update.raucb", Nginx::url());
            let fetched = (0..rounds).map(|_| fetch(&url, self.scratch));
            let fetched = fetched.collect::<Result<Vec<_>>>()?;
            server.stop()?;
            least("`curl` of the bundle", &both, fetched, out)?;
        }
        if matches!(way, Way::File) {
            let floors = (0..ROUNDS).map(|_| self.floor(&bundle)).collect::<Result<Vec<_>>>()?;
            floor(&both, &floors, out)?;
        }
        ensure!(real.installs == Installs::All || this.name != real.name, "two of one name");
        Ok(())
    }

    fn floor(&self, bundle: &Path) -> Result<Floor> {
        let dir = self.scratch.join("device");
        let _ = fs::remove_dir_all(&dir);
        let setup = self.keys.trust(Chain::Root, self.bytes as u64 + (1 << 20));
        let device = Device::make(&dir, &setup)?;
        Floor::measure(&device, bundle, &self.image(), self.scratch)
    }

    pub(crate) fn install_once(
        &self,
        party: &Party,
        way: &Way<'_>,
        files: &Path,
    ) -> Result<Install> {
        let dir = self.scratch.join("device");
        let _ = fs::remove_dir_all(&dir);
        let setup = Setup {
            store: matches!(way, Way::Store(_)).then(|| format!("{}/store.castr", Nginx::url())),
            ..self.keys.trust(Chain::Root, self.bytes as u64 + (1 << 20))
        };
        let device = Device::make(&dir, &setup)?;
        if let Way::Delta(seeds) | Way::Store(seeds) = way {
            fill(&device.running(), seeds.running)?;
            seeds.target.iter().try_for_each(|old| fill(&device.target(), old))?;
        }
        let slots = Slots::attach(&device)?;
        let server = Nginx::start(files, &self.scratch.join("server"))?;
        let bundle = match way {
            Way::File | Way::Store(_) => files.join("update.raucb").display().to_string(),
            Way::Stream | Way::Delta(_) => format!("{}/update.raucb", Nginx::url()),
        };
        forget_caches()?;
        let service = device.serve(&party.rauc)?;
        let bus = [("DBUS_SYSTEM_BUS_ADDRESS", device.bus())];
        let before = slots.written()?;
        let earlier = Usage::of_process(service.id())?;
        let words = ["install".to_owned(), bundle];
        let (client, seen) =
            watched(service.id(), || timed(&party.rauc, &words, &bus, self.scratch))
                .with_context(|| service.said())?;
        let usage = Usage::of_process(service.id())?.since(earlier).during(client.wall, seen);
        let written = slots.written()? - before;
        drop(service);
        ensure!(slots.target_holds(&self.image())?, "other bytes in the slot");
        let sent = server.stop()?;
        slots.detach()?;
        Ok(Install { usage, sent, written })
    }

    /// The image as chunks, and a bundle of their index.
    pub(crate) fn store(&self, files: &Path, bundle: &Path) -> Result<()> {
        let index = self.scratch.join("rootfs.img.caibx");
        Program::new("casync")
            .arg("make")
            .arg(format!("--store={}", files.join("store.castr").display()))
            .arg(&index)
            .arg(self.image())
            .run()?;
        let manifest = format!(
            "[update]\ncompatible={COMPATIBLE}\nversion=2\n[bundle]\nformat=plain\n\
             [image.rootfs]\nfilename=rootfs.img.caibx\n"
        );
        let index = fs::read(index)?;
        let recipe = Recipe {
            manifest: &manifest,
            files: &[("rootfs.img.caibx", &index)],
            hook: None,
            arguments: &self.keys.signing(Chain::Root),
        };
        let _ = fs::remove_file(bundle);
        make_bundle(&self.parties[0].rauc, &recipe, bundle)
    }
}

/// Gives a slot's file content.
fn fill(slot: &Path, content: &Path) -> Result<()> {
    Program::new("dd")
        .args(["conv=notrunc", "bs=1M", "status=none"])
        .arg(format!("if={}", content.display()))
        .arg(format!("of={}", slot.display()))
        .run()
}

/// Makes the loopback as long and as lossy as a link; half of a round trip is on either way.
fn shape(round_trip_ms: u32, lost_percent: u32) -> Result<()> {
    let tc = || Program::new("tc").args(["qdisc"]);
    if round_trip_ms == 0 && lost_percent == 0 {
        // There is none before the first.
        let _ = tc().args(["del", "dev", "lo", "root"]).run();
        return Ok(());
    }
    tc().args(["replace", "dev", "lo", "root", "netem", "limit", "100000"])
        .args(["delay", &format!("{}ms", round_trip_ms / 2)])
        .args(["loss", &format!("{lost_percent}%")])
        .run()
}

/// The runs of one.
#[derive(Default)]
struct Runs(Vec<Usage>);

impl Runs {
    /// The median of something, and how far the least and the most are from it.
    fn of(&self, what: impl Fn(&Usage) -> f64) -> (f64, String) {
        let mut all: Vec<f64> = self.0.iter().map(what).collect();
        all.sort_by(f64::total_cmp);
        let [least, .., most] = all.as_slice() else { return (f64::NAN, String::new()) };
        let median = all.get(all.len() / 2).copied().unwrap_or(f64::NAN);
        (median, format!("{:.2} to {:.2}", least / median, most / median))
    }
}

fn usages(name: &str, [real, this]: &[Runs; 2], out: &mut dyn Write) -> Result<()> {
    let mut row = |unit: &str, what: fn(&Usage) -> f64| {
        let ((real, spread), (this, _)) = (real.of(what), this.of(what));
        let ratio = this / real;
        writeln!(out, "  | {name}, {unit} | {real:.2} | {this:.2} | {ratio:.2} | {spread} |")
    };
    row("seconds", |usage| usage.wall)?;
    row("CPU seconds", |usage| usage.cpu)?;
    Ok(row("peak MiB", |usage| usage.peak_mib)?)
}

/// What any installer would take, beside what both took.
fn floor(both: &[Runs; 2], floors: &[Floor], out: &mut dyn Write) -> Result<()> {
    let mut row = |name: &str, what: fn(&Floor) -> f64| {
        least(name, both, floors.iter().map(what).collect(), out)
    };
    row("`openssl dgst` of the bundle", |one| one.hash)?;
    row("`dd` of the image, flushed", |one| one.write)?;
    row("uncached read of the image", |one| one.read_back)?;
    row("these three", |one| one.sum())
}

/// What some part of an install takes alone, beside what both took for all of it.
fn least(name: &str, [real, this]: &[Runs; 2], walls: Vec<f64>, out: &mut dyn Write) -> Result<()> {
    let (real, this) = (real.of(|usage| usage.wall).0, this.of(|usage| usage.wall).0);
    let runs = walls.into_iter().map(|wall| Usage { wall, ..Usage::default() }).collect();
    let (wall, spread) = Runs(runs).of(|usage| usage.wall);
    let (by_real, by_this) = (wall / real, wall / this);
    let row = format!("{name}: {wall:.2} s, of theirs | {by_real:.2} | {by_this:.2}");
    Ok(writeln!(out, "  | {row} | | {spread} |")?)
}

#[expect(clippy::cast_precision_loss, reason = "numbers to be read")]
pub(crate) fn bytes(name: &str, real: u64, this: u64, out: &mut dyn Write) -> Result<()> {
    let ratio = this as f64 / real as f64;
    Ok(writeln!(out, "  | {name} | {real} | {this} | {ratio:.3} | |")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_counts_and_the_spread_is_told_by_it() {
        let run = |wall| Usage { wall, ..Usage::default() };
        let runs = Runs([3.0, 1.0, 2.0].map(run).to_vec());
        assert_eq!(runs.of(|usage| usage.wall), (2.0, "0.50 to 1.50".to_owned()));
    }
}
