// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files and commands does the system need to be what a generation says?
//!
//! Pure: the generation's own JSON is read again, with types that have no room for a line break or
//! a second directive, and rendered for dnsmasq, chrony, networkd, nftables, the accounts and
//! systemd's quadlets. `group` says what has to be done about a difference, also when the last
//! attempt to do it failed.

mod error;
mod firewall;
mod group;
mod lan;
mod network;
mod quadlets;
mod restart;
mod settings;
mod updates;
mod users;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the judges are programs and read files")]
mod judged_tests;
#[cfg(test)]
mod tests;

pub use error::ApplierError;
pub use firewall::{Rule, Zones, parse_chain, render_firewall};
pub(crate) use group::make_dirs;
pub use group::{Action, Group, GroupPlan, SystemFile};
pub(crate) use group::{plan_group, write_files};
pub use lan::{MacAddress, chrony_conf, dnsmasq_conf, host_lines, merge_hosts};
pub(crate) use lan::{lan_group, time_group};
pub use network::{FORWARDING, network_group};
pub(crate) use network::{NETWORK_DIR, is_forwarding};
pub use quadlets::{QuadletPlan, QuadletTargets, Unit, UnitKind, UnitMode, plan_quadlets};
pub use restart::{Cause, causes};
pub(crate) use restart::{OwnFiles, fingerprints};
pub use settings::{
    Firewall, HostName, HostNetwork, InterfaceMode, InterfaceName, InterfaceSettings, LanSettings,
    Ports, RuntimeUnit, RuntimeUnits, ScopePorts, Shell, User, UserName, Users, read_settings,
};
pub use updates::{AgentPlan, AgentUnit, UpdateWay, plan_agents};
pub use users::{Account, UserStep, plan_users};
