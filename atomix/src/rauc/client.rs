// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asks the service over D-Bus, as `rauc status` and `rauc install` do. Whoever calls says which
//! of RAUC's words belong to a failure; here it is only its cause in a line.

use crate::rauc::env::{Bus, RaucEnv};
use crate::rauc::glib_order::in_order;
use crate::rauc::status_view::{RepositoryView, SlotView, StatusView, Variants, text};
use std::time::Duration;
use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::message::Message;
use zbus::zvariant::{DynamicType, OwnedValue};

/// The name of the service.
pub const SERVICE: &str = "de.pengutronix.rauc";
/// Its object.
pub const OBJECT: &str = "/";
/// Its interface.
pub const INSTALLER: &str = "de.pengutronix.rauc.Installer";
/// The interface of built-in polling.
pub const POLLER: &str = "de.pengutronix.rauc.Poller";

/// D-Bus's own interface for properties.
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// The interface of what RAUC has not.
pub const OWN_INSTALLER: &str = "de.atomix.Installer";

/// Longest wait for an answer. Methods are answered at once, or after the boot loader's programs
/// have ended: the first that does not is killed after a minute, and none is asked behind it. An
/// install is not waited for in this way.
const LONGEST_CALL: Duration = Duration::from_secs(90);

/// Longest wait for a mark. It tells the boot loader in several steps and then asks it about every
/// slot, and giving up would say nothing about what was marked: slow is better than unknown.
const LONGEST_MARK: Duration = Duration::from_secs(600);

/// A connection to the bus of the service.
pub struct Client {
    connection: Connection,
}

/// What an error says, without the name that D-Bus gave it.
#[must_use]
pub fn words(error: &zbus::Error) -> String {
    if let zbus::Error::MethodError(name, message, _) = error {
        return message.clone().unwrap_or_else(|| name.to_string());
    }
    if let zbus::Error::FDO(inner) = error
        && let zbus::fdo::Error::ZBus(error) = &**inner
    {
        return words(error);
    }
    error.to_string()
}

/// The way to the bus of the service.
///
/// # Errors
/// [`zbus::Error`] for an address that is none.
pub fn way_to_bus(env: &RaucEnv) -> zbus::Result<Builder<'static>> {
    match (&env.bus_address, env.bus) {
        (Some(address), _) => Builder::address(address.as_str()),
        (None, Bus::System) => Builder::system(),
        (None, Bus::Session) => Builder::session(),
    }
}

/// A way on which no answer is waited for longer: a service that hangs must not hang us.
fn bounded(way: Builder<'static>, longest_call: Duration) -> Builder<'static> {
    way.method_timeout(longest_call)
}

impl Client {
    /// Connects to a bus.
    ///
    /// # Errors
    /// The cause in a line.
    pub fn connect(env: &RaucEnv) -> Result<Self, String> {
        Self::connect_for(env, LONGEST_CALL)
    }

    /// Connects to a bus, to mark a slot.
    ///
    /// # Errors
    /// The cause in a line.
    pub fn connect_to_mark(env: &RaucEnv) -> Result<Self, String> {
        Self::connect_for(env, LONGEST_MARK)
    }

    fn connect_for(env: &RaucEnv, longest_call: Duration) -> Result<Self, String> {
        let connection = way_to_bus(env).and_then(|way| bounded(way, longest_call).build());
        Ok(Self { connection: connection.map_err(|error| words(&error))? })
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Not through a proxy: its calls, and the cache that it fills, have no limit of time.
    fn ask<B>(&self, interface: &str, method: &str, body: &B) -> zbus::Result<Message>
    where
        B: serde::Serialize + DynamicType,
    {
        self.connection.call_method(Some(SERVICE), OBJECT, Some(interface), method, body)
    }

    /// Calls a method of the service.
    ///
    /// # Errors
    /// The cause in a line.
    pub fn call<B, R>(&self, method: &str, body: &B) -> Result<R, String>
    where
        B: serde::Serialize + DynamicType,
        R: for<'d> zbus::zvariant::DynamicDeserialize<'d>,
    {
        let answer = self.ask(INSTALLER, method, body).map_err(|error| words(&error))?;
        answer.body().deserialize().map_err(|error| words(&error))
    }

    /// The properties of the service.
    ///
    /// # Errors
    /// The cause in a line.
    pub fn properties(&self) -> Result<Variants, String> {
        let answer = self.ask(PROPERTIES, "GetAll", &INSTALLER).map_err(|error| words(&error))?;
        answer.body().deserialize().map_err(|error| words(&error))
    }

    /// What can be done about what failed last; a service of RAUC's own does not know.
    pub fn hint(&self) -> Option<String> {
        let answer = self.ask(PROPERTIES, "Get", &(OWN_INSTALLER, "Hint"));
        let hint: OwnedValue = answer.ok()?.body().deserialize().ok()?;
        String::try_from(hint).ok().filter(|hint| !hint.is_empty())
    }

    /// Everything that `rauc status` shows. What the boot loader cannot tell is a warning.
    ///
    /// # Errors
    /// RAUC's line for it.
    pub fn status(&self, warn: &mut dyn FnMut(&str)) -> Result<StatusView, String> {
        let during =
            |method: &str, cause| format!("error calling D-Bus method \"{method}\": {cause}");
        // As RAUC: a service that cannot be reached is told of by the first call that needs it.
        let properties = self.properties().unwrap_or_default();
        let primary = match self.call::<_, String>("GetPrimary", &()) {
            Ok(primary) => Some(primary),
            Err(cause) => {
                warn(cause.trim_end());
                None
            }
        };
        let slots: Vec<(String, Variants)> =
            self.call("GetSlotStatus", &()).map_err(|cause| during("GetSlotStatus", cause))?;
        let repositories: Vec<Variants> = self
            .call("GetArtifactStatus", &())
            .map_err(|cause| during("GetArtifactStatus", cause))?;
        let slots = slots.into_iter().map(|(name, dict)| SlotView::read(name, &dict));
        let slots = in_order(slots.collect(), |slot: &SlotView| &slot.name);
        let repositories = repositories.iter().map(RepositoryView::read).collect();
        let property = |name| text(&properties, name).unwrap_or_default();
        Ok(StatusView {
            compatible: property("Compatible"),
            variant: property("Variant"),
            system_version: property("SystemVersion"),
            boot_slot: property("BootSlot"),
            primary,
            slots,
            repositories,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;
    use zbus::{AuthMechanism, Guid};

    #[test]
    fn a_service_that_hangs_is_not_waited_for_without_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || {
            let server = Builder::async_io_unix_stream(ours).server(Guid::generate()).unwrap();
            server.p2p().auth_mechanism(AuthMechanism::Anonymous).build().unwrap()
        });
        let way = Builder::async_io_unix_stream(theirs).p2p();
        let way = bounded(way.auth_mechanism(AuthMechanism::Anonymous), Duration::from_millis(300));
        let client = Client { connection: way.build().unwrap() };
        // Nobody serves the object, and nobody says so.
        let _server = server.join().unwrap();
        let begun = Instant::now();
        assert_eq!(client.hint(), None);
        assert!(client.properties().is_err());
        assert!(client.call::<_, String>("GetPrimary", &()).is_err());
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}
