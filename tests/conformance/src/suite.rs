// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where do RAUC's tests and the real program come from? Debian's packages, by name.

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use e2e::apt::{Apt, Packages};
use e2e::cache::{Inputs, part};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// A suite of Debian, and with it a version of RAUC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Debian 13: RAUC 1.13.
    Trixie,
    /// Debian unstable: RAUC 1.15 when the lists were made.
    Sid,
}

/// The part whose version a suite's cache stands for: the lists were made with it.
const RECIPE: &str = "1";

impl Suite {
    /// All of them, older first.
    pub const ALL: [Self; 2] = [Self::Trixie, Self::Sid];

    /// Debian's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        }
    }

    /// The version that the lists were made with.
    #[must_use]
    pub const fn recorded_version(self) -> &'static str {
        match self {
            Self::Trixie => "1.13-3+deb13u1",
            Self::Sid => "1.15.2-1",
        }
    }

    fn apt(self) -> Result<Apt> {
        Apt::of(Packages { suite: self.name(), architecture: std_architecture() })
    }

    fn inputs(self) -> Inputs {
        Inputs::new(RECIPE).text(self.name()).text(self.recorded_version())
    }

    /// RAUC's source tree with Debian's patches: `tree`, and its version: `version`.
    ///
    /// # Errors
    /// When it cannot be fetched or a patch does not apply.
    pub fn source(self) -> Result<PathBuf> {
        part(&format!("rauc-source-{}", self.name()), self.inputs(), |dir| {
            let apt = self.apt()?;
            let tree = dir.join("tree");
            apt.unpack_source("rauc", dir, &tree)?;
            fs::write(dir.join("version"), apt.candidate("rauc")?)?;
            Ok(())
        })
    }

    /// The version of [`Suite::source`], which a mirror that went on may have changed.
    ///
    /// # Errors
    /// When the tree is not whole.
    pub fn found_version(self) -> Result<String> {
        let file = self.source()?.join("version");
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// The real program with its own libraries beside it, called by a script of this name.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub fn real_rauc(self) -> Result<PathBuf> {
        let dir = part(&format!("rauc-real-{}", self.name()), self.inputs(), |dir| {
            let root = dir.join("root");
            fs::create_dir(&root)?;
            self.apt()?.unpack_whole("rauc", &root)?;
            let script = dir.join("rauc");
            fs::write(
                &script,
                "#!/bin/sh\n# Debian's program, run by its own loader with its own libraries.\n\
                 root=$(dirname \"$(readlink -f \"$0\")\")/root\n\
                 exec \"$root\"/usr/lib64/ld-linux-x86-64.so.2 --argv0 rauc \\\n  \
                 --library-path \"$root/usr/lib/x86_64-linux-gnu\" \"$root/usr/bin/rauc\" \"$@\"\n",
            )?;
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
            Ok(())
        })?;
        Ok(dir.join("rauc"))
    }

    /// The real `desync` of sid with its own libraries beside it; Debian's stable suites have none.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub fn desync() -> Result<PathBuf> {
        Ok(Self::program_of_sid("desync")?.join("desync"))
    }

    /// A program of its own package: the directory where a script of its name runs it by its own
    /// loader.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub fn program_of_sid(name: &str) -> Result<PathBuf> {
        let inputs = Inputs::new("1").text(Self::Sid.name());
        part(name, inputs, |dir| {
            let root = dir.join("root");
            fs::create_dir(&root)?;
            Self::Sid.apt()?.unpack_whole(name, &root)?;
            let script = dir.join(name);
            fs::write(
                &script,
                format!(
                    "#!/bin/sh\nroot=$(dirname \"$(readlink -f \"$0\")\")/root\n\
                     exec \"$root\"/usr/lib64/ld-linux-x86-64.so.2 --argv0 {name} \\\n  \
                     --library-path \"$root/usr/lib/x86_64-linux-gnu\" \"$root/usr/bin/{name}\" \"$@\"\n"
                ),
            )?;
            Ok(fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?)
        })
    }

    /// The unpacked package of user-mode Linux.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub fn user_mode_linux() -> Result<PathBuf> {
        // The newest, which does not fail on processors with larger registers (AMX); it is newer than
        // many a machine's C library and comes with its own. One kernel serves both suites' tests.
        let inputs = Inputs::new("kernel 3").text(Self::Sid.name());
        part("user-mode-linux", inputs, |dir| {
            let root = dir.join("root");
            fs::create_dir(&root)?;
            Self::Sid.apt()?.unpack_whole("user-mode-linux", &root)
        })
    }
}

/// Debian's name of this machine's architecture; the real program is fetched for no other.
const fn std_architecture() -> &'static str {
    "amd64"
}
