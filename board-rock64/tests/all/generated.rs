// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files under `generated/` say what the facts say, and those who read them understand them.

use board_rock64::{InitPath, ROCK64, ROCK64_QEMU, ROCK64_WATCHDOG, Role, UBOOT_PATCHES};
use bootctl::SlotId;
use repart::{Format, parse_definition};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use storage::ByteLen;
use uboot::FwEnvConfig;

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The files that the watchdog's opt-in changes or adds.
fn watchdog_files() -> BTreeMap<String, String> {
    let off = ROCK64.generated_files();
    let on = ROCK64_WATCHDOG.generated_files();
    assert!(off.keys().all(|name| on.contains_key(name)));
    on.into_iter().filter(|(name, text)| off.get(name) != Some(text)).collect()
}

fn read_below(root: &Path, dir: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_below(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// `UPDATE=1 cargo test -p board-rock64 generated::` writes the files anew.
#[test]
fn generated_files_are_what_the_facts_say() {
    check_golden("generated", &ROCK64.generated_files());
    check_golden("generated-watchdog", &watchdog_files());
    check_golden("generated-qemu", &ROCK64_QEMU.generated_files());
}

fn check_golden(name: &str, wanted: &BTreeMap<String, String>) {
    let root = directory(name);
    if std::env::var_os("UPDATE").is_some() {
        if root.exists() {
            std::fs::remove_dir_all(&root).unwrap();
        }
        for (name, text) in wanted {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
    let mut found = BTreeMap::new();
    read_below(&root, &root, &mut found);
    let differ: Vec<&String> = wanted
        .keys()
        .chain(found.keys())
        .filter(|name| wanted.get(*name) != found.get(*name))
        .collect();
    assert!(
        differ.is_empty(),
        "{differ:?} in {name} differ from the board's facts; \
         run: UPDATE=1 cargo test -p board-rock64 generated::"
    );
}

#[test]
fn the_environment_places_read_back_as_the_facts() {
    let text = &ROCK64.generated_files()["etc/fw_env.config"];
    let config = FwEnvConfig::parse(text).unwrap();
    assert_eq!(config, ROCK64.fw_env_config());
    let offsets: Vec<u64> = config.copies.iter().map(|copy| copy.offset).collect();
    assert_eq!(offsets, ROCK64.flash.env_offsets);
}

#[test]
fn the_definitions_read_back_as_the_facts() {
    let definitions = ROCK64.repart_definitions();
    let names: Vec<&String> = definitions.keys().collect();
    assert_eq!(
        names,
        [
            "10-boot-a.conf",
            "20-rootfs-a.conf",
            "30-boot-b.conf",
            "40-rootfs-b.conf",
            "50-data.conf"
        ]
    );
    for ((name, text), partition) in definitions.iter().zip(&ROCK64.partitions) {
        let read = parse_definition(name, text).unwrap();
        assert_eq!(read.label, partition.label);
        assert_eq!(read.type_guid, partition.type_guid);
        assert_eq!(read.size_max, partition.size);
        if let Some(size) = partition.size {
            assert_eq!(read.size_min, size);
        }
        assert_eq!(read.format, partition.format);
    }
    let data = parse_definition("50-data.conf", &definitions["50-data.conf"]).unwrap();
    assert_eq!((data.format, data.size_max), (Some(Format::F2fs), None));
    assert_eq!(data.size_min, ByteLen::mib(64));
}

#[test]
fn the_slots_read_back_as_the_facts() {
    let text = ROCK64.system_conf();
    let config = updater::SystemConfig::parse(&text, Path::new("/etc/rauc")).unwrap();
    assert_eq!(config.system.compatible, ROCK64.compatible);
    for (name, role) in [
        ("boot.0", Role::Boot(SlotId::A)),
        ("rootfs.0", Role::Rootfs(SlotId::A)),
        ("boot.1", Role::Boot(SlotId::B)),
        ("rootfs.1", Role::Rootfs(SlotId::B)),
    ] {
        let slot = config
            .slots
            .values()
            .find(|slot| slot.name.to_string() == name)
            .unwrap_or_else(|| panic!("{name}"));
        let device = ROCK64.partition_device(ROCK64.partition(role).unwrap());
        assert_eq!(slot.device, Path::new(&device));
    }
}

/// The original's devices, so that its configuration and ours mean the same disk.
#[test]
fn slot_devices_are_those_of_the_original() {
    let devices: Vec<String> =
        ROCK64.partitions.iter().map(|found| ROCK64.partition_device(found)).collect();
    assert_eq!(devices[..2], ["/dev/mmcblk1p1", "/dev/mmcblk1p2"]);
    assert_eq!(devices[4], "/dev/mmcblk1p5");
}

#[test]
fn sizes_are_whole_mebibytes_and_places_those_of_the_original() {
    let mib = ByteLen::mib(1).get();
    let places: Vec<(u64, Option<u64>)> = ROCK64
        .partitions
        .iter()
        .map(|found| {
            assert!(found.start.get().is_multiple_of(mib));
            let size = found.size.map(ByteLen::get);
            assert!(size.is_none_or(|size| size.is_multiple_of(mib)));
            (found.start.get() / mib, size.map(|size| size / mib))
        })
        .collect();
    assert_eq!(
        places,
        [(16, Some(128)), (144, Some(1024)), (1168, Some(128)), (1296, Some(1024)), (2320, None)]
    );
}

/// Options that a command of the scripts needs; of hush itself none.
fn options_of(command: &str) -> Option<&'static [&'static str]> {
    let options: &[&str] = match command {
        "booti" => &["CMD_BOOTI"],
        "echo" => &["CMD_ECHO"],
        // `env default`, `run`, `reset`, `setenv`, `test` and `false` are in every U-Boot with a
        // shell; Kconfig names `run` only, which is on unless it is switched off.
        "env" | "run" | "reset" | "setenv" | "test" | "true" | "false" => &["HUSH_PARSER"],
        "gpio" => &["CMD_GPIO"],
        "load" => &["CMD_FS_GENERIC", "CMD_FAT", "CMD_MMC"],
        "part" => &["CMD_PART", "EFI_PARTITION", "PARTITION_UUIDS"],
        "saveenv" => &["CMD_SAVEENV"],
        "sleep" => &["CMD_SLEEP"],
        "source" => &["CMD_SOURCE", "LEGACY_IMAGE_FORMAT"],
        "ums" => &["CMD_USB_MASS_STORAGE"],
        "wdt" => &["CMD_WDT", "WDT"],
        _ => return None,
    };
    Some(options)
}

/// First words of all commands in a script.
fn commands(script: &str) -> Vec<String> {
    let keywords = ["if", "then", "elif", "else", "fi", "do", "done"];
    let bare = |part: &str| {
        let mut words = part.split_whitespace().skip_while(|word| keywords.contains(word));
        words.next().filter(|word| *word != "for").map(str::to_owned)
    };
    script.split([';', '\n']).filter_map(bare).collect()
}

/// What the board's default configuration has, nobody promises for the next U-Boot.
#[test]
fn the_fragment_has_every_command_that_the_scripts_call() {
    for board in [ROCK64, ROCK64_WATCHDOG] {
        let fragment = board.uboot_fragment();
        let mut called = commands(&board.slot_script(&InitPath::default()));
        for line in board.selector().lines() {
            called.extend(commands(line.split_once('=').unwrap().1));
        }
        assert!(called.iter().any(|command| command == "load"), "{called:?}");
        for command in called.iter().filter(|command| !command.starts_with('#')) {
            let options = options_of(command).unwrap_or_else(|| panic!("{command}: which option?"));
            for option in options {
                let line = format!("CONFIG_{option}=y\n");
                assert!(fragment.contains(&line), "{command} needs {option}");
            }
        }
        // The driver is there in any case; what arms it, only where it is asked for.
        assert!(fragment.contains("CONFIG_WDT=y\nCONFIG_"));
        assert!(fragment.contains("CONFIG_DESIGNWARE_WATCHDOG=y\n"));
        assert!(fragment.contains("# CONFIG_WATCHDOG_AUTOSTART is not set\n"));
        assert!(fragment.contains("# CONFIG_BOOTCOUNT_LIMIT is not set\n"));
        assert!(fragment.contains("CONFIG_ENV_OFFSET=0x200000\n"));
        assert!(fragment.contains("CONFIG_ENV_OFFSET_REDUND=0x210000\n"));
    }
    assert!(!ROCK64.selector().contains("wdt "), "the watchdog is off");
}

/// An option that only a patch brings is in the patch that is shipped, and all patches are shipped.
#[test]
fn the_patches_bring_the_options_that_the_fragment_asks_for() {
    let fragment = ROCK64.uboot_fragment();
    for option in ["AUTOBOOT_BUILT_IN_BOOTCMD", "CMD_UMS_IDLE_SECS"] {
        let added = format!("+config {option}\n");
        assert!(UBOOT_PATCHES.iter().any(|(_, patch)| patch.contains(&added)), "{option}");
        assert!(fragment.contains(&format!("CONFIG_{option}=")), "{option}");
    }
    let mut found = BTreeMap::new();
    read_below(&directory("patches"), &directory("patches"), &mut found);
    let shipped = UBOOT_PATCHES.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(found, BTreeMap::from(shipped));
}

#[test]
fn nothing_on_the_serial_line_stops_a_production_board() {
    let fragment = ROCK64.uboot_fragment();
    for line in [
        "CONFIG_BOOTDELAY=-2",
        "CONFIG_AUTOBOOT_KEYED=y",
        "CONFIG_AUTOBOOT_ENCRYPTION=y",
        "# CONFIG_AUTOBOOT_STOP_STR_ENABLE is not set",
        "# CONFIG_USE_PREBOOT is not set",
    ] {
        assert!(fragment.lines().any(|found| found == line), "{line}");
    }
    assert!(!fragment.contains("STOP_STR_SHA256"), "{fragment}");
}

#[test]
fn a_builder_opens_the_prompt_with_a_hash() {
    let digits = "0badcafe".repeat(8);
    let opened = ROCK64.with_stop_text(&digits.to_uppercase(), 2).unwrap().uboot_fragment();
    for line in [
        &format!("CONFIG_AUTOBOOT_STOP_STR_SHA256=\"{digits}\""),
        "CONFIG_AUTOBOOT_STOP_STR_ENABLE=y",
        "CONFIG_AUTOBOOT_FLUSH_STDIN=y",
        "CONFIG_SHA256=y",
        "CONFIG_BOOTDELAY=2",
        "CONFIG_AUTOBOOT_BUILT_IN_BOOTCMD=y",
    ] {
        assert!(opened.lines().any(|found| found == line), "{line}");
    }
}

/// The opt-in changes what it must and nothing else.
#[test]
fn the_watchdog_is_armed_by_the_selector_and_taken_over_by_systemd() {
    let on = watchdog_files();
    let differ: Vec<&str> = on.keys().map(String::as_str).collect();
    let systemd = "etc/systemd/system.conf.d/50-atomix-watchdog.conf";
    assert_eq!(differ, [systemd, "u-boot/atomix.config", "u-boot/boot.cmd", "u-boot/selector.env"]);
    assert!(on[systemd].ends_with("[Manager]\nRuntimeWatchdogSec=30s\nRebootWatchdogSec=10min\n"));
    assert!(
        on["u-boot/boot.cmd"]
            .contains(" watchdog.handle_boot_enabled=1 watchdog.open_timeout=300 ")
    );
    let armed = "wdt dev watchdog@ff1a0000; wdt start 28000; run atomix_load_";
    assert!(on["u-boot/selector.env"].contains(armed));
    for option in ["WDT=y", "WATCHDOG=y", "DESIGNWARE_WATCHDOG=y", "WATCHDOG_TIMEOUT_MSECS=28000"] {
        assert!(on["u-boot/atomix.config"].contains(&format!("CONFIG_{option}\n")), "{option}");
    }
}

/// The whole default environment is what a first `saveenv` stores.
#[test]
fn the_selector_leaves_a_quarter_of_the_environment_free() {
    let mut env = uboot::Env::new();
    for line in ROCK64.selector().lines() {
        let (name, value) = line.split_once('=').unwrap();
        env.set(name, value).unwrap();
    }
    let used = env.used_bytes() as u64;
    assert!(used * 4 < u64::from(ROCK64.flash.env_bytes) * 3, "{used} bytes");
    assert_eq!(env.get("bootcmd"), Some("env default -f atomix_select; run atomix_select"));
}

/// The slots' settings in `atomix.toml` come from the same facts.
#[test]
fn our_settings_name_the_recorder_behind_the_environment() {
    let text = ROCK64.atomix_toml();
    assert!(text.contains("offset = 0x220000\n"));
    assert!(text.contains("identity-label = \"boot-b\"\n"));
    assert!(text.contains("protected-bytes = 16777216\n"));
}

#[test]
fn the_health_probes_are_understood_and_only_the_wan_is_a_warning() {
    let config = verifier::HealthConfig::parse(&ROCK64.health_toml()).unwrap();
    assert_eq!(config.timing, verifier::Timing::default());
    let warnings: Vec<&str> = config
        .probes
        .iter()
        .filter(|probe| probe.level == verifier::Level::Warning)
        .map(|probe| probe.name.as_str())
        .collect();
    assert_eq!(warnings, ["wan"]);
    assert_eq!(config.probes.len(), 7);
}

/// The image has its name and time services from its distribution; every other unit that a probe
/// names is one that we ship, by its own name.
#[test]
fn probes_name_units_that_we_ship() {
    let config = verifier::HealthConfig::parse(&ROCK64.health_toml()).unwrap();
    let mut ours = 0;
    for probe in &config.probes {
        let verifier::ProbeKind::Unit { unit, .. } = &probe.kind else { continue };
        if ["dnsmasq.service", "chronyd.service"].contains(&unit.as_str()) {
            continue;
        }
        let shipped = ["../config-api/dist", "../atomix/units"];
        assert!(shipped.iter().any(|dir| directory(dir).join(unit).is_file()), "{unit}");
        ours += 1;
    }
    assert_eq!(ours, 2);
}
