// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's backend for U-Boot, judged by the firmware's own tools: `fw_printenv` and `fw_setenv` from
//! libubootenv on an image file, and our own reader of the same image.

use bootctl::{
    BoardKind, EnvRead, NamedAttempts, NamedBoot, NamedHost, NamedLoader, NamedMark, NamedSlot,
    PartitionDevice, ProgramOutput, RealHost, UbootChoice, choose_uboot, named_backend,
};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use storage::{MemoryStorage, Shared, Storage};
use uboot::{CopyPlace, Env, EnvStore, FwEnvConfig};

const SIZE: u32 = 0x2000;

/// The real programs on a configuration of this test, where RAUC takes `/etc/fw_env.config`.
struct Configured(PathBuf);

impl NamedHost for Configured {
    fn run(&mut self, program: &OsStr, arguments: &[&str]) -> std::io::Result<ProgramOutput> {
        let head = ["-c", self.0.to_str().unwrap()];
        RealHost.run(program, &[&head, arguments].concat())
    }

    fn partition(&self, device: &Path) -> std::io::Result<PartitionDevice> {
        RealHost.partition(device)
    }
}

/// An image with an environment, and the configuration that names it.
struct Place {
    dir: tempfile::TempDir,
    copies: Vec<CopyPlace>,
}

impl Place {
    fn new(variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let copy = |offset| CopyPlace {
            device: dir.path().join("env.img"),
            offset,
            env_bytes: SIZE,
            erase_bytes: SIZE,
            sectors: 1,
        };
        let copies = vec![copy(0), copy(u64::from(SIZE))];
        let place = Self { dir, copies };
        let config = FwEnvConfig { copies: place.copies.clone() }.encode();
        std::fs::write(place.path("fw_env.config"), config).unwrap();
        let mut env = Env::new();
        for (name, value) in variables {
            env.set(name, value).unwrap();
        }
        let image = place.image(vec![0xff; 2 * SIZE as usize]);
        place.store(&image).store(&env).unwrap();
        let mut bytes = vec![0; 2 * SIZE as usize];
        image.clone().read_at(0, &mut bytes).unwrap();
        std::fs::write(place.path("env.img"), bytes).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn image(&self, bytes: Vec<u8>) -> Shared<MemoryStorage> {
        Shared::new(MemoryStorage::disk("env", bytes))
    }

    fn store(&self, image: &Shared<MemoryStorage>) -> EnvStore<Shared<MemoryStorage>> {
        EnvStore::open(self.copies.iter().map(|copy| (image.clone(), copy.clone())).collect())
            .unwrap()
    }

    /// As our own reader finds it.
    fn env(&self) -> Env {
        let image = self.image(std::fs::read(self.path("env.img")).unwrap());
        self.store(&image).load().unwrap().env
    }

    fn boot(&self) -> Box<dyn NamedBoot> {
        let slot = |name: &str| NamedSlot {
            bootname: name.to_owned(),
            device: PathBuf::from("/dev/null"),
            efi_loader: None,
            efi_cmdline: None,
        };
        let slots = ["system0", "system1"].map(slot).to_vec();
        let attempts = NamedAttempts { good: 3, primary: 11 };
        let host = Configured(self.path("fw_env.config"));
        named_backend(NamedLoader::Uboot(attempts), slots, Box::new(host))
    }
}

#[test]
fn the_firmwares_own_tools_take_and_give_what_rauc_means() {
    let place = Place::new(&[
        ("bootcmd", "run rauc"),
        ("BOOT_ORDER", "system0 system1"),
        ("BOOT_system0_LEFT", "3"),
        ("BOOT_system1_LEFT", "0"),
    ]);
    let mut boot = place.boot();
    assert_eq!(boot.primary().unwrap().as_deref(), Some("system0"));
    assert!(boot.is_good("system0").unwrap() && !boot.is_good("system1").unwrap());

    boot.begin_install("system1").unwrap();
    assert_eq!(place.env().get("BOOT_ORDER"), Some("system0"));
    assert_eq!(place.env().get("BOOT_system1_LEFT"), Some("0"));

    boot.set_primary("system1").unwrap();
    assert_eq!(place.env().get("BOOT_ORDER"), Some("system1 system0"));
    assert_eq!(place.env().get("BOOT_system1_LEFT"), Some("b"), "hexadecimal");
    assert_eq!(boot.primary().unwrap().as_deref(), Some("system1"));
    assert_eq!(place.env().get("bootcmd"), Some("run rauc"));

    boot.set_state("system1", NamedMark::Good).unwrap();
    assert_eq!(place.env().get("BOOT_system1_LEFT"), Some("3"));
    let choice = choose_uboot(EnvRead::of(&place.env()), BoardKind::Stranger);
    assert_eq!(choice, UbootChoice::UbootTools);
}

#[test]
fn the_last_name_can_be_given_up_and_comes_back() {
    let place = Place::new(&[("BOOT_ORDER", "system0"), ("BOOT_system0_LEFT", "3")]);
    let mut boot = place.boot();
    boot.set_state("system0", NamedMark::Bad).unwrap();
    assert_eq!(place.env().get("BOOT_ORDER").unwrap_or_default(), "");
    assert!(boot.primary().is_err());
    boot.set_primary("system0").unwrap();
    assert_eq!(boot.primary().unwrap().as_deref(), Some("system0"));
}

#[test]
fn a_program_that_is_not_there_is_named() {
    struct Nowhere;
    impl NamedHost for Nowhere {
        fn run(&mut self, _program: &OsStr, _arguments: &[&str]) -> std::io::Result<ProgramOutput> {
            RealHost.run(OsStr::new("/nowhere/fw_printenv"), &[])
        }
        fn partition(&self, device: &Path) -> std::io::Result<PartitionDevice> {
            RealHost.partition(device)
        }
    }
    let attempts = NamedAttempts { good: 3, primary: 3 };
    let mut boot = named_backend(NamedLoader::Uboot(attempts), Vec::new(), Box::new(Nowhere));
    let error = boot.primary().unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("uboot backend: Failed to start fw_printenv: "), "{text}");
    assert!(text.contains("No such file"), "{text}");
    assert!(error.hint().is_some());
}
