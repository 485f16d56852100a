// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix doctor`: what would make the next update or the next fallback fail, found before it
//! does. Reads only.

mod agent;

use crate::boot_control::BootControl;
use crate::boot_view::RecorderView;
use crate::commands::flight_record::when;
use crate::commands::install::seal_health;
use crate::commands::room::Room;
use crate::context::Context;
use crate::failure::{Failure, chain};
use crate::output::{Output, wrap};
use crate::settings::Settings;
use board_rock64::ROCK64;
use bootctl::{BootState, SlotId, SlotState, Timestamp};
use bundle::{KeyringOptions, UnixTime};
use repart::TableHealth;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use storage::{Access, ByteLen, Files, StorageError};
use updater::{SealHealth, SystemConfig, running_install};

/// The environment should stay below this share of its size, so that the selector can always save.
const ENV_USED_PERCENT_MAX: usize = 75;

/// Seconds that may lie between a look at the clock and one at what another program records.
const CLOCK_SLACK: u64 = 60;

/// The kernel's word on the watchdog.
const WATCHDOG_STATE: &str = "/sys/class/watchdog/watchdog0/state";

/// The way out of a file that is not there.
const WRITE_FW_ENV: &str = "write what the board's U-Boot was built with: one line per copy, with \
     device, offset, size, erase block size and erase blocks";

/// Runs `atomix doctor`.
///
/// # Errors
/// [`Failure::No`] when something is broken; warnings alone are no failure.
pub fn run(context: &Context, out: &mut Output) -> Result<(), Failure> {
    let mut exam = Exam::default();
    exam.examine(context);
    let view = DoctorView { version: 1, findings: exam.findings };
    out.answer(&view, render)?;
    let broken = view.findings.iter().filter(|finding| finding.verdict == Verdict::Broken).count();
    if broken == 0 { Ok(()) } else { Err(Failure::No { what: format!("{broken} found broken") }) }
}

/// How a finding counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// Works, with less protection than it could have.
    Weak,
    /// The next update or fallback will fail.
    Broken,
}

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    text: String,
    hint: Option<String>,
}

#[derive(Serialize)]
struct DoctorView {
    version: u32,
    findings: Vec<Finding>,
}

fn render(to: &mut dyn Write, view: &DoctorView) -> io::Result<()> {
    // What matters most comes last: on a serial console the first lines scroll away.
    let mut findings: Vec<&Finding> = view.findings.iter().collect();
    findings.sort_by_key(|finding| finding.verdict);
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Ok => "ok    ",
            Verdict::Weak => "weak  ",
            Verdict::Broken => "BROKEN",
        };
        wrap(to, &format!("{mark} {:12} ", finding.what), &finding.text)?;
        if let Some(hint) = &finding.hint {
            wrap(to, &format!("{:19} -> ", ""), hint)?;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Exam {
    findings: Vec<Finding>,
}

impl Exam {
    fn ok(&mut self, what: &'static str, text: impl Into<String>) {
        self.findings.push(Finding { what, verdict: Verdict::Ok, text: text.into(), hint: None });
    }

    fn weak(&mut self, what: &'static str, text: impl Into<String>, hint: &'static str) {
        let text = text.into();
        self.findings.push(Finding {
            what,
            verdict: Verdict::Weak,
            text,
            hint: Some(hint.to_owned()),
        });
    }

    fn broken(&mut self, what: &'static str, text: impl Into<String>, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        self.findings.push(Finding { what, verdict: Verdict::Broken, text: text.into(), hint });
    }

    /// Takes the value of a step, or its failure as a finding; one that an earlier step met too is
    /// told once.
    fn take<T>(&mut self, what: &'static str, result: Result<T, Failure>) -> Option<T> {
        let failure = match result {
            Ok(value) => return Some(value),
            Err(failure) => failure,
        };
        if !self.is_told(&failure.chain()) {
            self.broken(what, failure.chain(), failure.hint().as_deref());
        }
        None
    }

    /// A warning carries its way out behind the text.
    fn is_told(&self, text: &str) -> bool {
        let rest = |finding: &Finding| text.strip_prefix(&finding.text).map(str::to_owned);
        let mut rests = self.findings.iter().filter_map(rest);
        rests.any(|rest| rest.is_empty() || rest.starts_with("; "))
    }

    fn examine(&mut self, context: &Context) {
        self.watchdog(context);
        self.data(context);
        let settings = self.take("settings", context.settings());
        let newest = settings.as_ref().and_then(|settings| self.recorder(context, settings));
        self.clock(context, newest);
        if let Some(settings) = settings {
            self.table(context, &settings);
        }
        self.environment(context);
        self.agent(context);
        if let Some(config) = self.take("system.conf", context.system_conf()) {
            self.keyring(context, &config);
            self.slots(context, &config);
            self.boot_state(context, &config);
            self.settings_without_effect(&config);
        }
    }

    fn settings_without_effect(&mut self, config: &SystemConfig) {
        for setting in config.unsupported() {
            let text = format!(
                "{} in [{}] is not supported: every install is refused",
                setting.key, setting.group
            );
            let hint = "remove the setting, or install with rauc itself";
            self.broken("system.conf", text, Some(hint));
        }
        for name in config.unused() {
            self.weak(
                "system.conf",
                format!("{name} has no effect here"),
                "remove it; what happened on this board is told by `atomix why`",
            );
        }
    }

    /// A clock that was set and lost says a time before what the board remembers.
    fn clock(&mut self, context: &Context, newest: Option<u64>) {
        match context.now.timestamp().unix_secs {
            Some(now) if newest.is_some_and(|newest| now.saturating_add(CLOCK_SLACK) < newest) => {
                let last = when(Timestamp { unix_secs: newest }).unwrap_or_default();
                self.weak(
                    "clock",
                    format!("is behind the flight recorder, whose newest record is of {last}"),
                    "set it: certificates and times on record go by it",
                );
            }
            Some(_) => self.ok("clock", "set"),
            None => self.weak(
                "clock",
                "was never set",
                "certificates are judged by the signing time until the clock is set",
            ),
        }
    }

    fn watchdog(&mut self, context: &Context) {
        let state = context.read_text(Path::new(WATCHDOG_STATE), ByteLen::kib(4));
        match state.ok().flatten().as_deref().map(str::trim) {
            Some("active") => self.ok("watchdog", "active"),
            Some(_) | None => self.weak(
                "watchdog",
                "is not active",
                "a hang needs a power cycle until it is enabled after the soak test",
            ),
        }
    }

    fn data(&mut self, context: &Context) {
        match context.files.list(Path::new("/data/atomix")) {
            Ok(names) if names.iter().any(|name| name == "provisioned") => {
                match Room::of_data(context).and_then(|room| room.trouble()) {
                    None => self.ok("data", "provisioned"),
                    Some((text, hint)) => self.weak("data", text, hint),
                }
            }
            Ok(_) => self.weak(
                "data",
                "/data/atomix/provisioned is missing",
                "the first boot has not finished, or /data is not mounted; updates work without",
            ),
            Err(cause) => self.broken("data", chain(&cause), None),
        }
    }

    /// Returns the time of the newest record that has one.
    fn recorder(&mut self, context: &Context, settings: &Settings) -> Option<u64> {
        let opened = context.recorder(settings, Access::ReadOnly);
        let recorder = self.take("recorder", opened)?;
        if let Some(lost) = recorder.warning() {
            let hint = "their records are lost, all others are told; if more blocks follow, replace \
                        the flash";
            self.weak("recorder", lost, hint);
        }
        let records = match recorder.entries() {
            Ok(records) => records,
            Err(cause) => {
                self.broken("recorder", chain(&cause), None);
                return None;
            }
        };
        match (records.len(), RecorderView::of(&recorder).something_else()) {
            // That they are lost is told above.
            (0, None) if recorder.unreadable() > 0 => {}
            (0, None) => self.weak(
                "recorder",
                "holds no records, and each boot makes one",
                "it was wiped, or its place in /etc/atomix/atomix.toml is wrong",
            ),
            (0, Some(other)) => self.weak(
                "recorder",
                format!("nothing in it is readable: {other}"),
                "its place in /etc/atomix/atomix.toml is wrong, or something else writes there; it \
                 takes the place over block by block",
            ),
            (count, _) if recorder.torn() > 0 => {
                self.ok("recorder", format!("{count} records, {} torn ones", recorder.torn()));
            }
            (count, _) => self.ok("recorder", format!("{count} records")),
        }
        records.iter().rev().find_map(|record| record.at.unix_secs)
    }

    fn table(&mut self, context: &Context, settings: &Settings) {
        let Some(table) = self.take("partitions", context.table(&settings.disk.device)) else {
            return;
        };
        match &table.health {
            TableHealth::Good => {
                self.ok(
                    "partitions",
                    format!("{} found, both tables agree", table.partitions.len()),
                );
            }
            damage @ (TableHealth::PrimaryDamaged(_)
            | TableHealth::BackupDamaged(_)
            | TableHealth::BackupMisplaced { .. }
            | TableHealth::BackupDiffers) => self.weak(
                "partitions",
                damage.to_string(),
                "run `atomix repart`; it writes both tables again",
            ),
        }
    }

    fn environment(&mut self, context: &Context) {
        let config = context.fw_env_config().map_err(|failure| {
            let Failure::FileAbsent { path, .. } = failure else { return failure };
            // Elsewhere the way out leads here.
            Failure::FileAbsent { path, hint: WRITE_FW_ENV }
        });
        let Some(config) = self.take("environment", config) else { return };
        let is_single = config.copies.len() == 1;
        if is_single {
            self.weak(
                "environment",
                "has a single copy",
                "a power cut while it is saved loses it; use two copies",
            );
        }
        let Some(store) = self.take("environment", context.env_store(Access::ReadOnly)) else {
            return;
        };
        match store.load() {
            Err(cause) => self.broken("environment", chain(&cause), cause.hint()),
            Ok(loaded) => {
                let warnings = loaded.warnings();
                if warnings.is_empty() && !is_single {
                    self.ok("environment", "two copies");
                }
                for warning in warnings {
                    self.weak("environment", warning, "`atomix uenv check` shows both copies");
                }
                let percent = loaded.env.used_bytes() * 100 / store.capacity().max(1);
                if percent > ENV_USED_PERCENT_MAX {
                    let text = format!("{percent} % of its size is used");
                    self.broken("environment", text, Some("remove variables that nobody needs"));
                } else {
                    self.ok("environment", format!("{percent} % of its size is used"));
                }
            }
        }
    }

    fn keyring(&mut self, context: &Context, config: &SystemConfig) {
        let path = config.keyring.as_ref().and_then(|keyring| keyring.path.as_deref());
        let Some(path) = path else {
            let hint = Some("without one no bundle can be trusted");
            return self.broken("keyring", "system.conf names none", hint);
        };
        let opened = context.keyring(path, KeyringOptions::default());
        let Some(keyring) = self.take("keyring", opened) else { return };
        let anchors =
            keyring.anchors().map_err(|source| Failure::Keyring { path: path.to_owned(), source });
        for anchor in self.take("keyring", anchors).unwrap_or_default() {
            if anchor.subject.contains("DEVELOPMENT") {
                self.weak(
                    "keyring",
                    format!("trusts a development key: {}", anchor.subject),
                    "anyone may have that key; production needs another keyring",
                );
            } else if expired(context.now.0, anchor.not_after) {
                let hint = Some("install a keyring with a certificate that is still valid");
                self.broken("keyring", format!("has expired: {}", anchor.subject), hint);
            } else {
                self.ok("keyring", anchor.subject.clone());
            }
        }
    }

    /// Slots of one class must be of one size, or an update that fits one does not fit the other.
    fn slots(&mut self, context: &Context, config: &SystemConfig) {
        if config.system.compatible == ROCK64.compatible {
            self.rock64_place(context);
        }
        let mut sizes: BTreeMap<&str, Vec<ByteLen>> = BTreeMap::new();
        for slot in config.slots.values() {
            match context.devices.open(&slot.device, Access::ReadOnly) {
                Ok(device) => sizes.entry(&slot.name.class).or_default().push(device.len()),
                Err(cause) => {
                    let text = format!("{}: {}", slot.name, chain(&cause));
                    // What may not be opened is there, and configured right.
                    let hint = if matches!(cause, StorageError::Open { .. }) {
                        Failure::Storage(cause).hint()
                    } else {
                        Some("compare system.conf with the partition table".to_owned())
                    };
                    self.broken("slots", text, hint.as_deref());
                }
            }
        }
        for (class, sizes) in sizes {
            if sizes.windows(2).all(|pair| pair.first() == pair.last()) {
                self.ok("slots", format!("{class}: {} of one size", sizes.len()));
            } else {
                let hint = "an update that fits one may not fit the other";
                self.weak("slots", format!("{class}: sizes differ"), hint);
            }
        }
    }

    /// On the board whose facts this program carries, the environment must lie where its U-Boot
    /// looks for it.
    fn rock64_place(&mut self, context: &Context) {
        match context.fw_env_config() {
            Ok(config) if config == ROCK64.fw_env_config() => {
                self.ok("fw_env", "matches this board's U-Boot");
            }
            Ok(_) => self.broken(
                "fw_env",
                "/etc/fw_env.config differs from where this board's U-Boot keeps it",
                Some("Linux and U-Boot would each keep an environment of their own"),
            ),
            // Told by the environment's own finding.
            Err(_) => {}
        }
    }

    fn boot_state(&mut self, context: &Context, config: &SystemConfig) {
        // One that ends meanwhile was still running when the rest was read.
        let before = running_install(&context.root);
        let opened = BootControl::open(context, Access::ReadOnly);
        let Some(control) = self.take("boot state", opened) else { return };
        let running = before.or_else(|| running_install(&context.root));
        for warning in control.warnings() {
            // The parts' own findings told of what the state came through.
            if self.is_told(warning) {
                continue;
            }
            self.weak("boot state", warning.clone(), "the next change of the state repairs it");
        }
        self.seals(context, config, control.stored());
        match control.booted() {
            Some(slot) => self.booted(running, control.stored(), slot),
            None => self.broken(
                "boot state",
                "the kernel command line names no slot",
                Some("the slot script must pass rauc.slot="),
            ),
        }
    }
}

impl Exam {
    /// A slot without its seal does not load, whatever its state says.
    fn seals(&mut self, context: &Context, config: &SystemConfig, state: &BootState) {
        for group in config.install_groups().unwrap_or_default() {
            let slot = group.slot_id;
            let is_complete = matches!(state.slot(slot).state, SlotState::Good | SlotState::Trying);
            // A device that cannot be read has its own finding.
            if is_complete && matches!(seal_health(context, &group), Ok(SealHealth::Broken)) {
                let text = format!(
                    "slot {slot} is {} and will not load: its seal is broken",
                    state.slot(slot).state
                );
                self.broken("boot state", text, Some("install a bundle into it"));
            }
        }
    }

    /// A fallback needs the other slot: known to be good, and in the order.
    fn booted(&mut self, installer: Option<u32>, state: &BootState, slot: SlotId) {
        let (running, other) = (state.slot(slot).state, state.slot(slot.other()).state);
        if running == SlotState::Bad {
            let hint = "mark it good if it serves, or install into the other slot and boot that";
            self.weak("boot state", format!("the booted slot {slot} is bad"), hint);
        } else if running == SlotState::Unknown {
            let hint = "`atomix boot mark-good` says what it is, once it is known to serve";
            self.weak("boot state", format!("the state of the booted slot {slot} is lost"), hint);
        } else {
            self.ok("boot state", format!("{slot} is {running}"));
        }
        // What is unknown is tried; that it is unknown has a finding with the cause.
        if let (Some(process), SlotState::Writing) = (installer, other) {
            let text = format!("an install into {} is running (process {process})", slot.other());
            self.ok("boot state", text);
        } else if other == SlotState::Writing {
            let text =
                format!("the install into {} is not finished: there is no fallback", slot.other());
            self.weak("boot state", text, "install again");
        } else if running == SlotState::Good && other == SlotState::Trying {
            // The trial falls back to what runs now.
            self.ok("boot state", format!("{} is trying; {slot} is its fallback", slot.other()));
        } else if !matches!(other, SlotState::Good | SlotState::Unknown) {
            let text = format!("slot {} is {other}: there is no fallback", slot.other());
            self.weak("boot state", text, "an update that proves itself makes one");
        }
        for id in SlotId::ALL {
            if state.slot(id).state == SlotState::Good && !state.order.contains(&id) {
                let text = format!("slot {id} is good and BOOT_ORDER does not name it");
                self.weak(
                    "boot state",
                    text,
                    "`atomix boot mark-active` it, and then the slot that is to boot next",
                );
            }
        }
    }
}

fn expired(now: UnixTime, not_after: UnixTime) -> bool {
    now > not_after
}
