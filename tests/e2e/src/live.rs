// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can a scenario do with its board, and what does it see? Everything is recorded for the
//! timeline, and every boot that reaches the guest is checked for units that failed.

use crate::board::QEMU;
use crate::guest::{Answer, Guest};
use crate::machine::Machine;
use crate::measures::Measure;
use crate::parts::provisioned::FIND_CARD_READER;
use crate::progress::say;
use crate::qemu::{Qemu, read_env};
use crate::timeline::{End, Event, Stage, Timeline, What, read_line, timeline};
use anyhow::{Context as _, Result, ensure};
use openssl::sha::Sha256;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long anything may take that is waited for; a busy machine is three times slower.
pub const WAIT: Duration = Duration::from_secs(300);

/// Bytes of a slot that are hashed at once.
const HASHED_BYTES: usize = 1 << 20;

/// A board in the hands of a scenario.
pub struct Board {
    /// What stays without power; what is changed in it counts from the next start on.
    pub machine: Machine,
    power: Option<Power>,
    begin: Instant,
    events: Vec<Event>,
    measured: Vec<Measure>,
    allowed: Vec<String>,
}

/// What is there while the power is on.
struct Power {
    qemu: Qemu,
    guest: Guest,
    /// Whether the agent answers in this boot, as far as the scenario has waited for it.
    up: bool,
    /// When the selector chose last, in seconds since the power came.
    selected_at: f64,
}

impl Board {
    /// A board that is off; `allowed` units may fail.
    #[must_use]
    pub fn new(machine: Machine, allowed: Vec<String>) -> Self {
        let (events, measured) = (Vec::new(), Vec::new());
        Self { machine, power: None, begin: Instant::now(), events, measured, allowed }
    }

    fn now(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    fn record(&mut self, what: What) {
        let secs = self.now();
        self.events.push(Event { secs, what });
    }

    fn power(&mut self) -> Result<&mut Power> {
        self.power.as_mut().context("the board is off")
    }

    /// Something worth a mark in the timeline.
    pub fn note(&mut self, what: &str) {
        say(&format!("{:7.1} s {what}", self.now()));
        self.record(What::Note(what.to_owned()));
    }

    /// Keeps a time that the run is to report.
    pub fn measure(&mut self, what: &'static str, secs: f64) {
        self.measured.push(Measure::secs(what, secs));
    }

    /// Switches the power on and waits for nothing. What ran loses its power first.
    ///
    /// # Errors
    /// When the emulator does not start.
    pub fn switch_on(&mut self) -> Result<()> {
        self.cut();
        self.record(What::PowerOn);
        let qemu = self.machine.power_on()?;
        let guest = self.machine.connect(&qemu)?;
        self.power = Some(Power { qemu, guest, up: false, selected_at: 0.0 });
        Ok(())
    }

    /// Lets a board go on that was saved while slot A ran.
    ///
    /// # Errors
    /// When it does not.
    pub fn resume(&mut self) -> Result<()> {
        let qemu = self.machine.power_on()?;
        let guest = self.machine.connect(&qemu)?;
        self.power = Some(Power { qemu, guest, up: true, selected_at: 0.0 });
        // Its clock stood still meanwhile.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        self.told(&format!("{FIND_CARD_READER}; date -s @{now}"))?;
        self.record(What::Resumed("A".to_owned()));
        say(&format!("{:7.1} s slot A goes on", self.now()));
        self.check_units()
    }

    /// Cuts the power, if it is on: the emulator is killed.
    pub fn cut(&mut self) {
        if let Some(mut power) = self.power.take() {
            power.qemu.cut();
            self.harvest(&power);
            self.record(What::Ended(End::Cut));
        }
    }

    /// Switches off in order.
    ///
    /// # Errors
    /// When the guest does not do it.
    pub fn power_off(&mut self) -> Result<()> {
        self.check_units()?;
        let mut power = self.power.take().context("the board is off")?;
        power.guest.start("systemctl poweroff")?;
        let off = power.qemu.await_off(WAIT);
        self.harvest(&power);
        self.record(What::Ended(End::Off));
        off
    }

    /// Switches the power on; the selector must say this, and the guest come up. What ran loses
    /// its power first.
    ///
    /// # Errors
    /// When it does not.
    pub fn power_on(&mut self, selected: &str) -> Result<()> {
        self.switch_on()?;
        self.selected(selected)?;
        self.guest_up()
    }

    /// Reboots in order; the selector must say this, and the guest come up.
    ///
    /// # Errors
    /// When it does not.
    pub fn reboot(&mut self, selected: &str) -> Result<()> {
        self.check_units()?;
        self.start("systemctl reboot")?;
        self.selected(selected)?;
        self.guest_up()
    }

    /// Waits until the selector says `atomix: slot <this>`, such as `B, trying`.
    ///
    /// # Errors
    /// When it says something else, or nothing.
    pub fn selected(&mut self, wanted: &str) -> Result<()> {
        let before = self.expect("atomix: slot ");
        before.with_context(|| format!("the selector should say {wanted:?}"))?;
        let power = self.power()?;
        let said = power.qemu.serial.expect("\n", WAIT)?;
        power.up = false;
        power.selected_at = power.qemu.serial.found_at();
        ensure!(said.starts_with(wanted), "the selector says {said:?}, not {wanted:?}");
        say(&format!("{:7.1} s selector: {said}", self.now()));
        Ok(())
    }

    /// Waits until the serial line says this, and returns what came before it.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn expect(&mut self, wanted: &str) -> Result<String> {
        Ok(self.expect_any(&[wanted], WAIT)?.1)
    }

    /// As [`Board::expect`], for several: which one came.
    ///
    /// # Errors
    /// When none does in time.
    pub fn expect_any(&mut self, wanted: &[&str], within: Duration) -> Result<(usize, String)> {
        let power = self.power()?;
        let found = power.qemu.serial.expect_any(wanted, within)?;
        if wanted.get(found.0).is_some_and(|text| text.starts_with("atomix: slot ")) {
            power.up = false;
            power.selected_at = power.qemu.serial.found_at();
        }
        Ok(found)
    }

    /// Types on the serial line.
    ///
    /// # Errors
    /// When the board is off.
    pub fn type_text(&mut self, text: &str) -> Result<()> {
        self.power()?.qemu.serial.send(text)
    }

    /// Everything that the serial line said since the power came.
    ///
    /// # Errors
    /// When the board is off.
    pub fn heard(&mut self) -> Result<String> {
        Ok(self.power()?.qemu.serial.text())
    }

    /// Waits for the agent of the boot that runs, and checks its units.
    ///
    /// # Errors
    /// When it does not come up, or a unit has failed.
    pub fn guest_up(&mut self) -> Result<()> {
        let power = self.power()?;
        power.guest.await_ready(power.selected_at, WAIT)?;
        power.up = true;
        say(&format!("{:7.1} s guest is up", self.now()));
        self.check_units()
    }

    /// Runs a command of one line in the guest.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub fn run(&mut self, command: &str) -> Result<Answer> {
        self.power()?.guest.run(command)
    }

    /// What a command prints; it must succeed.
    ///
    /// # Errors
    /// When it does not.
    pub fn told(&mut self, command: &str) -> Result<String> {
        self.exits(command, 0)
    }

    /// What a command prints; it must end with this exit code.
    ///
    /// # Errors
    /// When it does not.
    pub fn exits(&mut self, command: &str, code: i32) -> Result<String> {
        let answer = self.run(command)?;
        ensure!(answer.exit == code, "{command}: exit {}\n{}", answer.exit, answer.printed);
        Ok(answer.printed)
    }

    /// Runs a command again and again until it succeeds.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn run_until(&mut self, command: &str) -> Result<String> {
        Ok(self.power()?.guest.run_until(command, WAIT)?.printed)
    }

    /// Starts a command whose end nobody waits for.
    ///
    /// # Errors
    /// When the guest is gone.
    pub fn start(&mut self, command: &str) -> Result<()> {
        self.power()?.guest.start(command)
    }

    /// A variable of the environment, as libubootenv reads it in the guest.
    ///
    /// # Errors
    /// When it is not set.
    pub fn variable(&mut self, name: &str) -> Result<String> {
        Ok(self.told(&format!("fw_printenv -n {name}"))?.trim().to_owned())
    }

    /// The environment on the card, read from outside; nothing when no copy is valid.
    #[must_use]
    pub fn environment(&self) -> Option<BTreeMap<String, String>> {
        let env = read_env(&self.machine.card())?;
        Some(env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Both copies of the environment as they are on the card, whole or not.
    ///
    /// # Errors
    /// When the card cannot be read.
    pub fn environment_bytes(&self) -> Result<Vec<u8>> {
        let card = File::open(self.machine.card())?;
        let mut all = Vec::new();
        for offset in QEMU.flash.env_offsets {
            let mut copy = vec![0; usize::try_from(QEMU.flash.env_bytes)?];
            card.read_exact_at(&mut copy, offset)?;
            all.extend(copy);
        }
        Ok(all)
    }

    /// Digest of a partition's content, read from outside.
    ///
    /// # Errors
    /// When the board has no such partition.
    pub fn digest_of(&self, label: &str) -> Result<String> {
        let named = QEMU.partitions.iter().find(|one| one.label == label);
        let place = named.with_context(|| format!("no partition {label}"))?;
        let mut left = place.size.with_context(|| format!("{label} has no fixed size"))?.get();
        let (mut at, mut hash) = (place.start.get(), Sha256::new());
        let disk = File::open(self.machine.disk())?;
        let mut buffer = vec![0; HASHED_BYTES];
        while left > 0 {
            let len = usize::try_from(left).unwrap_or(HASHED_BYTES).min(HASHED_BYTES);
            let piece = buffer.get_mut(..len).unwrap_or_default();
            disk.read_exact_at(piece, at)?;
            hash.update(piece);
            (at, left) = (at + len as u64, left - len as u64);
        }
        Ok(hex::encode(hash.finish()))
    }

    /// Overwrites a part of the disk from outside; the guest may have it in memory.
    ///
    /// # Errors
    /// When the board has no such partition.
    pub fn overwrite(&self, label: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        let named = QEMU.partitions.iter().find(|one| one.label == label);
        let place = named.with_context(|| format!("no partition {label}"))?;
        let disk = OpenOptions::new().write(true).open(self.machine.disk())?;
        disk.write_all_at(bytes, place.start.get() + offset)?;
        Ok(())
    }

    /// Overwrites environment copies; the power is cut for it.
    ///
    /// # Errors
    /// When there is no card.
    pub fn corrupt(&mut self, copies: &[usize]) -> Result<()> {
        self.cut();
        let card = OpenOptions::new().write(true).open(self.machine.card())?;
        for copy in copies {
            let offset = QEMU.flash.env_offsets.get(*copy).context("two copies")?;
            card.write_all_at(&[0x5a; 512], offset + 64)?;
        }
        self.note(&format!("environment copies {copies:?} overwritten"));
        Ok(())
    }

    /// Mounts what is plugged in at `/run/stick`.
    ///
    /// # Errors
    /// When that fails.
    pub fn mount_stick(&mut self) -> Result<()> {
        let mount = "mkdir -p /run/stick; mountpoint -q /run/stick || mount -r /dev/vdb /run/stick";
        self.told(mount).map(drop)
    }

    /// Installs the update that is plugged in.
    ///
    /// # Errors
    /// When it is refused or fails.
    pub fn install(&mut self) -> Result<()> {
        self.install_bundle("update.raucb").map(drop)
    }

    /// Installs a bundle that is plugged in, and returns what that prints.
    ///
    /// # Errors
    /// As [`Board::install`].
    pub fn install_bundle(&mut self, name: &str) -> Result<String> {
        self.mount_stick()?;
        let begin = Instant::now();
        let printed = self.told(&format!("atomix install /run/stick/{name}"))?;
        self.measure("install in the guest", begin.elapsed().as_secs_f64());
        self.note(&format!("installed {name}"));
        Ok(printed)
    }

    /// Waits for the verifier's verdict on the running slot.
    ///
    /// # Errors
    /// When it does not confirm.
    pub fn await_confirmation(&mut self) -> Result<()> {
        self.run_until("atomix boot is-confirmed")?;
        self.record(What::Reached(Stage::Confirmed));
        say(&format!("{:7.1} s confirmed", self.now()));
        Ok(())
    }

    /// No unit has failed beside those that the scenario allows to.
    ///
    /// # Errors
    /// When one has; with what it said.
    pub fn check_units(&mut self) -> Result<()> {
        let failed = self.told("systemctl --failed --no-legend --plain --no-pager")?;
        let names = failed.lines().filter_map(|line| line.split_whitespace().next());
        let unexpected: Vec<&str> =
            names.filter(|name| !self.allowed.iter().any(|allowed| allowed == name)).collect();
        if let Some(name) = unexpected.first() {
            let log = format!("journalctl -b --no-pager -n 20 -u {name}");
            let said = self.run(&log)?.printed;
            anyhow::bail!("failed units: {}\n{said}", unexpected.join(", "));
        }
        Ok(())
    }

    /// As [`Board::check_units`], where a guest is up.
    ///
    /// # Errors
    /// As [`Board::check_units`].
    pub fn check_units_if_up(&mut self) -> Result<()> {
        match &self.power {
            Some(power) if power.up => self.check_units(),
            Some(_) | None => Ok(()),
        }
    }

    /// The serial line and the agent's port, for a person.
    ///
    /// # Errors
    /// When the board is off.
    pub fn lines(&mut self) -> Result<(&mut Qemu, &mut Guest)> {
        let power = self.power()?;
        Ok((&mut power.qemu, &mut power.guest))
    }

    /// What the lines of a power cycle tell.
    fn harvest(&mut self, power: &Power) {
        let offset = power.qemu.start.saturating_duration_since(self.begin).as_secs_f64();
        for line in power.qemu.serial.lines() {
            if let Some(what) = read_line(&line.text, line.note.as_deref()) {
                self.events.push(Event { secs: offset + line.secs, what });
            }
        }
        for secs in power.guest.readiness() {
            let what = What::Reached(Stage::Agent);
            self.events.push(Event { secs: offset + secs, what });
        }
    }

    /// Ends it all: what stays, what happened, what was measured.
    #[must_use]
    pub fn end(mut self) -> (Machine, Timeline, Vec<Measure>) {
        let over = self.now();
        if let Some(mut power) = self.power.take() {
            power.qemu.cut();
            self.harvest(&power);
        }
        (self.machine, timeline(self.events, over), self.measured)
    }
}
