// SPDX-License-Identifier: MIT OR Apache-2.0
//! Do the programs that ship run on the target? This checkout's `atomix` and `atomix-repart` for
//! arm64, built by the target suite's compiler from a copy of the sources: an edit during the
//! minutes of a build can neither break it nor get into it.

use crate::cache::{self, Inputs, part};
use crate::parts::rust_chroot;
use crate::program::{Program, build_dir};
use crate::progress::say;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// What of the checkout the programs are built from.
const SOURCES: [&str; 15] = [
    "Cargo.toml",
    "Cargo.lock",
    "programs",
    "storage",
    "uboot",
    "bundle",
    "bootctl",
    "repart",
    "atomix-repart",
    "verifier",
    "updater",
    "config-api",
    "agents",
    "board-rock64",
    "atomix",
];

/// Files that the build needs from the machine: names, certificates.
const HOST_FILES: [&str; 3] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"];

/// The root of the checkout.
///
/// # Errors
/// When this crate does not lie in it any more.
pub fn checkout() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().with_context(|| format!("{} is gone", root.display()))
}

/// The directory with `atomix` and `atomix-repart` for arm64.
///
/// # Errors
/// When they cannot be built, or their sources change while they are copied.
pub fn aarch64() -> Result<PathBuf> {
    let chroot = rust_chroot::chroot()?;
    let kept = cache::root()?.join("target-aarch64");
    from_sources("atomix-aarch64", Inputs::new("atomix 2").part(&chroot), |sources, dir| {
        let mut cargo = in_chroot(&chroot, sources, &kept)?;
        for (name, value) in [
            ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc"),
            ("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc"),
            ("PKG_CONFIG_ALLOW_CROSS", "1"),
            (
                "PKG_CONFIG_LIBDIR_aarch64_unknown_linux_gnu",
                "/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig",
            ),
        ] {
            cargo = cargo.args(["--setenv", name, value]);
        }
        cargo
            .args(["cargo", "build", "--locked", "--release", "--target", TARGET])
            .args(["-p", "atomix", "-p", "atomix-repart"])
            .run()?;
        for program in ["atomix", "atomix-repart"] {
            fs::copy(kept.join(TARGET).join("release").join(program), dir.join(program))?;
        }
        compare_sizes(dir)
    })
}

/// A part that `make` builds in a directory from a copy of the sources.
pub(crate) fn from_sources(
    name: &str,
    inputs: Inputs,
    make: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<PathBuf> {
    let root = checkout()?;
    let names = listed(&root)?;
    let wanted = digest_sources(&root, &names)?;
    part(name, inputs.text(&wanted), |dir| {
        let copy = dir.join("sources");
        fs::create_dir_all(&copy)?;
        // With their times: what did not change is not compiled again.
        let cp = Program::new("cp").args(["-p", "--parents", "--"]).args(&names).arg(&copy);
        cp.current_dir(&root).run()?;
        ensure!(
            digest_sources(&copy, &names)? == wanted,
            "the sources changed while they were copied: again"
        );
        make(&copy, dir)?;
        Program::new("rm").arg("-rf").arg(&copy).run()
    })
}

/// This checkout's `atomix` for the machine that tests, as the suite's main job has built it.
///
/// # Errors
/// When it cannot be built.
pub fn native() -> Result<PathBuf> {
    let target = build_dir()?;
    Program::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--package", "atomix"])
        .env("CARGO_TARGET_DIR", &target)
        // Where rustc is.
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(&checkout()?)
        .run()?;
    Ok(target.join("release/atomix"))
}

/// Every file of the checkout that cargo wants to see; other members are looked at, not built.
fn listed(root: &Path) -> Result<Vec<String>> {
    let listed = Program::new("git")
        .arg("-C")
        .arg(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()?;
    let names = listed.lines().filter(|name| root.join(name).is_file());
    Ok(names.map(str::to_owned).collect())
}

fn digest_sources(root: &Path, names: &[String]) -> Result<String> {
    // Tests and benches do not end up in the programs.
    let ours = |name: &&String| {
        let room = name.split('/').next().unwrap_or_default();
        SOURCES.contains(&room) && !name.contains("/tests/") && !name.contains("/benches/")
    };
    let mut inputs = Inputs::new("sources");
    for name in names.iter().filter(ours) {
        inputs = inputs.text(name).file(&root.join(name))?;
    }
    Ok(inputs.digest())
}

/// The small program has to stay small: it is in every initrd, which U-Boot loads before the
/// kernel starts.
fn compare_sizes(dir: &Path) -> Result<()> {
    let kib = |name: &str| Ok::<_, std::io::Error>(fs::metadata(dir.join(name))?.len() / 1024);
    let (large, small) = (kib("atomix")?, kib("atomix-repart")?);
    say(&format!("stripped: atomix {large} KiB, atomix-repart {small} KiB"));
    ensure!(
        small * 2 < large,
        "atomix-repart ({small} KiB) is not small beside atomix ({large} KiB)"
    );
    Ok(())
}

/// Something to be run in a chroot with a compiler, in `/src`, where `sources` are; what it builds is
/// `kept` from build to build, since most of it is other people's crates.
pub(crate) fn in_chroot(chroot: &Path, sources: &Path, kept: &Path) -> Result<Program> {
    fs::create_dir_all(kept)?;
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    fs::create_dir_all(&home)?;
    let mut bwrap = Program::nice("bwrap");
    let root = chroot.join("root");
    for (kind, from, to) in [
        ("--bind", root.as_path(), "/"),
        ("--bind", sources, "/src"),
        ("--bind", kept, "/target"),
        ("--bind", home.as_path(), "/cargo"),
    ] {
        bwrap = bwrap.arg(kind).arg(from).arg(to);
    }
    for file in HOST_FILES {
        bwrap = bwrap.args(["--ro-bind-try", file, file]);
    }
    bwrap = bwrap.args(["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]);
    bwrap = bwrap.args(["--chdir", "/src", "--clearenv"]);
    for (name, value) in [
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "/tmp"),
        ("CARGO_HOME", "/cargo"),
        ("CARGO_TARGET_DIR", "/target"),
        ("CARGO_TERM_COLOR", "never"),
    ] {
        bwrap = bwrap.args(["--setenv", name, value]);
    }
    Ok(bwrap)
}

#[cfg(test)]
mod tests {
    use super::{SOURCES, checkout};
    use std::fs;

    /// What the programs need, by whatever way: a room that is left out here would be changed, and the
    /// programs of before would boot.
    #[test]
    fn every_room_that_the_programs_are_built_from_makes_them_new() {
        let root = checkout().unwrap();
        let mut open = vec!["atomix".to_owned(), "atomix-repart".to_owned()];
        let mut seen = Vec::new();
        while let Some(room) = open.pop() {
            if seen.contains(&room) {
                continue;
            }
            assert!(SOURCES.contains(&room.as_str()), "{room}: {SOURCES:?}");
            let text = fs::read_to_string(root.join(&room).join("Cargo.toml")).unwrap();
            let (_, needs) = text.split_once("\n[dependencies]\n").unwrap();
            let needs = needs.split("\n[dev-dependencies]").next().unwrap();
            let names = needs.lines().filter_map(|line| line.split(['.', ' ']).next());
            let rooms = names.filter(|name| root.join(name).join("Cargo.toml").is_file());
            open.extend(rooms.map(str::to_owned).filter(|name| !name.is_empty()));
            seen.push(room);
        }
        assert!(seen.len() >= 12, "{seen:?}");
    }
}
