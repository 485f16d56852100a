// SPDX-License-Identifier: MIT OR Apache-2.0
//! Would the check notice? Faults that somebody could make, planted one at a time in the copy; each
//! must be found by the stage that is there for it, in the words that name it.

use crate::stages::{Checker, Stage};
use anyhow::{Context as _, Result, bail, ensure};

/// Something wrong with the flake.
struct Fault {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    stage: Stage,
    /// What the answer must have in it.
    says: &'static str,
}

const SYSTEM: &str = "nix/configurations.nix";
const HOST: &str = "networking.hostName = \"gateway\";";
const BUILT: &str = "tests/nix/built.nix";

const FAULTS: [Fault; 46] = [
    Fault {
        name: "a test's script that is no Python",
        file: "nix/tests/update.nix",
        from: "assert env(machine, \"BOOT_B_LEFT\") == \"3\"",
        to: "assert env(machine, \"BOOT_B_LEFT\" == \"3\"",
        stage: Stage::Scripts,
        says: "SyntaxError",
    },
    Fault {
        name: "a test's machine with an option that does not exist",
        file: "nix/tests/watchdog.nix",
        from: "boot.kernelModules =",
        to: "boot.kernelModule =",
        stage: Stage::Outputs,
        says: "`boot.kernelModule' does not exist",
    },
    Fault {
        name: "an option that does not exist",
        file: SYSTEM,
        from: HOST,
        to: "networking.hostNam = \"gateway\";",
        stage: Stage::Systems,
        says: "the option `networking.hostNam' does not exist",
    },
    Fault {
        name: "a default of another type",
        file: SYSTEM,
        from: HOST,
        to: "imports = [ ({ lib, ... }: { options.planted = lib.mkOption { type = lib.types.int; default = \"1\"; }; }) ];",
        stage: Stage::Systems,
        says: "the default of `planted'",
    },
    Fault {
        name: "a value of another type",
        file: SYSTEM,
        from: HOST,
        to: "boot.kernelParams = \"panic=5\";",
        stage: Stage::Systems,
        says: "`boot.kernelParams' is not of type",
    },
    Fault {
        name: "a package that does not exist",
        file: "nix/packages.nix",
        from: "inherit (pkgs) rustPlatform pkg-config openssl;",
        to: "inherit (pkgs) rustPlatform pkg-config; openssl = pkgs.opensssl;",
        stage: Stage::Outputs,
        says: "attribute 'opensssl' missing",
    },
    Fault {
        name: "an argument that nobody takes",
        file: "nix/packages.nix",
        from: "pname = \"atomix\";",
        to: "pname = \"atomix\"; caCert = null;",
        stage: Stage::Outputs,
        says: "unexpected argument 'caCert'",
    },
    Fault {
        name: "a text that is no nix",
        file: SYSTEM,
        from: HOST,
        to: "networking.hostName = ;",
        stage: Stage::Parse,
        says: "syntax error",
    },
    Fault {
        name: "a name that nobody uses",
        file: SYSTEM,
        from: "}:\nrec {",
        to: "}: let planted = 1; in\nrec {",
        stage: Stage::Unused,
        says: "planted",
    },
    Fault {
        name: "a layout of somebody's own",
        file: SYSTEM,
        from: HOST,
        to: "networking.hostName=\"gateway\";",
        stage: Stage::Format,
        says: "configurations.nix",
    },
    Fault {
        name: "a promise to other flakes that is not kept",
        file: "nix/outputs.nix",
        from: "    inherit releaseOf;\n",
        to: "",
        stage: Stage::Consumer,
        says: "attribute 'releaseOf' missing",
    },
    Fault {
        name: "a system that needs no keyring",
        file: "nix/modules/update.nix",
        from: "assertion = builtins.length keyrings > 0;",
        to: "assertion = true;",
        stage: Stage::Agreement,
        says: "a system without a keyring evaluates",
    },
    Fault {
        name: "a development keyring that nobody is told of",
        file: "nix/modules/update.nix",
        from: "warnings = lib.optional (cfg.developmentKeyring != null)",
        to: "warnings = lib.optional false",
        stage: Stage::Agreement,
        says: "the warning of a development system",
    },
    Fault {
        name: "a keyring with which everybody can sign",
        file: "nix/modules/update.nix",
        from: "assertion = !lib.hasInfix \"PRIVATE KEY-----\"",
        to: "assertion = true || lib.hasInfix \"PRIVATE KEY-----\"",
        stage: Stage::Agreement,
        says: "a keyring with a private key evaluates",
    },
    Fault {
        name: "a keyring of a flake that nobody reads",
        file: "nix/modules/update.nix",
        from: "sources keyring != [ ] && !(built keyring)",
        to: "builtins.isPath keyring",
        stage: Stage::Agreement,
        says: "a private key in a file of a flake evaluates",
    },
    Fault {
        name: "a keyring of a build that nobody looks at",
        file: "nix/lib/keyring-needs.nix",
        from: "'PRIVATE KEY-----'",
        to: "'PRIVATE KEI-----'",
        stage: Stage::Build,
        says: "keyring-needs",
    },
    Fault {
        name: "an assertion that no configuration tries",
        file: "nix/modules/verification.nix",
        from: "    assertions = [\n",
        to: "    assertions = [\n      { assertion = true; message = \"planted\"; }\n",
        stage: Stage::Agreement,
        says: "no configuration is refused by verification.nix, assertion 1",
    },
    Fault {
        name: "a word of the slot script that nobody misses",
        file: "nix/modules/boot.nix",
        from: "    \" gpt \" = \"a damaged primary partition table would not be made good from its copy\";\n",
        to: "",
        stage: Stage::Agreement,
        says: "a slot script without ` gpt ' evaluates",
    },
    Fault {
        name: "a limit that the initrd's service has not",
        file: "nix/lib/hardening.nix",
        from: "    \"LockPersonality\"\n",
        to: "",
        stage: Stage::Agreement,
        says: "LockPersonality=yes",
    },
    Fault {
        name: "a check of licences without its rules",
        file: "nix/source.nix",
        from: "    \".ci\"\n",
        to: "    \".ci\"\n    \"deny.toml\"\n",
        stage: Stage::Agreement,
        says: "deny.toml': No such file",
    },
    Fault {
        name: "a need of the kernel that its module forgets",
        file: "nix/modules/kernel.nix",
        from: "          \"TMPFS\"\n",
        to: "",
        stage: Stage::Needs,
        says: "a kernel without TMPFS for root",
    },
    Fault {
        name: "dm-verity for everybody",
        file: "nix/modules/kernel.nix",
        from: "(lib.mkIf cfg.verityInKernel {",
        to: "(lib.mkIf true {",
        stage: Stage::Needs,
        says: "DM_VERITY is needed and nobody asked for it",
    },
    Fault {
        name: "two agents in a system that one leads",
        file: "nix/modules/agents.nix",
        from: "hawkbit = [ \"atomix-agent.service\" ];",
        to: "hawkbit = [ \"atomix-agent.service\" \"os-upgrade.timer\" ];",
        stage: Stage::Agreement,
        says: "the agents of a system led by hawkBit",
    },
    Fault {
        name: "two agents that nobody refuses",
        file: "nix/modules/agents.nix",
        from: "builtins.length installed < 2",
        to: "true",
        stage: Stage::Agreement,
        says: "a system with two agents evaluates",
    },
    Fault {
        name: "a verb that the program has not",
        file: "nix/apps.nix",
        from: "atomix config validate",
        to: "atomix config judge",
        stage: Stage::Verbs,
        says: "unrecognized subcommand 'judge'",
    },
    Fault {
        name: "a system.conf of its own",
        file: "nix/modules/update.nix",
        from: "\"perform-pre-check=true\"",
        to: "\"perform-pre-check=false\"",
        stage: Stage::Agreement,
        says: "system.conf: ",
    },
    Fault {
        name: "data by a label that any card can have",
        file: "nix/modules/disk.nix",
        from: "\"/dev/disk/atomixos/data\"",
        to: "\"/dev/disk/by-partlabel/data\"",
        stage: Stage::Agreement,
        says: "/data is /dev/disk/by-partlabel/data",
    },
    Fault {
        name: "a unit that loses a limit on its way into the system",
        file: "nix/modules/units.nix",
        from: "units.rewrite cfg.programs (builtins.readFile source)",
        to: "builtins.replaceStrings [ \"NoNewPrivileges=yes\" ] [ \"#\" ] (units.rewrite cfg.programs (builtins.readFile source))",
        stage: Stage::Agreement,
        says: "config-api/dist/atomix-config-api.service",
    },
    Fault {
        name: "a drop-in that takes a limit back",
        file: "nix/modules/update.nix",
        from: "      RestrictSUIDSGID = true;",
        to: "      RestrictSUIDSGID = true;\n      NoNewPrivileges = false;",
        stage: Stage::Agreement,
        says: "the drop-in of rauc.service",
    },
    Fault {
        name: "a bus where everybody may install",
        file: "nix/modules/update.nix",
        from: "dist + \"/de.pengutronix.rauc-root-only.conf\"",
        to: "dist + \"/de.pengutronix.rauc.conf\"",
        stage: Stage::Agreement,
        says: "atomix/dist/rauc/de.pengutronix.rauc-root-only.conf",
    },
    Fault {
        name: "a unit that no system installs",
        file: "nix/modules/boot.nix",
        from: "      \"atomix-attempts.timer\"\n",
        to: "",
        stage: Stage::Agreement,
        says: "atomix/units/atomix-attempts.timer is not installed",
    },
    Fault {
        name: "root by SSH",
        file: "nix/modules/ssh.nix",
        from: "PermitRootLogin = \"no\";",
        to: "PermitRootLogin = \"prohibit-password\";",
        stage: Stage::Agreement,
        says: "services.openssh.settings.PermitRootLogin: ",
    },
    Fault {
        name: "a root file system that can be written",
        file: "nix/modules/root.nix",
        from: "options = \"ro\";",
        to: "options = \"rw\";",
        stage: Stage::Agreement,
        says: "initrd mount./run/atomixos/lower: ",
    },
    Fault {
        name: "a root of the other slot",
        file: "nix/modules/disk.nix",
        from: "ENV{atomixos.lowerdev}==\"${devices.rootfs}\", ",
        to: "",
        stage: Stage::Agreement,
        says: "udev's rules: ",
    },
    Fault {
        name: "a switch for a chain that no packet filter has",
        file: "nix/modules/firewall.nix",
        from: "chain \"ssh_wan\" [ ]",
        to: "chain \"ssh_wans\" [ ]",
        stage: Stage::Filters,
        says: "the packet filter",
    },
    Fault {
        name: "a limit that systemd does not know",
        file: "atomix/units/atomix-started.service",
        from: "RestrictSUIDSGID=yes",
        to: "RestrictSUIDGID=yes",
        stage: Stage::Units,
        says: "RestrictSUIDGID",
    },
    Fault {
        name: "a mount before what it needs",
        file: "nix/modules/logging.nix",
        from: "\"systemd-pstore.service\"",
        to: "\"data.mount\"",
        stage: Stage::Order,
        says: "ordering cycle",
    },
    Fault {
        name: "an option that its page does not know",
        file: "nix/modules/logging.nix",
        from: "default = \"128M\";",
        to: "default = \"129M\";",
        stage: Stage::Options,
        says: "docs/nix-options.md",
    },
    Fault {
        name: "a watchdog in a system, and none in its U-Boot",
        file: "nix/outputs.nix",
        from: "\"uboot-rock64${watchdog}\"",
        to: "\"uboot-rock64${lib.optionalString false watchdog}\"",
        stage: Stage::Releases,
        says: "rock64-development-watchdog, put together on aarch64-linux: the image has the U-Boot",
    },
    Fault {
        name: "a watchdog that the image's slot script is not told of",
        file: "nix/lib/parts.nix",
        from: "lib.optional watchdog",
        to: "lib.optional (watchdog && false)",
        stage: Stage::Releases,
        says: "image and the system differ about the watchdog",
    },
    Fault {
        name: "a first stage that is the second",
        file: "nix/image.nix",
        from: "\"${uboot}/idbloader.img\"",
        to: "\"${uboot}/u-boot.itb\"",
        stage: Stage::Flashed,
        says: "idbloader.img, at sector 64: other bytes stand there",
    },
    Fault {
        name: "firmware that no list has",
        file: "nix/sbom.nix",
        from: "map flashed firmware",
        to: "map flashed (builtins.tail firmware)",
        stage: Stage::Flashed,
        says: "played-uboot 2025.10 is not a component",
    },
    Fault {
        name: "a list that no checksum is of",
        file: "nix/image.nix",
        from: "sha256sum \"${name}\" \"${sbomName}\"",
        to: "sha256sum \"${name}\"",
        stage: Stage::Flashed,
        says: "checksums of [\"atomixos-25.11.img\"]",
    },
    Fault {
        name: "an image of another name",
        file: "nix/image.nix",
        from: "name = \"atomixos-${series}.img\";",
        to: "name = \"atomix-${series}.img\";",
        stage: Stage::Flashed,
        says: "\"atomix-25.11.img\"",
    },
    Fault {
        name: "a build that differs each time",
        file: BUILT,
        from: "seq 1 20000 >\"$out/numbers\"",
        to: "cat /proc/sys/kernel/random/uuid >\"$out/numbers\"",
        stage: Stage::Build,
        says: "may not be deterministic",
    },
    Fault {
        name: "a build that reads what it was not given",
        file: BUILT,
        from: "seq 1 20000 >\"$out/numbers\"",
        to: "cat /src/Cargo.lock >\"$out/numbers\"",
        stage: Stage::Build,
        says: "No such file",
    },
];

/// Plants every fault and fails when one is not found.
///
/// # Errors
/// When a fault cannot be planted, or stays unnoticed.
pub fn check(checker: &Checker) -> Result<usize> {
    for fault in &FAULTS {
        let planted = checker.project.with_change(fault.file, (fault.from, fault.to), || {
            let Err(found) = checker.ask(fault.stage) else {
                bail!("{:?} does not find it", fault.stage);
            };
            let words = format!("{found:#}");
            ensure!(words.contains(fault.says), "{:?} says something else: {words}", fault.stage);
            Ok(())
        });
        planted.with_context(|| format!("planted: {}", fault.name))?;
    }
    Ok(FAULTS.len())
}
