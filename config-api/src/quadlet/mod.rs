// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may a unit of this file say to Podman and systemd? An allow-list: directives that are not
//! in its tables are refused, and a value is read as what its directive takes it for.
//!
//! A rootless container (`privileged = false`) reaches nothing of the host but its payload and a
//! few places for data. `privileged = true` is the operator's word that a container may act as
//! root on the host; what it makes use of is collected as [`HostAccess`] for warnings and the
//! audit log.

mod directives;
mod host_path;
mod line;
mod modes;
mod podman_args;
mod ports;
mod relations;
mod remote;
mod reserved;
mod values;
mod words;

pub use directives::{Directives, SECTIONS, Spec};
pub use values::ValueKind;

pub(crate) use host_path::CONFIG_TOKEN;
pub(crate) use line::{Expansion, check_line};
pub(crate) use modes::{Owners, Part};
pub(crate) use ports::publish_on_loopback;
pub(crate) use remote::is_remote_type;
pub(crate) use reserved::shadowed;
pub(crate) use values::{Accepted, Context, check_value};

/// One thing of the host that a container may use or change.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HostAccess {
    /// The unit's file, for example `cockpit.container`.
    pub unit: String,
    /// The directive that grants it.
    pub directive: String,
    /// Its value.
    pub value: String,
}

/// Why a value is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub problem: String,
    pub hint: String,
}

impl Refused {
    pub(crate) fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: hint.into() }
    }
}
