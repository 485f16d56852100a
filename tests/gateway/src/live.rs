// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole config API on loopback, in this process: the real HTTP half, the real helper behind its
//! real socket, the real pipeline on a directory. Only what an activation does to the system is
//! played, and a pipeline may be told to break.

use anyhow::{Context as _, Result, ensure};
use config_api::activate::{ApplyStep, ServiceError, ServiceUnit, Services};
use config_api::audit::UnixTime;
use config_api::auth::DeviceId;
use config_api::helper::{
    AllowedPeers, ApplyOrder, Device, DeviceParts, Exported, Helper, Input, Pipeline,
    PipelineError, Spool, bind_helper, serve_helper,
};
use config_api::http::{App, Listener, Settings, serve};
use config_api::jobs::{JobEvent, JobId, RollbackStatus};
use config_api::promote::{Generation, Moment, Owners};
use config_api::protocol::{AuditEntry, Current, FailureCode, FileName, Origin, Outcome};
use config_api::system::read_boot_facts;
use std::fs;
use std::io::{Seek as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;
use storage::HostFiles;
use tokio::runtime::{Builder, Runtime};
use verifier::{ActiveState, UnitStatus};

/// Which device it is.
pub const DEVICE: &str = "02005e000001";

/// How time goes for an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Waiting takes no time.
    Played,
    /// As on a device.
    Real,
}

/// What is wrong with the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Nothing.
    Nothing,
    /// It breaks down over uploads that begin like this.
    Breakdown,
}

/// Services that come up at once, on a machine whose `apply` takes a moment.
struct Prompt {
    clock: Clock,
    root: PathBuf,
}

impl Services for Prompt {
    fn apply(&mut self, _: ApplyStep, _: Generation, _: Moment) -> Result<(), ServiceError> {
        Ok(())
    }

    fn discard(&mut self) -> Result<(), ServiceError> {
        Ok(())
    }

    fn restart(&mut self, _: &ServiceUnit) -> Result<(), ServiceError> {
        Ok(())
    }

    fn status(&mut self, _: &ServiceUnit) -> Result<UnitStatus, ServiceError> {
        let (active, sub) = (ActiveState::Active, "running".to_owned());
        Ok(UnitStatus { exists: true, active, was_started: true, sub, restarts: 0 })
    }

    fn is_confirmed(&mut self) -> bool {
        false
    }

    fn now(&mut self) -> Moment {
        if self.clock == Clock::Real {
            // Whom it cannot be told stands still, and is seen to.
            drop(tell_age(&self.root));
        }
        let facts = read_boot_facts(&HostFiles::new(&self.root));
        facts.map_or(Moment(u64::MAX), |facts| facts.now)
    }

    fn wait_until(&mut self, until: Moment) {
        let secs = until.0.saturating_sub(self.now().0);
        match self.clock {
            // Who does not write it down waits for ever, and is seen to.
            Clock::Played => drop(play(&self.root, until.0)),
            Clock::Real => thread::sleep(Duration::from_secs(secs)),
        }
    }
}

/// Lets the machine be so many seconds old.
fn play(root: &Path, secs: u64) -> Result<()> {
    Ok(fs::write(root.join("proc/uptime"), format!("{secs}.00 0.00\n"))?)
}

/// Tells it the real machine's age.
fn tell_age(root: &Path) -> Result<()> {
    Ok(fs::write(root.join("proc/uptime"), fs::read("/proc/uptime")?)?)
}

/// A pipeline, with what is wrong with it.
struct Planted {
    device: Device,
    plant: Plant,
}

impl Pipeline for Planted {
    fn current(&self) -> Result<Current, PipelineError> {
        self.device.current()
    }

    fn export(&self) -> Result<Exported, PipelineError> {
        self.device.export()
    }

    fn validate(&self, input: Input) -> Result<Vec<String>, PipelineError> {
        match self.plant {
            Plant::Nothing => self.device.validate(input),
            Plant::Breakdown => Err(PipelineError::Refused {
                code: FailureCode::Internal,
                message: "as planted".to_owned(),
            }),
        }
    }

    fn apply(
        &self,
        order: &ApplyOrder<'_>,
        input: Input,
        tell: &mut dyn FnMut(JobEvent),
    ) -> Outcome {
        self.device.apply(order, input, tell)
    }

    fn recover(&self, job: JobId) -> Result<Option<RollbackStatus>, PipelineError> {
        self.device.recover(job)
    }

    fn confirm(&self, job: JobId, origin: &Origin) -> Result<(), PipelineError> {
        self.device.confirm(job, origin)
    }

    fn audit(&self, entry: &AuditEntry) -> Result<(), PipelineError> {
        self.device.audit(entry)
    }
}

/// The service; it ends when dropped, but for its helper's thread.
pub struct Live {
    /// Where it listens.
    pub address: SocketAddr,
    _runtime: Runtime,
    _dir: tempfile::TempDir,
}

impl Live {
    /// A device; with a text it has that as its configuration already.
    pub fn start(given: Option<&str>, clock: Clock, plant: Plant) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let root = dir.path();
        for name in ["data", "run/atomix", "own", "state/spool"] {
            fs::create_dir_all(root.join(name))?;
        }
        fs::create_dir_all(root.join("proc/sys/kernel/random"))?;
        fs::write(root.join("proc/sys/kernel/random/boot_id"), "one\n")?;
        match clock {
            Clock::Played => play(root, 100)?,
            Clock::Real => tell_age(root)?,
        }
        let device = device(root, clock)?;
        if let Some(text) = given {
            claim(&device, text)?;
        }
        let me = nix::unistd::getuid().as_raw();
        let spool = Spool::new(root.join("state/spool"), root.join("own"));
        let name = DeviceId::new(DEVICE).context("no name")?;
        let helper = Arc::new(Helper::new(Planted { device, plant }, spool, name.clone()));
        let socket = root.join("helper.sock");
        let listener = bind_helper(&socket, nix::unistd::getgid().as_raw())?;
        thread::spawn(move || serve_helper(&listener, &helper, &AllowedPeers::new(me), &|_| {}));
        let settings = Settings {
            device: name,
            helper: socket,
            state: root.join("state"),
            port: 0,
            unclaimed: Ipv4Addr::LOCALHOST.into(),
        };
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let address = runtime.block_on(async {
            let app = App::start(settings).await?;
            let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
            let address = listener.address()?;
            tokio::spawn(serve(app, listener));
            anyhow::Ok(address)
        })?;
        Ok(Self { address, _runtime: runtime, _dir: dir })
    }
}

fn device(root: &Path, clock: Clock) -> Result<Device> {
    let me = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
    let made = Device::new(DeviceParts {
        root: root.to_owned(),
        own: root.join("own"),
        owners: Owners { root: me, app_service: me },
        confirm_secs: None,
        services: Box::new(Prompt { clock, root: root.to_owned() }),
        confirmed: Arc::new(AtomicBool::new(false)),
        clock: || UnixTime(1_800_000_000),
    });
    made.map_err(|error| anyhow::anyhow!("no device: {error:?}"))
}

fn claim(device: &Device, text: &str) -> Result<()> {
    let mut file = tempfile::tempfile()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    let input = Input::Upload { name: FileName::new("config.toml"), file };
    let (job, origin) = (JobId::new([1; 16]), &Origin::FirstClaim);
    let order = ApplyOrder { job, origin, confirm_secs: None };
    let outcome = device.apply(&order, input, &mut |_| {});
    ensure!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    Ok(())
}
