// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asks systemd about units, over D-Bus and never through a program's output; and, for those who
//! activate a configuration, asks it to do something about one. No call waits for a unit.

use crate::system::{ActiveState, ProbeError, UnitStatus};
use std::time::Duration;
use zbus::blocking::{Connection, Proxy, connection};
use zbus::proxy::CacheProperties;
use zbus::zvariant::OwnedObjectPath;

const SERVICE: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE_UNIT: &str = "org.freedesktop.systemd1.Service";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
/// A bus that hangs must not hang the verification.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// What systemd can be asked to do about a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitJob {
    /// Start it, if it does not run.
    Start,
    /// Stop it.
    Stop,
    /// Stop it, if it runs, and start it.
    Restart,
    /// Start it anew, if it runs.
    TryRestart,
}

impl UnitJob {
    const fn method(self) -> &'static str {
        match self {
            Self::Start => "StartUnit",
            Self::Stop => "StopUnit",
            Self::Restart => "RestartUnit",
            Self::TryRestart => "TryRestartUnit",
        }
    }
}

/// One manager of units. The connection is made when first needed and made anew after it failed.
pub struct Systemd {
    address: String,
    timeout: Duration,
    connection: Option<Connection>,
}

impl Systemd {
    /// The manager on the bus at `address`.
    #[must_use]
    pub fn new(address: String) -> Self {
        Self { address, timeout: CALL_TIMEOUT, connection: None }
    }

    /// The same, with another time for a call to be answered.
    #[must_use]
    pub fn answering_within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How a unit is.
    ///
    /// # Errors
    /// [`ProbeError::Bus`], [`ProbeError::Unit`].
    pub fn unit(&mut self, unit: &str) -> Result<UnitStatus, ProbeError> {
        self.call(unit, |connection| read_status(connection, unit))
    }

    /// Has a job begun; its end is not waited for.
    ///
    /// # Errors
    /// [`ProbeError::Bus`], [`ProbeError::Unit`].
    pub fn begin(&mut self, job: UnitJob, unit: &str) -> Result<(), ProbeError> {
        self.call(unit, |connection| {
            let path = OwnedObjectPath::try_from(MANAGER_PATH)?;
            let _job: OwnedObjectPath =
                proxy(connection, path, MANAGER)?.call(job.method(), &(unit, "replace"))?;
            Ok(())
        })
    }

    /// Has what failed before forgotten, and how often it was started: systemd refuses to start what
    /// it started too often, even when what was wrong with it is mended.
    ///
    /// # Errors
    /// [`ProbeError::Bus`], [`ProbeError::Unit`].
    pub fn forget_failures(&mut self, unit: &str) -> Result<(), ProbeError> {
        self.call(unit, |connection| {
            let path = OwnedObjectPath::try_from(MANAGER_PATH)?;
            match proxy(connection, path, MANAGER)?.call("ResetFailedUnit", &(unit,)) {
                // systemd has no unit in memory that neither runs, nor failed, nor is named by
                // another: of such a one it remembers nothing.
                Err(zbus::Error::MethodError(name, ..)) if name.as_str() == NO_SUCH_UNIT => Ok(()),
                answer => answer,
            }
        })
    }

    /// Whether a job of the unit is waiting or running.
    ///
    /// # Errors
    /// [`ProbeError::Bus`], [`ProbeError::Unit`].
    pub fn is_busy(&mut self, unit: &str) -> Result<bool, ProbeError> {
        self.call(unit, |connection| {
            let path = OwnedObjectPath::try_from(MANAGER_PATH)?;
            let path: OwnedObjectPath =
                proxy(connection, path, MANAGER)?.call("LoadUnit", &(unit,))?;
            let (job, _): (u32, OwnedObjectPath) =
                proxy(connection, path, UNIT)?.get_property("Job")?;
            Ok(job != 0)
        })
    }

    /// Has the manager read its units again.
    ///
    /// # Errors
    /// [`ProbeError::Bus`], [`ProbeError::Unit`].
    pub fn reload(&mut self) -> Result<(), ProbeError> {
        self.call("its units", |connection| {
            let path = OwnedObjectPath::try_from(MANAGER_PATH)?;
            proxy(connection, path, MANAGER)?.call("Reload", &())
        })
    }

    fn call<T>(
        &mut self,
        unit: &str,
        act: impl FnOnce(&Connection) -> zbus::Result<T>,
    ) -> Result<T, ProbeError> {
        let connection = self.connect()?;
        act(&connection).map_err(|source| {
            self.connection = None;
            ProbeError::Unit { unit: unit.to_owned(), source: Box::new(source) }
        })
    }

    fn connect(&mut self) -> Result<Connection, ProbeError> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let connection = connection::Builder::address(self.address.as_str())
            .and_then(|builder| builder.method_timeout(self.timeout).build())
            .map_err(|source| ProbeError::Bus {
                address: self.address.clone(),
                source: Box::new(source),
            })?;
        self.connection = Some(connection.clone());
        Ok(connection)
    }
}

/// Values are read fresh each time: a cached one could hide a restart between two samples.
fn proxy<'a>(
    connection: &Connection,
    path: OwnedObjectPath,
    interface: &'a str,
) -> zbus::Result<Proxy<'a>> {
    zbus::blocking::proxy::Builder::new(connection)
        .destination(SERVICE)?
        .path(path)?
        .interface(interface)?
        .cache_properties(CacheProperties::No)
        .build()
}

fn read_status(connection: &Connection, unit: &str) -> zbus::Result<UnitStatus> {
    let manager_path = OwnedObjectPath::try_from(MANAGER_PATH)?;
    // LoadUnit and not GetUnit: a unit that has not run is not in memory, yet it exists.
    let path: OwnedObjectPath =
        proxy(connection, manager_path, MANAGER)?.call("LoadUnit", &(unit,))?;
    let properties = proxy(connection, path.clone(), UNIT)?;
    let load: String = properties.get_property("LoadState")?;
    let active: String = properties.get_property("ActiveState")?;
    let sub: String = properties.get_property("SubState")?;
    let left_inactive: u64 = properties.get_property("InactiveExitTimestampMonotonic")?;
    let restarts = if unit.ends_with(".service") && load != "not-found" {
        proxy(connection, path, SERVICE_UNIT)?.get_property("NRestarts")?
    } else {
        0
    };
    Ok(UnitStatus {
        exists: load != "not-found",
        active: ActiveState::parse(&active),
        was_started: left_inactive != 0,
        sub,
        restarts,
    })
}
