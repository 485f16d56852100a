// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts the machine together on which `rauc` works: boot loader, slots, small files, event log,
//! clock. Decides one thing: whether this is a board of ours, whose protocol is kept.

use crate::rauc::board::{OwnBoard, StrangersBoot};
use crate::rauc::conf::Loaded;
use crate::rauc::env::RaucEnv;
use crate::rauc::error::RaucError;
use crate::rauc::session::Session;
use bootctl::{
    AtomixNamed, EfiActivation, NamedAttempts, NamedBoot, NamedLoader, NamedSlot, RealHost,
    named_backend,
};
use bundle::UnixTime;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use storage::{ByteLen, Files, HostFiles};
use updater::event_log::{EventLog, JOURNAL_SOCKET};
use updater::system::{
    BoxedError, DeltaSources, SealedInstall, StoreOptions, Surroundings, System, SystemEvent,
    SystemParts,
};
use updater::{Bootloader, HostMachine, StopQuestion, SystemConfig};

/// Longest kernel command line, and more than any other small file of the kernel.
const MAX_KERNEL_TEXT: ByteLen = ByteLen::kib(16);

/// Where the service leaves links for other programs.
const RUNTIME_DIR: &str = "/run/rauc";

/// The clock of a program that lives long.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the service acts at more than one moment")]
pub fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    UnixTime(i64::try_from(since).unwrap_or(i64::MAX))
}

/// A random UUID (RFC 9562, version 4).
fn uuid() -> Result<String, BoxedError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)?;
    let number =
        u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{number:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    Ok([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
}

fn kernel_text(path: &str) -> Option<String> {
    let bytes = HostFiles::new(Path::new("/")).read(Path::new(path), MAX_KERNEL_TEXT).ok()??;
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// The boot loader of `system.conf` as RAUC speaks to it.
fn loader(config: &SystemConfig, cmdline: &str) -> Result<NamedLoader, RaucError> {
    let system = &config.system;
    let attempts =
        NamedAttempts { good: system.boot_attempts, primary: system.boot_attempts_primary };
    Ok(match system.bootloader {
        Bootloader::Uboot => NamedLoader::Uboot(attempts),
        Bootloader::Grub => NamedLoader::Grub { grubenv: system.grubenv.clone() },
        Bootloader::Barebox => NamedLoader::Barebox {
            state_name: system.barebox_statename.clone(),
            dtb_path: system.barebox_dtbpath.clone(),
            attempts,
            cmdline: cmdline.to_owned(),
        },
        Bootloader::Efi if system.efi_use_bootnext => NamedLoader::Efi(EfiActivation::BootNext),
        Bootloader::Efi => NamedLoader::Efi(EfiActivation::BootOrder),
        Bootloader::Custom => match &config.handlers.bootloader_custom_backend {
            Some(script) => NamedLoader::Custom { script: script.clone() },
            None => return Err(RaucError::refused("No custom bootloader backend defined")),
        },
        Bootloader::Noop => NamedLoader::Noop,
    })
}

/// The slots that the boot loader knows.
fn named_slots(config: &SystemConfig) -> Vec<NamedSlot> {
    let named = config.slots.values().filter_map(|slot| {
        Some(NamedSlot {
            bootname: slot.bootname.clone()?,
            device: slot.device.clone(),
            efi_loader: slot.efi_loader.clone(),
            efi_cmdline: slot.efi_cmdline.clone(),
        })
    });
    named.collect()
}

/// A boot loader, and on a board of ours whoever may write its slots.
type Boot = (Box<dyn NamedBoot>, Option<Box<dyn SealedInstall>>);

/// Whom to tell what boots.
fn boot(loaded: &Loaded, cmdline: &str) -> Result<Boot, RaucError> {
    let config = &loaded.config;
    if let Some(board) = OwnBoard::find(Path::new("/"), config, now) {
        // Written by us and read strictly by `atomix`: two readings of one file would brick it.
        if let Some(oddity) = loaded.oddities.first() {
            let act = RaucError::act("Failed to load system config of a board with sealed slots");
            return Err(act(oddity.clone()));
        }
        return Ok((Box::new(AtomixNamed::new(Box::new(board.clone()))), Some(Box::new(board))));
    }
    let loader = loader(config, cmdline)?;
    let boot = named_backend(loader, named_slots(config), Box::new(RealHost));
    Ok((Box::new(StrangersBoot::new(boot, Path::new("/"), config)), None))
}

fn surroundings(session: &Session, cmdline: String) -> Surroundings {
    let env: &RaucEnv = &session.env;
    let runtime = env.test_runtime_directory.clone();
    Surroundings {
        config_path: session.loaded.path.clone().unwrap_or_default(),
        cmdline: Some(cmdline),
        override_boot_slot: session.request.given.text("override-boot-slot"),
        runtime_dir: runtime.unwrap_or_else(|| PathBuf::from(RUNTIME_DIR)),
        lock_root: PathBuf::from("/"),
        pid: std::process::id(),
        boot_id: kernel_text("/proc/sys/kernel/random/boot_id"),
        inherited: std::env::vars_os().map(|(name, _)| name).collect(),
    }
}

/// The system that `session` works on, which asks `store` how to speak to the server of a chunk
/// store; `sink` is told what was found odd.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn system(
    session: &Session,
    store: StoreOptions,
    sink: &mut dyn FnMut(SystemEvent),
    stop: StopQuestion<'_>,
) -> Result<System, RaucError> {
    let config = session.loaded.config.clone();
    let given = session.env.test_cmdline.clone();
    let cmdline = given.or_else(|| kernel_text("/proc/cmdline")).unwrap_or_default();
    let (boot, sealed) = boot(&session.loaded, &cmdline)?;
    let journal = Some(PathBuf::from(JOURNAL_SOCKET));
    let (log, troubles) = EventLog::open(&config.logs, journal, Box::new(std::io::stderr()));
    for trouble in troubles {
        sink(SystemEvent::Warning(trouble));
    }
    let parts = SystemParts {
        files: Box::new(HostFiles::new(Path::new("/"))),
        machine: Box::new(HostMachine::new()),
        boot,
        surroundings: surroundings(session, cmdline),
        clock: Box::new(|| atomix_repart::timestamp(now().0)),
        ids: Box::new(uuid),
        sealed,
        sources: Box::new(DeltaSources::new("/", store)),
        log,
    };
    System::start(config, parts, sink, stop).map_err(RaucError::act("Failed to initialize context"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_are_uuids_of_version_4() {
        let one = uuid().unwrap();
        let parts: Vec<&str> = one.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(parts[2].starts_with('4') && "89ab".contains(&parts[3][..1]), "{one}");
        assert_ne!(one, uuid().unwrap());
    }

    #[test]
    fn every_boot_loader_has_its_settings() {
        let config = |text: &str| {
            SystemConfig::parse(&format!("[system]\ncompatible=x\n{text}"), Path::new("/c"))
                .unwrap()
        };
        let efi = config("bootloader=efi\nefi-use-bootnext=false\n");
        assert_eq!(loader(&efi, "").unwrap(), NamedLoader::Efi(EfiActivation::BootOrder));
        let grub = config("bootloader=grub\ngrubenv=env\n[slot.a.0]\ndevice=/d\nbootname=A\n");
        let expected = NamedLoader::Grub { grubenv: PathBuf::from("/c/env") };
        assert_eq!(loader(&grub, "").unwrap(), expected);
        assert_eq!(named_slots(&grub).len(), 1);
        let uboot = config("bootloader=uboot\nboot-attempts=5\n");
        let attempts = NamedAttempts { good: 5, primary: 3 };
        assert_eq!(loader(&uboot, "").unwrap(), NamedLoader::Uboot(attempts));
    }
}
