// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asks systemd about units, over D-Bus and never through a program's output.

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
/// A bus that hangs must not hang the verification.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that is made when first needed and made anew after it failed.
pub(crate) struct Systemd {
    address: String,
    connection: Option<Connection>,
}

impl Systemd {
    pub(crate) fn new(address: String) -> Self {
        Self { address, connection: None }
    }

    pub(crate) fn unit(&mut self, unit: &str) -> Result<UnitStatus, ProbeError> {
        let connection = self.connect()?;
        read_status(&connection, unit).map_err(|source| {
            self.connection = None;
            ProbeError::Unit { unit: unit.to_owned(), source: Box::new(source) }
        })
    }

    fn connect(&mut self) -> Result<Connection, ProbeError> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let connection = connection::Builder::address(self.address.as_str())
            .and_then(|builder| builder.method_timeout(CALL_TIMEOUT).build())
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
