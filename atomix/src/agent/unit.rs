// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does a unit of the agent's run? As the service manager says; nothing is started by asking.

use super::bus::Bus;
use crate::context::Context;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

pub(super) const SYSTEMD: &str = "org.freedesktop.systemd1";

/// A unit in the service manager's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitState {
    /// `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, …
    pub active: String,
}

impl UnitState {
    /// Of a unit; nothing where there is no service manager on the bus, or no bus.
    ///
    /// # Errors
    /// [`zbus::Error`] where it does not answer.
    pub fn of(context: &Context, unit: &str) -> zbus::Result<Option<Self>> {
        let Some(bus) = Bus::of(context)? else { return Ok(None) };
        let load = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "LoadUnit");
        let Some(found) = bus.ask(SYSTEMD, load, &unit)? else { return Ok(None) };
        let path: OwnedObjectPath = found.body().deserialize()?;
        let word = |name: &str| -> zbus::Result<Option<String>> {
            let get = (path.as_str(), "org.freedesktop.DBus.Properties", "Get");
            let asked = ("org.freedesktop.systemd1.Unit", name);
            let Some(answer) = bus.ask(SYSTEMD, get, &asked)? else { return Ok(None) };
            let value: OwnedValue = answer.body().deserialize()?;
            Ok(String::try_from(value).ok())
        };
        Ok(word("LoadState")?.zip(word("ActiveState")?).map(|(load, active)| Self { load, active }))
    }
}
