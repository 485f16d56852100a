// SPDX-License-Identifier: MIT OR Apache-2.0
//! The running machine as a [`System`]. Files are looked up below a root directory; units,
//! addresses, programs and ports are always this machine's.

use crate::command::run_command;
use crate::run::Clock;
use crate::system::{CommandEnd, ProbeError, System, UnitStatus};
use crate::systemd::Systemd;
use nix::ifaddrs::getifaddrs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use storage::{ByteLen, Files, HostFiles};

/// Probes this machine.
pub struct LiveSystem {
    files: HostFiles,
    systemd: Systemd,
}

impl LiveSystem {
    /// Files below `root`; systemd behind the bus at `bus_address`, in D-Bus's own notation, such
    /// as `unix:path=/run/dbus/system_bus_socket`. Nothing is opened before it is asked for.
    pub fn new(files: HostFiles, bus_address: impl Into<String>) -> Self {
        Self { files, systemd: Systemd::new(bus_address.into()) }
    }
}

impl System for LiveSystem {
    fn unit(&mut self, unit: &str) -> Result<UnitStatus, ProbeError> {
        self.systemd.unit(unit)
    }

    fn addresses(&mut self, interface: &str) -> Result<Option<Vec<IpAddr>>, ProbeError> {
        let failed = |errno| ProbeError::Interfaces { source: std::io::Error::from(errno) };
        let mut found = None;
        for entry in getifaddrs().map_err(failed)? {
            if entry.interface_name != interface {
                continue;
            }
            let addresses = found.get_or_insert_with(Vec::new);
            let Some(address) = entry.address else { continue };
            if let Some(v4) = address.as_sockaddr_in() {
                addresses.push(IpAddr::V4(v4.ip()));
            } else if let Some(v6) = address.as_sockaddr_in6() {
                addresses.push(IpAddr::V6(v6.ip()));
            }
        }
        Ok(found)
    }

    fn read_file(&mut self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, ProbeError> {
        self.files.read(path, limit).map_err(|source| ProbeError::File { source })
    }

    fn run(&mut self, argv: &[String], timeout: Duration) -> Result<CommandEnd, ProbeError> {
        run_command(argv, timeout)
    }

    fn connect(&mut self, address: SocketAddr, timeout: Duration) -> Result<(), ProbeError> {
        TcpStream::connect_timeout(&address, timeout)
            .map(drop)
            .map_err(|source| ProbeError::Connect { address, source })
    }
}

/// The monotonic clock of this machine.
#[derive(Clone, Copy, Debug)]
pub struct LiveClock {
    began: Instant,
}

impl LiveClock {
    /// A clock that reads zero now.
    #[must_use]
    pub fn start() -> Self {
        Self { began: Instant::now() }
    }
}

impl Clock for LiveClock {
    fn now(&mut self) -> Duration {
        self.began.elapsed()
    }

    /// Sleeps may end early or late; what counts is what the clock reads afterwards.
    fn wait_until(&mut self, until: Duration) {
        loop {
            let left = until.saturating_sub(self.began.elapsed());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left);
        }
    }
}
