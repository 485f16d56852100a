// SPDX-License-Identifier: MIT OR Apache-2.0
//! What do the services of a virtual board do? There are none: the slot's root file system says
//! in `/etc/atomix/virtual-system.toml` how they would behave, second by second, and a clock that
//! jumps makes a minute pass at once. Only virtual boards read that file; a device asks systemd.
//!
//! ```toml
//! [[unit]]
//! name = "dnsmasq.service"
//! active-from-secs = 3     # activating before; default 0
//! fails-at-secs = 50       # failed from then on; default never
//!
//! [interfaces]
//! eth1 = ["172.20.30.1"]
//! ```
//!
//! What is not declared is taken to work: a bundle made by someone else declares nothing.

use crate::context::Context;
use crate::failure::{Failure, chain};
use serde::Deserialize;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use storage::{ByteLen, Files, HostFiles};
use verifier::{ActiveState, Clock, CommandEnd, ProbeError, System, UnitStatus};

/// Where a root file system declares how it behaves.
pub const DECLARATION_PATH: &str = "/etc/atomix/virtual-system.toml";

/// Declarations are a few lines.
const MAX_DECLARATION: ByteLen = ByteLen::kib(64);

/// The address of an interface that is not declared (RFC 5737: for documentation).
const UNDECLARED_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// How the services of a slot behave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Declaration {
    #[serde(default)]
    unit: Vec<DeclaredUnit>,
    #[serde(default)]
    interfaces: BTreeMap<String, Vec<IpAddr>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DeclaredUnit {
    name: String,
    #[serde(default)]
    active_from_secs: u64,
    fails_at_secs: Option<u64>,
}

impl Declaration {
    /// Reads the booted slot's declaration; an empty one where there is no file.
    ///
    /// # Errors
    /// [`Failure::Usage`] when the file is wrong.
    pub fn read(context: &Context) -> Result<Self, Failure> {
        let path = Path::new(DECLARATION_PATH);
        let text = context.read_text(path, MAX_DECLARATION)?.unwrap_or_default();
        Self::parse(&text)
    }

    /// Reads the text of a declaration.
    ///
    /// # Errors
    /// [`Failure::Usage`].
    pub fn parse(text: &str) -> Result<Self, Failure> {
        toml::from_str(text).map_err(|error| Failure::Usage {
            what: format!("{DECLARATION_PATH} is wrong: {}", chain(&error).trim_end()),
            hint: "this file belongs to virtual boards only; correct it in the root file system",
        })
    }
}

/// The running system of a virtual board.
pub struct VirtualSystem {
    declared: Declaration,
    files: HostFiles,
    uptime: Rc<Cell<Duration>>,
}

/// Its clock: waiting takes no time.
pub struct VirtualClock {
    uptime: Rc<Cell<Duration>>,
}

impl VirtualSystem {
    /// The system as declared, started now.
    #[must_use]
    pub fn start(declared: Declaration, files: HostFiles) -> (Self, VirtualClock) {
        let uptime = Rc::new(Cell::new(Duration::ZERO));
        (Self { declared, files, uptime: Rc::clone(&uptime) }, VirtualClock { uptime })
    }
}

impl Clock for VirtualClock {
    fn now(&mut self) -> Duration {
        self.uptime.get()
    }

    fn wait_until(&mut self, until: Duration) {
        self.uptime.set(until.max(self.uptime.get()));
    }
}

impl System for VirtualSystem {
    fn unit(&mut self, unit: &str) -> Result<UnitStatus, ProbeError> {
        let now = self.uptime.get().as_secs();
        let declared = self.declared.unit.iter().find(|declared| declared.name == unit);
        let (active, sub) = match declared {
            Some(unit) if unit.fails_at_secs.is_some_and(|at| now >= at) => {
                (ActiveState::Failed, "failed")
            }
            Some(unit) if now < unit.active_from_secs => (ActiveState::Activating, "start"),
            Some(_) | None => (ActiveState::Active, "running"),
        };
        let was_started = active != ActiveState::Activating;
        Ok(UnitStatus { exists: true, active, was_started, sub: sub.to_owned(), restarts: 0 })
    }

    fn addresses(&mut self, interface: &str) -> Result<Option<Vec<IpAddr>>, ProbeError> {
        let declared = self.declared.interfaces.get(interface).cloned();
        Ok(Some(declared.unwrap_or_else(|| vec![UNDECLARED_ADDRESS])))
    }

    fn read_file(&mut self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, ProbeError> {
        self.files.read(path, limit).map_err(|source| ProbeError::File { source })
    }

    fn run(&mut self, _argv: &[String], _timeout: Duration) -> Result<CommandEnd, ProbeError> {
        Ok(CommandEnd::Exited { code: 0, stderr: String::new() })
    }

    fn connect(&mut self, _address: SocketAddr, _timeout: Duration) -> Result<(), ProbeError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_starts_works_and_fails_when_declared() {
        let text = "[[unit]]\nname = \"a.service\"\nactive-from-secs = 3\nfails-at-secs = 50\n";
        let declared = Declaration::parse(text).unwrap();
        let (mut system, mut clock) = VirtualSystem::start(declared, HostFiles::new("/nowhere"));
        let mut at = |secs| {
            clock.wait_until(Duration::from_secs(secs));
            system.unit("a.service").unwrap().active
        };
        assert_eq!(at(0), ActiveState::Activating);
        assert_eq!(at(3), ActiveState::Active);
        assert_eq!(at(49), ActiveState::Active);
        assert_eq!(at(50), ActiveState::Failed);
    }

    #[test]
    fn the_clock_never_goes_back() {
        let (_, mut clock) =
            VirtualSystem::start(Declaration::default(), HostFiles::new("/nowhere"));
        clock.wait_until(Duration::from_secs(9));
        clock.wait_until(Duration::from_secs(4));
        assert_eq!(clock.now(), Duration::from_secs(9));
    }
}
