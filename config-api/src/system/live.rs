// SPDX-License-Identifier: MIT OR Apache-2.0
//! An activation's services, on this machine.

use super::tools::Programs;
use crate::activate::{ApplyStep, ServiceError, ServiceUnit, Services};
use crate::appliers::{ApplierError, UnitMode, Zones, read_settings};
use crate::promote::{Generation, Moment, Owners};
use programs::ProgramError;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::tree::{HostTrees, Trees};
use storage::{ByteLen, Files, FilesError};
use verifier::{Systemd, UnitJob, UnitStatus};

/// Far above what a generation's own files have.
pub(super) const MAX_FILE_BYTES: ByteLen = ByteLen::new(4 * 1024 * 1024);
/// Between two questions about a job.
const POLL: Duration = Duration::from_millis(200);

/// What this machine has.
pub struct SystemParts {
    /// Its root.
    pub root: HostTrees,
    /// `/data`.
    pub data: HostTrees,
    /// The kernel's own files.
    pub files: Box<dyn Files>,
    /// Its programs.
    pub programs: Box<dyn Programs>,
    /// The system's manager of units.
    pub manager: Systemd,
    /// That of the account without privileges, once it runs.
    pub user_manager: Systemd,
    /// The name of that account.
    pub app_user: String,
    /// Whose entries are.
    pub owners: Owners,
    /// Which interface is on which side.
    pub zones: Zones,
    /// The directory of login shells.
    pub shells: String,
    /// Whether the operator has confirmed.
    pub is_confirmed: Box<dyn FnMut() -> bool + Send>,
}

/// [`Services`] of this machine.
pub struct LiveServices {
    pub(super) parts: SystemParts,
}

/// Makes a failed act one of the services'.
pub(super) trait Failed<T> {
    fn failed(self, act: &str) -> Result<T, ServiceError>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> Failed<T> for Result<T, E> {
    fn failed(self, act: &str) -> Result<T, ServiceError> {
        self.map_err(|error| ServiceError::new(act, error))
    }
}

impl LiveServices {
    /// The services of a machine.
    #[must_use]
    pub const fn new(parts: SystemParts) -> Self {
        Self { parts }
    }

    /// A JSON file of a generation; `None` when it has none of that name.
    pub(super) fn settings<T: DeserializeOwned>(
        &self,
        generation: Generation,
        name: &str,
    ) -> Result<Option<T>, ApplierError> {
        let path = generation.path().join(name);
        let bytes = self.parts.data.read(&path, MAX_FILE_BYTES)?;
        bytes.map(|bytes| read_settings(name, &bytes)).transpose()
    }

    /// The same, of a file that every generation has.
    pub(super) fn own_settings<T: DeserializeOwned>(
        &self,
        generation: Generation,
        name: &str,
    ) -> Result<T, ServiceError> {
        let missing = || ApplierError::Missing { name: name.to_owned() };
        let found = self.settings(generation, name).and_then(|found| found.ok_or_else(missing));
        found.failed("cannot read the configuration")
    }

    pub(super) fn run(
        &mut self,
        argv: &[&str],
        input: &[u8],
        until: Moment,
    ) -> Result<Vec<u8>, ProgramError> {
        let secs = until.0.saturating_sub(Services::now(self).0).max(1);
        self.parts.programs.run(argv, input, Duration::from_secs(secs))
    }

    pub(super) fn manager(&mut self, mode: UnitMode) -> &mut Systemd {
        match mode {
            UnitMode::Rootful => &mut self.parts.manager,
            UnitMode::Rootless => &mut self.parts.user_manager,
        }
    }

    /// Has a job begun. How often the unit failed with the files before is no reason to refuse it a
    /// start with those of now.
    pub(super) fn begin(
        &mut self,
        mode: UnitMode,
        job: UnitJob,
        unit: &str,
    ) -> Result<(), ServiceError> {
        let act = format!("cannot have systemd act on {unit}");
        let manager = self.manager(mode);
        if job != UnitJob::Stop {
            manager.forget_failures(unit).failed(&act)?;
        }
        manager.begin(job, unit).failed(&act)
    }

    /// Has a job done and waits for it.
    pub(super) fn job(
        &mut self,
        mode: UnitMode,
        job: UnitJob,
        unit: &str,
        until: Moment,
    ) -> Result<(), ServiceError> {
        self.begin(mode, job, unit)?;
        let act = format!("cannot have systemd act on {unit}");
        while self.manager(mode).is_busy(unit).failed(&act)? {
            if Services::now(self) >= until {
                return Err(ServiceError::new(
                    act,
                    FilesError::Read {
                        path: PathBuf::from(unit),
                        source: std::io::ErrorKind::TimedOut.into(),
                    },
                ));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    pub(super) fn kernel_file(&self, path: &str) -> Result<Option<Vec<u8>>, ServiceError> {
        self.parts.files.read(Path::new(path), MAX_FILE_BYTES).failed("cannot ask the kernel")
    }
}

impl Services for LiveServices {
    fn apply(
        &mut self,
        step: ApplyStep,
        generation: Generation,
        until: Moment,
    ) -> Result<(), ServiceError> {
        match step {
            ApplyStep::Users => self.apply_users(generation, until),
            ApplyStep::Network => self.apply_network(generation, until),
            ApplyStep::Firewall => self.apply_firewall(Some(generation), until),
            ApplyStep::Quadlets => self.apply_quadlets(Some(generation), until),
            ApplyStep::Updates => self.apply_updates(Some(generation), until),
        }
    }

    /// Accounts and addresses stay: whoever provisions the device next replaces them, and until
    /// then the device should be reached where it was. What cannot be stopped leaves no opening.
    fn discard(&mut self) -> Result<(), ServiceError> {
        const DISCARD_SECS: u64 = 120;
        let until = Services::now(self).plus_secs(DISCARD_SECS);
        let agents = self.apply_updates(None, until);
        let stopped = self.apply_quadlets(None, until);
        self.apply_firewall(None, until).and(stopped).and(agents)
    }

    fn restart(&mut self, unit: &ServiceUnit) -> Result<(), ServiceError> {
        self.begin(unit.mode, UnitJob::Restart, &unit.name)
    }

    fn status(&mut self, unit: &ServiceUnit) -> Result<UnitStatus, ServiceError> {
        self.manager(unit.mode).unit(&unit.name).failed("no answer")
    }

    fn is_confirmed(&mut self) -> bool {
        (self.parts.is_confirmed)()
    }

    /// A kernel that does not tell the time ends every wait.
    fn now(&mut self) -> Moment {
        super::facts::read_boot_facts(&*self.parts.files)
            .map_or(Moment(u64::MAX), |facts| facts.now)
    }

    fn wait_until(&mut self, until: Moment) {
        let secs = until.0.saturating_sub(Services::now(self).0);
        std::thread::sleep(Duration::from_secs(secs));
    }
}
