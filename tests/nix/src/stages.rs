// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is asked of the flake, in order of cost? Each stage finds what those before it cannot.

use crate::filters;
use crate::flashed;
use crate::initrd;
use crate::project::{Project, checkout};
use crate::root::Nix;
use crate::scores;
use crate::scripts;
use crate::tools::Tools;
use crate::verbs;
use anyhow::{Result, ensure};
use e2e::program::Program;
use std::fs;

/// The input that cannot be fetched, replaced; the lock stays as it is.
pub const FLAGS: &str =
    "--no-write-lock-file --override-input nixpkgs path:/src/tests/nix/stub-nixpkgs";

/// What really builds.
pub const BUILT: &str = "--impure --file tests/nix/built.nix --argstr program /tools/atomix";

/// The consumer's system, and for each kind of builder what `releaseOf` makes of it.
const CONSUMER: usize = 1 + 2 * 6;

/// A question to the flake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Is it laid out as nixfmt lays it out?
    Format,
    /// Is every name used?
    Unused,
    /// Is it nix at all?
    Parse,
    /// Does every output evaluate?
    Outputs,
    /// Does every system evaluate? `flake check` asks only whether it is one.
    Systems,
    /// Does all that is flashed and installed of every system evaluate, with its own U-Boot?
    Releases,
    /// Is what the documents promise to somebody's own flake what the flake gives out?
    Consumer,
    /// Do the modules say what the Rust side checks in, and refuse what must not be?
    Agreement,
    /// Does the kernel take every system's packet filter?
    Filters,
    /// Is a kernel refused that lacks one need, each need by itself?
    Needs,
    /// Does systemd understand every unit with its drop-ins, is each as closed as its page says, and
    /// does udev understand every rule?
    Units,
    /// Are a boot's partitions those of the board's own disk, by a real udev?
    Disk,
    /// Is there an order for all that a boot starts? systemd leaves out what it has none for.
    Order,
    /// Do the initrd's services live with their limits, and have they those that the page says?
    Initrd,
    /// Does docs/nix-options.md have every option as the modules have it?
    Options,
    /// Is every `nix run .#VERB` one that the programs take?
    Verbs,
    /// Are the scripts of the machines' tests Python, of units that their machines have, and is what
    /// they are given made and refused as they say? Nothing here can run them.
    Scripts,
    /// Does what needs no nixpkgs build, in nix's sandbox, and bit for bit again?
    Build,
    /// Has an image its name, its firmware in its places, its checksums and its list?
    Flashed,
}

/// All stages.
pub const STAGES: [Stage; 19] = [
    Stage::Format,
    Stage::Unused,
    Stage::Parse,
    Stage::Outputs,
    Stage::Systems,
    Stage::Releases,
    Stage::Consumer,
    Stage::Agreement,
    Stage::Filters,
    Stage::Needs,
    Stage::Units,
    Stage::Disk,
    Stage::Order,
    Stage::Initrd,
    Stage::Options,
    Stage::Verbs,
    Stage::Scripts,
    Stage::Build,
    Stage::Flashed,
];

/// Asks udev about two disks.
const DISK: &str = include_str!("disk.sh");

/// The page of all options, in the project.
const OPTIONS_PAGE: &str = "docs/nix-options.md";

/// What every stage works with.
pub struct Checker {
    /// The copy of the checkout.
    pub project: Project,
    /// The nix.
    pub nix: Nix,
    /// Judges of the text.
    pub tools: Tools,
}

impl Checker {
    /// Asks the question.
    ///
    /// # Errors
    /// When the answer is no, or cannot be had.
    pub fn ask(&self, stage: Stage) -> Result<()> {
        match stage {
            Stage::Format => self.of_files("nixfmt", &["--check"]),
            Stage::Unused => self.of_files("deadnix", &["--fail", "--no-lambda-pattern-names"]),
            Stage::Parse => {
                self.inside("find . -name '*.nix' -exec nix-instantiate --parse {} + >/dev/null")
            }
            Stage::Outputs => {
                self.inside(&format!("nix flake check --no-build --all-systems {FLAGS} path:/src"))
            }
            Stage::Systems => self.systems(),
            Stage::Releases => self.nothing_told("releases"),
            Stage::Consumer => self.consumer(),
            Stage::Agreement => self.nothing_told("agreement"),
            Stage::Filters => filters::check(&self.evaluated("--json", "filters")?),
            Stage::Needs => self.nothing_told("needs"),
            Stage::Units => {
                self.units()?;
                scores::check(self, "system", "NixOS")
            }
            Stage::Disk => self.inside(&format!("FLAGS='{FLAGS}'\n{DISK}")),
            Stage::Order => self.order(),
            Stage::Initrd => initrd::check(self),
            Stage::Options => self.options(),
            Stage::Verbs => verbs::check(self),
            Stage::Scripts => scripts::check(self),
            Stage::Build => self.build(),
            Stage::Flashed => flashed::check(self),
        }
    }

    fn of_files(&self, tool: &str, arguments: &[&str]) -> Result<()> {
        let files = self.project.nix_files()?;
        ensure!(!files.is_empty(), "there are no nix files");
        let program: Program = self.tools.program(tool);
        program.args(arguments).args(files).run()
    }

    fn inside(&self, script: &str) -> Result<()> {
        self.nix.run(self.project.path(), script).map(drop)
    }

    fn evaluated(&self, form: &str, name: &str) -> Result<String> {
        let script = format!("nix eval {form} {FLAGS} path:/src#lib.{name}");
        self.nix.run(self.project.path(), &script)
    }

    /// Such a value lists what is wrong, in words.
    fn nothing_told(&self, name: &str) -> Result<()> {
        let said = self.evaluated("--json", name)?;
        ensure!(said.trim() == "[]", "they do not agree: {said}");
        Ok(())
    }

    /// systemd passes over what it does not know, and says so.
    fn units(&self) -> Result<()> {
        let script = format!(
            "mount -t tmpfs tmpfs /run
             nix eval {FLAGS} path:/src#lib.units --write-to /run/units
             udevadm verify --no-summary /run/units/rules/*.rules
             for manager in system initrd; do
               cd /run/units/$manager
               set --
               for unit in *.service *.timer *.mount; do
                 if test -f \"$unit\"; then set -- \"$@\" \"$unit\"; fi
               done
               test $# -gt 0
               SYSTEMD_UNIT_PATH=$PWD: systemd-analyze verify --man=no \
                 --recursive-errors=no \"$@\" >/run/said 2>&1 || echo failed >>/run/said
               if test -s /run/said; then cat /run/said >&2; exit 1; fi
             done"
        );
        self.inside(&script)
    }

    /// The manager's own test of a start; it refuses to make one as root.
    fn order(&self) -> Result<()> {
        let script = format!(
            "mount -t tmpfs tmpfs /run
             mount -t sysfs sysfs /sys
             mount -t cgroup2 cgroup2 /sys/fs/cgroup
             nix eval {FLAGS} path:/src#lib.units --write-to /run/units
             chmod -R a+rX /run/units
             mkdir -m 777 /run/user
             mount -t tmpfs -o mode=1777 tmpfs /tmp
             cd /run/units
             for start in system/multi-user.target/atomix-started.service \
                          initrd/initrd.target/atomix-repart.service; do
               set -- $(echo $start | tr / ' ')
               setpriv --reuid=65534 --regid=65534 --clear-groups \
                 env HOME=/run/user XDG_RUNTIME_DIR=/run/user SYSTEMD_UNIT_PATH=/run/units/$1: \
                 /usr/lib/systemd/systemd --test --system --unit=$2 --no-pager \
                 --log-target=console --log-level=warning >/run/order 2>&1 ||
                 {{ tail -n 5 /run/order >&2; exit 1; }}
               if grep 'ordering cycle' /run/order >&2; then exit 1; fi
               grep -q \"Action: $3 -> start\" /run/order
             done"
        );
        self.inside(&script)
    }

    /// With `UPDATE=1` the page is written anew in the checkout.
    fn options(&self) -> Result<()> {
        let page = self.evaluated("--raw", "options")?;
        if std::env::var_os("UPDATE").is_some() {
            return Ok(fs::write(checkout(OPTIONS_PAGE), page)?);
        }
        let written = fs::read_to_string(self.project.path().join(OPTIONS_PAGE))?;
        ensure!(written == page, "{OPTIONS_PAGE} is not what the modules say: UPDATE=1 writes it");
        Ok(())
    }

    /// The derivation of a system stands for every unit, option and package in it.
    fn systems(&self) -> Result<()> {
        let each = "c: builtins.concatStringsSep \"\\n\" (map (n: \
                    c.${n}.config.system.build.toplevel.drvPath) (builtins.attrNames c))";
        let script =
            format!("nix eval --raw {FLAGS} path:/src#nixosConfigurations --apply '{each}'");
        let said = self.nix.run(self.project.path(), &script)?;
        let systems = said.lines().filter(|line| line.ends_with(".drv")).count();
        ensure!(systems > 0, "there are no systems: {said}");
        Ok(())
    }

    /// A flake that has this one as its input, and nixpkgs from it. It is the same from another place and
    /// of another time, and no key of this machine is in its images.
    fn consumer(&self) -> Result<()> {
        let each = "o: builtins.concatStringsSep \"\\n\" ([ \
                    o.nixosConfigurations.gateway.config.system.build.toplevel.drvPath ] \
                    ++ builtins.concatMap (s: map (p: p.drvPath) (builtins.attrValues s)) \
                    (builtins.attrValues o.packages))";
        let script = format!(
            "made() {{
               nix eval --raw --no-write-lock-file --override-input atomix path:$1 \
                 --override-input atomix/nixpkgs path:$1/tests/nix/stub-nixpkgs \
                 path:$1/tests/nix/consumer#. --apply '{each}'
             }}
             rm -rf /tmp/elsewhere
             made /src | tee /tmp/made
             cp -r /src /tmp/elsewhere
             find /tmp/elsewhere -exec touch -d 2020-01-01 {{}} +
             made /tmp/elsewhere | diff /tmp/made - >&2
             for image in $(grep '[a-z0-9]-atomixos-[0-9.]*[.]drv$' /tmp/made); do
               if nix-store --query --requisites $image | grep development-keys >&2; then exit 1; fi
             done
             grep -q '[a-z0-9]-atomixos-[0-9.]*[.]drv$' /tmp/made"
        );
        let said = self.nix.run(self.project.path(), &script)?;
        let made = said.lines().filter(|line| line.ends_with(".drv")).count();
        ensure!(made == CONSUMER, "a system and its parts are {CONSUMER} derivations, not {said}");
        Ok(())
    }

    /// A repetition repeats only the derivation that it is given, so each of the closure is named.
    fn build(&self) -> Result<()> {
        self.inside(&format!(
            "nix build {BUILT} --no-link -L
             derivations=$(nix-store -qR $(nix path-info --derivation {BUILT}) | grep '\\.drv$')
             test -n \"$derivations\"
             for one in $derivations; do nix-store --realise --check \"$one\" >/dev/null; done"
        ))
    }
}
