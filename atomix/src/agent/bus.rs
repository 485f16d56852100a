// SPDX-License-Identifier: MIT OR Apache-2.0
//! What do the other services of this device say? Asked on the system's bus where there is one, with
//! a limit of time; none is started by being asked.

use crate::context::Context;
use std::path::Path;
use std::time::Duration;
use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::message::Message;
use zbus::zvariant::DynamicType;

/// Where the system's bus listens.
const BUS_PATH: &str = "/run/dbus/system_bus_socket";

/// A service that says nothing for so long says nothing.
const LONGEST_CALL: Duration = Duration::from_secs(5);

/// The bus.
pub struct Bus {
    connection: Connection,
}

impl Bus {
    /// Connects; nothing where this device has none.
    ///
    /// # Errors
    /// [`zbus::Error`] when somebody listens and does not speak.
    pub fn of(context: &Context) -> zbus::Result<Option<Self>> {
        let unusable = |odd: storage::FilesError| zbus::Error::Address(odd.to_string());
        let socket = context.files.resolve(Path::new(BUS_PATH)).map_err(unusable)?;
        if !socket.exists() {
            return Ok(None);
        }
        let way = Builder::address(format!("unix:path={}", socket.display()).as_str())?;
        Ok(Some(Self { connection: way.method_timeout(LONGEST_CALL).build()? }))
    }

    /// Calls a method of a service that runs; nothing where it does not.
    ///
    /// # Errors
    /// [`zbus::Error`].
    pub fn ask<B>(
        &self,
        service: &str,
        (object, interface, method): (&str, &str, &str),
        body: &B,
    ) -> zbus::Result<Option<Message>>
    where
        B: serde::Serialize + DynamicType,
    {
        const DAEMON: &str = "org.freedesktop.DBus";
        let owned = self.connection.call_method(
            Some(DAEMON),
            "/org/freedesktop/DBus",
            Some(DAEMON),
            "NameHasOwner",
            &service,
        )?;
        if !owned.body().deserialize::<bool>()? {
            return Ok(None);
        }
        self.connection.call_method(Some(service), object, Some(interface), method, body).map(Some)
    }
}
