// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interface `de.pengutronix.rauc.Poller`, which is there only where polling is configured.

use crate::rauc::bus_installer::Fault;
use crate::rauc::client::POLLER;
use crate::rauc::dict::dict_to_variants;
use crate::rauc::poller::{PollChange, PollDesk};
use crate::rauc::service::property_changed;
use crate::rauc::status_view::Variants;
use std::sync::Arc;
use zbus::blocking::Connection;
use zbus::interface;

/// The interface.
pub struct BusPoller {
    polls: Arc<PollDesk>,
}

impl BusPoller {
    /// The interface of `polls`.
    #[must_use]
    pub fn new(polls: Arc<PollDesk>) -> Self {
        Self { polls }
    }
}

#[interface(name = "de.pengutronix.rauc.Poller")]
impl BusPoller {
    /// Has it polled soon.
    async fn poll(&self) -> Result<(), Fault> {
        let asked = self.polls.poll_soon().await;
        asked.ok_or_else(|| Fault("the service is ending".to_owned()))
    }

    /// When it is polled next, in microseconds after the boot; 0 for never again.
    #[zbus(property)]
    fn next_poll(&self) -> i64 {
        self.polls.next_poll()
    }

    /// What is known from the polls so far.
    #[zbus(property)]
    fn status(&self) -> zbus::fdo::Result<Variants> {
        dict_to_variants(&self.polls.status())
            .map_err(|error| zbus::fdo::Error::Failed(error.to_string()))
    }
}

/// Tells the bus of a change.
///
/// # Errors
/// [`zbus::Error`] when the bus is gone.
pub fn announce_poll(connection: &Connection, change: &PollChange) -> zbus::Result<()> {
    match change {
        PollChange::Status(status) => {
            let status = dict_to_variants(status)?;
            property_changed(connection, POLLER, "Status", status.into())
        }
        PollChange::NextPoll(next) => {
            property_changed(connection, POLLER, "NextPoll", (*next).into())
        }
    }
}
