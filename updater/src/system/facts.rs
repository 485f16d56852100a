// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is found out once, when a system starts: data directory, status, variant, the answers of
//! the system-info handler, and what was booted.

use super::booted::{explicit_boot_slot, root_device};
use super::program::run_handler;
use super::progress::Steps;
use super::status_keeper::{Sealed, StatusKeeper};
use super::{
    ProgramFailure, System, SystemError, SystemEvent, SystemInfo, SystemParts, SystemView,
};
use crate::event_log::{Event, EventKind};
use crate::slot_handlers::ProgramCall;
use crate::{StopQuestion, SystemConfig, VariantError, read_variant};
use bootctl::KernelCmdline;
use std::path::Path;
use storage::{ByteLen, chain};

/// A line of text from the kernel or the administrator.
const MAX_LINE: ByteLen = ByteLen::kib(4);

/// What was found out at the start.
#[derive(Debug)]
pub struct SystemFacts {
    variant: Result<Option<String>, VariantError>,
    /// The version that the system-info handler told.
    pub version: Option<String>,
    /// The serial number that the system-info handler told.
    pub serial: Option<String>,
    /// Everything the system-info handler told.
    pub info: SystemInfo,
    /// RAUC's property `BootSlot`: bootname, slot name, device or `_external_`.
    pub booted_from: Option<String>,
}

impl SystemFacts {
    /// This system's variant; nothing where its source could not be read, which was told.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_ref().ok().and_then(Option::as_deref)
    }

    /// Why the variant is not known, where it should be.
    #[must_use]
    pub const fn variant_failure(&self) -> Option<&VariantError> {
        match &self.variant {
            Ok(_) => None,
            Err(error) => Some(error),
        }
    }
}

/// What the start of a service found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// The first since this boot.
    AfterBoot,
    /// The machine was not booted since the last.
    Again,
    /// Nobody can tell.
    Unknown,
}

impl System {
    /// Finds out what a system is. The system-info handler runs here, once; `stop` may end it.
    ///
    /// # Errors
    /// [`SystemError::Directory`], [`SystemError::SystemInfoMissing`],
    /// [`SystemError::SystemInfo`] or [`SystemError::Status`].
    pub fn start(
        config: SystemConfig,
        mut parts: SystemParts,
        sink: &mut dyn FnMut(SystemEvent),
        stop: StopQuestion<'_>,
    ) -> Result<Self, SystemError> {
        let mut steps = Steps::new(sink);
        if let Some(path) = &config.system.data_directory {
            parts.machine.make_dir(path).map_err(|error| SystemError::Directory {
                what: "data directory",
                path: path.clone(),
                source: error.source,
            })?;
        }
        let sealed = if parts.sealed.is_some() { Sealed::Yes } else { Sealed::No };
        let status = StatusKeeper::load(&config, sealed, &mut *parts.files, &mut steps);
        let mut variant = read_variant(&config, &*parts.files);
        let info = system_info(&config, &mut parts, &mut steps, stop)?;
        if let Some(told) = info.get("RAUC_SYSTEM_VARIANT") {
            variant = Ok(Some(told.trim().to_owned()));
        }
        if let Err(error) = &variant {
            steps.warn(format!("Failed to read system variant: {}", chain(error)));
        }
        let booted_from = booted_from(&mut parts, &mut steps);
        let facts = SystemFacts {
            variant,
            version: info.get("RAUC_SYSTEM_VERSION").map(str::to_owned),
            serial: info.get("RAUC_SYSTEM_SERIAL").map(str::to_owned),
            info,
            booted_from,
        };
        let view = SystemView::default();
        view.change(|view| {
            view.compatible.clone_from(&config.system.compatible);
            view.variant = facts.variant().map(str::to_owned);
            view.version.clone_from(&facts.version);
            view.booted_from.clone_from(&facts.booted_from);
        });
        Ok(Self { config, parts, facts, states: None, status, view })
    }

    /// Notes that the service began: whether the machine was booted since, for the event log and
    /// the status.
    ///
    /// # Errors
    /// As [`System::determine_slot_states`].
    pub fn announce_start(
        &mut self,
        sink: &mut dyn FnMut(SystemEvent),
    ) -> Result<Started, SystemError> {
        let booted = self.determine_slot_states()?.booted.clone();
        let mut steps = Steps::new(sink);
        if !self.status.is_central() {
            self.log(&Event::plain(EventKind::Service, "Service started"), &mut steps);
            return Ok(Started::Unknown);
        }
        let Some(boot_id) = self.parts.surroundings.boot_id.clone() else {
            steps.note("Kernel does not support reading boot_id. Skipping reboot detection.");
            return Ok(Started::Unknown);
        };
        if self.status.boot_id() == Some(&boot_id) {
            self.log(&Event::plain(EventKind::Service, "Service restarted"), &mut steps);
            return Ok(Started::Again);
        }
        let slot = booted.and_then(|name| self.config.slots.get(&name).cloned());
        let event = match &slot {
            Some(slot) => {
                let hash = self.status.known(&slot.name).bundle_hash;
                Event::booted(slot, &boot_id, hash)
            }
            None => Event::booted_external(&boot_id),
        };
        self.log(&event, &mut steps);
        if let Err(error) = self.status.set_boot_id(&boot_id, &mut *self.parts.files, &mut steps) {
            steps.warn(format!("Failed to save system status: {}", chain(&error)));
        }
        Ok(Started::AfterBoot)
    }

    /// Headers for the first request to a server: those of `[streaming] send-headers`, and what
    /// the system-info handler told as `RAUC_HTTP_<X>`.
    #[must_use]
    pub fn info_headers(&self, transaction: Option<&str>) -> Vec<(String, String)> {
        let wanted = self.config.streaming.as_ref().map(|s| s.send_headers.as_slice());
        let mut headers = Vec::new();
        for name in wanted.unwrap_or_default() {
            let (header, value) = match name.as_str() {
                "boot-id" => ("RAUC-Boot-ID", self.parts.surroundings.boot_id.clone()),
                "machine-id" => ("RAUC-Machine-ID", self.first_word("/etc/machine-id")),
                "system-version" => ("RAUC-System-Version", self.facts.version.clone()),
                "serial" => ("RAUC-Serial", self.facts.serial.clone()),
                "variant" => ("RAUC-Variant", self.facts.variant().map(str::to_owned)),
                "transaction-id" => ("RAUC-Transaction-ID", transaction.map(str::to_owned)),
                "uptime" => ("RAUC-Uptime", self.first_word("/proc/uptime")),
                _ => continue,
            };
            if let Some(value) = value.filter(|value| !value.contains(char::is_control)) {
                headers.push((header.to_owned(), value));
            }
        }
        headers.extend(self.facts.info.headers());
        headers
    }

    fn first_word(&self, path: &str) -> Option<String> {
        let bytes = self.parts.files.read(Path::new(path), MAX_LINE).ok()??;
        let text = String::from_utf8_lossy(&bytes);
        text.split_whitespace().next().map(str::to_owned)
    }
}

fn booted_from(parts: &mut SystemParts, steps: &mut Steps<'_>) -> Option<String> {
    if let Some(name) = &parts.surroundings.override_boot_slot {
        return Some(name.clone());
    }
    let cmdline = parts.surroundings.cmdline.as_deref().map(KernelCmdline::parse);
    let cmdline = cmdline.unwrap_or_default();
    if let Some(name) = explicit_boot_slot(&cmdline) {
        return Some(name);
    }
    match parts.boot.current() {
        Ok(Some(name)) => return Some(name),
        Ok(None) => {}
        Err(error) => steps.note(format!("Failed to get bootname: {}", chain(&error))),
    }
    let device = root_device(&cmdline)?;
    let real = parts.machine.real_path(&device);
    if real.is_err() {
        steps.note(format!("Failed to resolve realpath for '{}'", device.display()));
    }
    Some(real.unwrap_or(device).to_string_lossy().into_owned())
}

fn system_info(
    config: &SystemConfig,
    parts: &mut SystemParts,
    steps: &mut Steps<'_>,
    stop: StopQuestion<'_>,
) -> Result<SystemInfo, SystemError> {
    let mut info = SystemInfo::default();
    let Some(handler) = &config.handlers.system_info else { return Ok(info) };
    if parts.machine.real_path(handler).is_err() {
        return Err(SystemError::SystemInfoMissing { path: handler.clone() });
    }
    steps.note(format!("Getting Systeminfo: {}", handler.display()));
    let mut odd = Vec::new();
    let call = ProgramCall::new(handler);
    let ran = run_handler(&mut *parts.machine, call, stop, &mut |line| {
        odd.extend(info.take_line(line));
    });
    for line in odd {
        steps.note(line);
    }
    ran.map_err(|source: ProgramFailure| SystemError::SystemInfo { source })?;
    Ok(info)
}
