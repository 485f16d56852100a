// SPDX-License-Identifier: MIT OR Apache-2.0
//! The true seeds are accepted, so mutations of them begin deep inside the parsers. A seed that a
//! parser refuses at its first line would be explored in vain and nobody would notice.

use atomix_fuzz::SparseDisk;
use std::path::Path;
use storage::MemoryStorage;

fn seed(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    std::fs::read(path).expect("the seed is there")
}

fn text(name: &str) -> String {
    String::from_utf8(seed(name)).expect("the seed is text")
}

#[test]
fn disks_and_file_systems_of_real_tools_are_read() {
    for (name, partitions) in [("sgdisk", 2), ("grown-disk", 2), ("primary-lost", 2)] {
        let disk = SparseDisk::parse(&seed(&format!("partition_table/{name}")), 512);
        let table = repart::read_table(&disk).expect(name);
        assert_eq!(table.partitions.len(), partitions, "{name}");
    }
    for name in ["mkfs-12", "mkfs-16", "mkfs-32", "ours"] {
        let disk = SparseDisk::parse(&seed(&format!("fat/{name}")), 512);
        let mut fat = repart::FatImage::open(disk, repart::FatTime::EPOCH).expect(name);
        assert_eq!(fat.list("").expect(name).len(), 2, "{name}");
        assert_eq!(fat.list("dtbs").expect(name).len(), 1, "{name}");
    }
    for name in ["mksquashfs-gzip", "mksquashfs-xz", "mksquashfs-zstd", "ours-zstd", "ours-gzip"] {
        let image = std::io::Cursor::new(seed(&format!("squashfs/{name}")));
        let files = bundle::SquashfsFiles::open(image, &bundle::SquashfsLimits::BUNDLE);
        let content = files.expect(name).read_file("rootfs.img", storage::ByteLen::kib(8));
        assert_eq!(content.expect(name).len(), 5000, "{name}");
    }
}

#[test]
fn firmware_formats_of_real_tools_are_read() {
    use uboot::{FlagScheme, Redundancy, parse_image, parse_script};
    let redundant = Redundancy::Redundant(FlagScheme::Counter);
    for (name, redundancy) in [
        ("single", Redundancy::Single),
        ("mkenvimage-single", Redundancy::Single),
        ("redundant", redundant),
        ("mkenvimage-redundant", redundant),
    ] {
        assert!(parse_image(&seed(&format!("env_image/{name}")), redundancy).is_ok(), "{name}");
    }
    assert!(parse_script(&seed("boot_script/mkimage-script")).is_ok());
    for name in ["redundant", "file"] {
        assert!(uboot::FwEnvConfig::parse(&text(&format!("fw_env_config/{name}"))).is_ok());
    }
}

#[test]
fn boot_states_and_flight_records_are_read() {
    for name in ["factory", "trying", "writing", "both-bad", "odd-values"] {
        let env = uboot::Env::parse_data(&seed(&format!("boot_state/{name}"))).expect(name);
        assert!(bootctl::BootState::from_env(&env).is_ok(), "{name}");
    }
    for (name, least) in [("story", 9), ("wrapped", 50), ("torn", 50)] {
        let flash = MemoryStorage::nor("seed", seed(&format!("recorder/{name}")), 4096);
        let recorder = bootctl::Recorder::open(flash, 4096).expect(name);
        assert!(recorder.entries().expect(name).len() >= least, "{name}");
    }
}

#[test]
fn settings_and_manifests_are_read() {
    use bundle::{Manifest, ManifestUse};
    for (name, used) in [
        ("external", ManifestUse::External),
        ("internal", ManifestUse::Internal),
        ("input", ManifestUse::Input),
    ] {
        Manifest::parse(&seed(&format!("manifest/{name}")), used).expect(name);
    }
    for name in ["board", "all-groups"] {
        let base = Path::new("/etc/rauc");
        updater::SystemConfig::parse(&text(&format!("system_conf/{name}")), base).expect(name);
    }
    for name in ["rauc", "pending"] {
        updater::SlotStatusFile::parse(&seed(&format!("slot_status/{name}"))).expect(name);
    }
    for name in ["all-kinds", "unit-only", "units"] {
        verifier::HealthConfig::parse(&text(&format!("health_config/{name}"))).expect(name);
    }
    for definition in text("repart_definition/board").split('\0') {
        repart::parse_definition("x.conf", definition).expect(definition);
    }
    for version in text("bundle_version/years").split('\0').map(str::trim) {
        assert!(version.parse::<updater::BundleVersion>().is_ok(), "{version}");
    }
    let path = Path::new(atomix::settings::SETTINGS_PATH);
    atomix::settings::Settings::parse(path, &text("settings/board")).expect("settings");
    let declared = text("virtual_system/starts-and-fails");
    atomix::virtual_board::system::Declaration::parse(&declared).expect("declaration");
    assert_eq!(uboot::Env::parse_text(&text("env_text/board")).expect("text").iter().count(), 3);
    assert_eq!(storage::parse_mountinfo(&seed("mountinfo/usual")).len(), 2);
}
