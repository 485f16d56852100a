// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each command does.

#[cfg(target_os = "linux")]
use crate::boot::{apply, recover};
use crate::cli::{Cli, Command, ServeArgs};
use crate::first_boot::first_boot;
#[cfg(target_os = "linux")]
use crate::helper::{HelperError, helper};
use config_api::auth::DeviceId;
use config_api::http::{App, ListenError, Settings, StartError, openapi_json, serve_following};
use std::io::{self, Write, stderr, stdout};
use std::path::Path;
use storage::{ByteLen, Files, FilesError, HostFiles};
use tokio::signal::unix::{SignalKind, signal};

/// The hardware address that is printed on the device.
const ETH0_ADDRESS: &str = "/sys/class/net/eth0/address";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The device cannot be told from others.
    #[error("cannot tell which device this is: give it a name with --device")]
    Device,
    /// The hardware address cannot be read.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The service cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The helper cannot run.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Helper(#[from] HelperError),
    /// The system refuses something.
    #[error("cannot run")]
    Io(#[from] io::Error),
}

impl RunError {
    /// The way out, where there is one to name.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Helper(error) => error.hint(),
            Self::Device | Self::Files(_) | Self::Start(_) | Self::Listen(_) | Self::Io(_) => None,
        }
    }
}

/// Runs the command.
pub fn run(cli: Cli) -> Result<(), RunError> {
    match cli.command {
        Command::Serve(args) => serve(args),
        #[cfg(not(target_os = "linux"))]
        Command::Helper(_) | Command::Recover(_) | Command::Apply(_) => {
            let words = "what root does of the configuration needs Linux";
            Err(io::Error::new(io::ErrorKind::Unsupported, words).into())
        }
        #[cfg(target_os = "linux")]
        Command::Helper(args) => {
            let device = device(args.device.as_deref())?;
            Ok(helper(args, device)?)
        }
        #[cfg(target_os = "linux")]
        Command::Recover(args) => Ok(recover(&args)?),
        #[cfg(target_os = "linux")]
        Command::Apply(args) => Ok(apply(&args)?),
        Command::FirstBoot(args) => {
            first_boot(args);
            Ok(())
        }
        Command::Openapi => Ok(stdout().write_all(openapi_json().as_bytes())?),
    }
}

fn device(given: Option<&str>) -> Result<DeviceId, RunError> {
    let text = match given {
        Some(text) => text.to_owned(),
        None => {
            let limit = ByteLen::new(64);
            let read = HostFiles::new("/").read(Path::new(ETH0_ADDRESS), limit)?;
            let address = read.and_then(|bytes| String::from_utf8(bytes).ok());
            address.unwrap_or_default().trim().replace(':', "")
        }
    };
    DeviceId::typed(&text).ok_or(RunError::Device)
}

pub fn tell(words: &str) {
    // The journal reads it; when it is gone there is nobody to tell.
    let _ = writeln!(stderr(), "atomix-config-api: {words}");
}

fn serve(args: ServeArgs) -> Result<(), RunError> {
    let settings = Settings {
        device: device(args.device.as_deref())?,
        helper: args.helper,
        state: args.state,
        port: args.port,
        unclaimed: args.unclaimed,
    };
    // Two threads: requests are few, and what takes time is done by the helper.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut end = signal(SignalKind::terminate())?;
        let app = App::start(settings).await?;
        tokio::select! {
            failed = serve_following(&app, &tell) => Ok(failed?),
            // A change under way is the helper's, and goes on.
            _ = end.recv() => Ok(()),
        }
    })
}
