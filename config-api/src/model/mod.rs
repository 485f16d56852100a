// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this `config.toml` one that a device can be, and which one? Bytes in, a [`Config`] or all
//! [`Faults`] out; nothing here reads a file, a clock or the device.

mod activation;
mod address;
mod config;
mod containers;
mod fault;
mod fault_text;
mod lan;
mod name;
mod network;
mod notes;
mod os_upgrade;
mod reader;
mod server_url;
mod ssh_key;
mod toml_tree;
mod update_policy;
mod updates;
mod users;

pub use address::Ipv4Cidr;
pub(crate) use address::ip_text;
pub use config::{
    Activation, Addressing, Config, Directive, Firewall, HostNetwork, Interface, Lan, Mode, Ports,
    Section, Shell, Unit, UnitKind, User,
};
pub use fault::{Fault, Faults, MAX_FAULTS};
pub use fault_text::{faults_text, input_fault_text};
pub use name::{ContainerName, DnsName, InterfaceName, NtpServer, UnitName, UserName};
pub(crate) use network::RESERVED_WAN_TCP;
pub use ssh_key::{SshKeyFault, SshPublicKey};
pub use toml_tree::{MAX_CONFIG_BYTES, MAX_DEPTH};

pub use updates::{
    ClientIdentity, ConfirmRule, Day, Hawkbit, HawkbitLogin, Metadata, MeteredRule, OPERATOR_DIRS,
    OperatorFile, OsUpgrade, Poll, RebootRule, TimeOfDay, TlsFiles, UpdatePolicy, UpdateSource,
    Window,
};

pub(crate) use activation::STRATEGY;
pub(crate) use containers::Declared;
pub(crate) use name::is_host;
pub(crate) use ssh_key::decode_base64;

/// What the schema says too.
pub(crate) mod schema_facts {
    pub(crate) use super::REQUIRED_ROOT_KEYS;
    pub(crate) use super::activation::{
        DEFAULT_TIMEOUT_SECS, MAX_SETTLE_SECS, MAX_TIMEOUT_SECS, STRATEGY,
    };
    pub(crate) use super::lan::{DEFAULT_DOMAIN, DEFAULT_END, DEFAULT_START, default_gateway};
    pub(crate) use super::os_upgrade::{MAX_MIRRORS, MAX_TARGET_CHARS, MAX_TENANT_CHARS, MODES};
    pub(crate) use super::update_policy::{HOOKS_DIR, MAX_HOOKS, MAX_WINDOWS, RATE_KIB, SIZE_MIB};
}

use fault::{Path, Sink};
use reader::Table;

/// The keys that a file must have.
pub(crate) const REQUIRED_ROOT_KEYS: [&str; 4] = ["version", "users", "activation", "containers"];

/// The keys of the file, in the order of the contract.
const ROOT_KEYS: [&str; 6] =
    ["version", "users", "network", "activation", "os_upgrade", "containers"];

/// A file that is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What it says.
    pub config: Config,
    /// What the operator should know, in the order of the file's kinds.
    pub warnings: Vec<String>,
    /// What will fail on the device although the contract accepts it. No warnings: these are the
    /// contract's, word for word.
    pub notes: Vec<String>,
}

/// Reads a `config.toml`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn validate(bytes: &[u8]) -> Result<Checked, Faults> {
    let text = toml_tree::text_of(bytes)?;
    let entries = toml_tree::parse_toml(&text)?;
    let mut sink = Sink::default();
    let span = 0..0;
    let root = Table { entries: &entries, span: &span, path: Path::Root };
    let checked = read_root(&root, &mut sink);
    match (sink.into_faults(&text), checked) {
        (Some(faults), _) => Err(faults),
        (None, Some(checked)) => Ok(checked),
        // Nothing is missing without a fault; should it be, an invalid file stays invalid.
        (None, None) => Err(Faults::of_file(0, "the file is not complete", "")),
    }
}

fn read_root(root: &Table<'_, '_>, sink: &mut Sink) -> Option<Checked> {
    root.only(&ROOT_KEYS, sink);
    if let Some(item) = root.require("version", sink) {
        let is_one = matches!(&item.node.value, toml_tree::Value::Integer(digits) if digits == "1");
        if !is_one {
            item.fault(sink, "is not the number 1", "this is the only version there is");
        }
    }
    let users = users::read_users(root, sink);
    let mut warnings = Vec::new();
    let network = network::read_network(root, sink, &mut warnings);
    let os_upgrade = os_upgrade::read_os_upgrade(root, sink);
    let declared = containers::declare(root);
    let activation = activation::read_activation(root, &declared, sink);
    let units = containers::read_units(root, &declared, sink);
    warnings.extend(units.warnings);
    warnings.extend(units.host_access.iter().map(|access| {
        format!("{}: {}={} reaches the host", access.unit, access.directive, access.value)
    }));
    let notes = units.units.iter().flat_map(notes::notes_of).collect();
    Some(Checked {
        config: Config {
            users,
            host_network: network.host,
            lan: network.lan?,
            firewall: network.firewall,
            activation: activation?,
            os_upgrade,
            units: units.units,
            host_access: units.host_access,
        },
        warnings,
        notes,
    })
}
