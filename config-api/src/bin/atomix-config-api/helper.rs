// SPDX-License-Identifier: MIT OR Apache-2.0
//! The helper's command: puts the device together, brings to rest what was under way, and listens.

use crate::cli::HelperArgs;
use config_api::appliers::{InterfaceName, Zones};
use config_api::audit::UnixTime;
use config_api::auth::DeviceId;
use config_api::helper::{
    AllowedPeers, Device, DeviceParts, Helper, HelperListenError, PipelineError, Spool,
    bind_helper, serve_helper,
};
use config_api::promote::Owners;
use config_api::system::{HostPrograms, LiveServices, SystemParts, own_addresses};
use nix::unistd::User;
use std::io::{self, Write, stderr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use storage::tree::HostTrees;
use storage::{FilesError, HostFiles, chain};
use verifier::Systemd;

const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// Why the helper cannot run.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// An account is missing.
    #[error("there is no account {name}")]
    Account {
        /// Its name.
        name: String,
        /// Which one it is.
        which: AccountOf,
    },
    /// The accounts cannot be asked for.
    #[error("cannot look up an account")]
    Accounts(#[source] io::Error),
    /// An interface's name is none.
    #[error("{name} is no interface of this board: eth and a number")]
    Interface {
        /// The name.
        name: String,
    },
    /// The device's data cannot be opened.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The device cannot be read.
    #[error("{0}")]
    Device(String),
    /// Parts of the configuration could not be applied; each was told.
    #[error("{0} parts of the configuration were not applied")]
    Parts(usize),
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] HelperListenError),
}

/// Whose account it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountOf {
    /// The HTTP service's.
    Service,
    /// That of the containers without privileges.
    Containers,
}

impl HelperError {
    /// The way out, where there is one to name.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Account { which: AccountOf::Service, .. } => Some(
                "atomix-config-user.conf in /usr/lib/sysusers.d and `systemd-sysusers` make it; \
                 another one is named by --service-user; then start this unit again",
            ),
            Self::Account { which: AccountOf::Containers, .. } => Some(
                "the image has to bring it, with subordinate ids (/etc/subuid, /etc/subgid) and a \
                 home; another one is named by --app-user; then start this unit again",
            ),
            Self::Interface { .. } => Some("name eth0, eth1 and so on with --wan and --lan"),
            Self::Accounts(_)
            | Self::Files(_)
            | Self::Device(_)
            | Self::Parts(_)
            | Self::Listen(_) => None,
        }
    }
}

impl From<PipelineError> for HelperError {
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Invalid(_) => Self::Device("the configuration is not valid".to_owned()),
            PipelineError::Refused { message, .. } => Self::Device(message),
        }
    }
}

/// The device that all commands of root work on.
pub fn device(args: &HelperArgs) -> Result<Device, HelperError> {
    let app = account(&args.app_user, AccountOf::Containers)?;
    let owners = Owners { root: (0, 0), app_service: (app.uid.as_raw(), app.gid.as_raw()) };
    let confirmed = Arc::new(AtomicBool::new(false));
    let services = Box::new(services(args, owners, app.uid.as_raw(), &confirmed)?);
    Ok(Device::new(DeviceParts {
        root: "/".into(),
        own: args.own.clone(),
        owners,
        confirm_secs: args.confirm,
        services,
        confirmed,
        clock,
    })?)
}

/// Runs the helper.
pub fn helper(args: HelperArgs, named: DeviceId) -> Result<(), HelperError> {
    let service = account(&args.service_user, AccountOf::Service)?;
    let device = Arc::new(device(&args)?);
    let resuming = Arc::clone(&device);
    // Looking works meanwhile; another change is refused until this one is at rest.
    std::thread::spawn(move || {
        if let Err(error) = resuming.resume() {
            note(&HelperError::from(error));
        }
    });
    let listener = bind_helper(&args.socket, service.gid.as_raw())?;
    let helper = Helper::new(device, Spool::new(args.spool, args.own), named);
    let helper = Arc::new(helper.with_addresses(own_addresses));
    let peers = AllowedPeers::new(service.uid.as_raw());
    serve_helper(&listener, &helper, &peers, &|error: &HelperListenError| note(error));
    Ok(())
}

pub fn note(error: &dyn std::error::Error) {
    // The journal reads it; when it is gone there is nobody to tell.
    let _ = writeln!(stderr(), "atomix-config-api: {}", chain(error));
}

fn account(name: &str, which: AccountOf) -> Result<User, HelperError> {
    let found = User::from_name(name).map_err(|errno| HelperError::Accounts(errno.into()))?;
    found.ok_or_else(|| HelperError::Account { name: name.to_owned(), which })
}

fn interface(name: &str) -> Result<InterfaceName, HelperError> {
    InterfaceName::parse(name).ok_or_else(|| HelperError::Interface { name: name.to_owned() })
}

fn services(
    args: &HelperArgs,
    owners: Owners,
    app_uid: u32,
    confirmed: &Arc<AtomicBool>,
) -> Result<LiveServices, HelperError> {
    let confirmed = Arc::clone(confirmed);
    Ok(LiveServices::new(SystemParts {
        root: HostTrees::open(Path::new("/"))?,
        data: HostTrees::open(Path::new("/data"))?,
        files: Box::new(HostFiles::new("/")),
        programs: Box::new(HostPrograms { path: args.path.clone() }),
        manager: Systemd::new(SYSTEM_BUS.to_owned()),
        user_manager: Systemd::new(format!("unix:path=/run/user/{app_uid}/bus")),
        app_user: args.app_user.clone(),
        owners,
        zones: Zones { wan: interface(&args.wan)?, lan: interface(&args.lan)? },
        shells: args.shells.clone(),
        is_confirmed: Box::new(move || confirmed.load(Ordering::Acquire)),
    }))
}

#[expect(clippy::disallowed_methods, reason = "only programs read the clock")]
fn clock() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
