// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is the way out paid by the byte, and does somebody want the device left running? What the owner
//! wrote into the image counts first, then what NetworkManager knows; systemd-networkd knows nothing
//! of it. Who inhibits a restart is logind's to say.

use super::bus::Bus;
use crate::context::Context;
use agents::Link;
use std::path::Path;
use storage::{ByteLen, chain};
use zbus::zvariant::OwnedValue;

/// The owner's word: `yes` or `no`.
const METERED_PATH: &str = "/etc/atomix/metered";
const MAX_WORD: ByteLen = ByteLen::kib(1);

const NETWORK_MANAGER: &str = "org.freedesktop.NetworkManager";
const LOGIND: &str = "org.freedesktop.login1";

/// An inhibitor as logind lists it: what, who, why, mode, user, process.
type Inhibitor = (String, String, String, String, u32, u32);

/// What is known of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkKnown {
    /// What a byte costs.
    pub link: Link,
    /// How that is known, in words.
    pub how: String,
}

impl LinkKnown {
    /// Asks.
    #[must_use]
    pub fn of(context: &Context) -> Self {
        let known = |link, how: String| Self { link, how };
        match context.read_text(Path::new(METERED_PATH), MAX_WORD) {
            Ok(None) => {}
            Ok(Some(text)) => match text.trim() {
                "yes" => return known(Link::Metered, format!("metered, by {METERED_PATH}")),
                "no" => return known(Link::Flat, format!("flat, by {METERED_PATH}")),
                _ => {
                    let how = format!("taken for metered: {METERED_PATH} is neither yes nor no");
                    return known(Link::Metered, how);
                }
            },
            Err(failure) => {
                let how = format!("taken for metered: {}", failure.chain());
                return known(Link::Metered, how);
            }
        }
        match metered(context) {
            // 1 and 3 are yes, and a guess at it.
            Ok(Some(1 | 3)) => known(Link::Metered, "metered, by NetworkManager".to_owned()),
            Ok(Some(2 | 4)) => known(Link::Flat, "flat, by NetworkManager".to_owned()),
            Ok(_) => known(Link::Flat, "taken for flat: nobody here knows".to_owned()),
            Err(error) => known(
                Link::Flat,
                format!("taken for flat: cannot ask NetworkManager: {}", chain(&error)),
            ),
        }
    }
}

/// NetworkManager's word for the way out; nothing where there is none.
fn metered(context: &Context) -> zbus::Result<Option<u32>> {
    let Some(bus) = Bus::of(context)? else { return Ok(None) };
    let get = ("/org/freedesktop/NetworkManager", "org.freedesktop.DBus.Properties", "Get");
    let Some(answer) = bus.ask(NETWORK_MANAGER, get, &(NETWORK_MANAGER, "Metered"))? else {
        return Ok(None);
    };
    let value: OwnedValue = answer.body().deserialize()?;
    Ok(u32::try_from(value).ok())
}

/// Who asked that the device be not restarted, in words; none where there is no logind.
///
/// # Errors
/// [`zbus::Error`] where it does not answer.
pub fn inhibitors(context: &Context) -> zbus::Result<Vec<String>> {
    let Some(bus) = Bus::of(context)? else { return Ok(Vec::new()) };
    let list = ("/org/freedesktop/login1", "org.freedesktop.login1.Manager", "ListInhibitors");
    let Some(answer) = bus.ask(LOGIND, list, &())? else { return Ok(Vec::new()) };
    let all: Vec<Inhibitor> = answer.body().deserialize()?;
    Ok(all.into_iter().filter(forbids).map(|(_, who, why, ..)| format!("{who}: {why}")).collect())
}

/// A delay only asks for time, which the service manager gives.
fn forbids((what, _, _, mode, ..): &Inhibitor) -> bool {
    mode.starts_with("block") && what.split(':').any(|what| what == "shutdown")
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
