// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where is this machine reached? The IPv4 addresses of its interfaces that are up, in the kernel's
//! order: a device without a configuration answers on all of them, and on no other kind.

use crate::protocol::HostAddress;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use std::net::Ipv4Addr;

/// More than a console has room for.
const MAX_ADDRESSES: usize = 4;

/// The addresses now; none where the kernel does not tell.
#[must_use]
pub fn own_addresses() -> Vec<HostAddress> {
    let Ok(entries) = getifaddrs() else { return Vec::new() };
    reachable(entries.filter_map(|entry| {
        let address = entry.address?.as_sockaddr_in()?.ip();
        Some((entry.interface_name, entry.flags, address))
    }))
}

fn reachable(
    entries: impl Iterator<Item = (String, InterfaceFlags, Ipv4Addr)>,
) -> Vec<HostAddress> {
    let running = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
    entries
        .filter(|(_, flags, address)| flags.contains(running) && !address.is_loopback())
        .map(|(interface, _, address)| HostAddress { interface, address })
        .take(MAX_ADDRESSES)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_link_and_what_is_only_for_the_machine_itself_is_not_told() {
        let (up, running) = (InterfaceFlags::IFF_UP, InterfaceFlags::IFF_RUNNING);
        let entry =
            |name: &str, flags, last| (name.to_owned(), flags, Ipv4Addr::new(10, 0, 0, last));
        let lo = ("lo".to_owned(), up | running, Ipv4Addr::LOCALHOST);
        let found = reachable(
            [
                lo,
                entry("eth1", up, 1),
                entry("eth0", up | running, 2),
                entry("eth2", InterfaceFlags::empty(), 3),
            ]
            .into_iter(),
        );
        let address = Ipv4Addr::new(10, 0, 0, 2);
        assert_eq!(found, [HostAddress { interface: "eth0".to_owned(), address }]);
        let many = (0..200).map(|last| entry("eth0", up | running, last));
        assert_eq!(reachable(many).len(), MAX_ADDRESSES);
        assert!(own_addresses().iter().all(|found| !found.address.is_loopback()));
    }
}
