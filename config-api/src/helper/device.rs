// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pipeline of a real device: what the model judges is rendered, promoted, activated and, when
//! its services do not become healthy, taken back. Who changed what is written down before it is
//! done.

use super::access::access_events;
use super::carried::{carry, uncarried};
use super::files_told::missing_files;
use super::in_force::{broken, read_current, read_export, read_state, rollback_of};
use super::progress::{event_of, failures_text, report};
use super::received::{found_digest, look_into, receive};
use super::{ApplyOrder, Exported, Input, Pipeline, PipelineError};
use crate::activate::{ActivationPlan, ApplyStep, Driver, Failure, Report, Services};
use crate::audit::{AuditEvent, AuditLog, ConfigChange, Text, UnixTime};
use crate::input::Payload;
use crate::jobs::{JobEvent, JobId, JobResult, RollbackStatus};
use crate::lock::{AUDIT_LOCK, CONFIG_LOCK, Lock, try_lock, wait_for_lock};
use crate::model::{Checked, validate};
use crate::promote::{
    Command, Generation, Members, Next, NoMembers, Owners, PromoteError, Rendered, Seed, State,
    Store,
};
use crate::protocol::{AuditEntry, Current, FailureCode, Origin, Outcome};
use crate::render::render;
use crate::system::{BootFacts, read_boot_facts};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::tree::{HostTrees, Trees};
use storage::{Digest, HostFiles, chain};

/// What a device has.
pub struct DeviceParts {
    /// The system's root, `/` on a device.
    pub root: PathBuf,
    /// Where contents wait for their promotion; nobody else may write there.
    pub own: PathBuf,
    /// Whose entries are.
    pub owners: Owners,
    /// How long the operator has to confirm a change; none when that is not asked for.
    pub confirm_secs: Option<u64>,
    /// The system as an activation sees it. Its `is_confirmed` reads [`DeviceParts::confirmed`].
    pub services: Box<dyn Services + Send>,
    /// Set when the operator confirms.
    pub confirmed: Arc<AtomicBool>,
    /// The clock of the audit log.
    pub clock: fn() -> UnixTime,
}

/// A device.
pub struct Device {
    root: PathBuf,
    own: PathBuf,
    owners: Owners,
    confirm_secs: Option<u64>,
    services: Mutex<Box<dyn Services + Send>>,
    confirmed: Arc<AtomicBool>,
    clock: fn() -> UnixTime,
    audit: Mutex<AuditLog>,
    under_way: Mutex<Option<JobId>>,
}

/// A configuration that is on the medium and may be promoted.
struct Prepared {
    _lock: Lock,
    store: Store,
    generation: Generation,
    seed: Option<Seed>,
    result: JobResult,
}

/// A configuration that was judged good, with what it brings along.
struct Judged {
    text: Vec<u8>,
    checked: Checked,
    payload: Payload,
    members: Box<dyn Members>,
}

/// What becomes of the contents of a bundle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// They wait for their promotion.
    Contents,
    /// Nothing: only their names are looked at.
    Nothing,
}

impl Device {
    /// A device; nothing is changed yet.
    ///
    /// # Errors
    /// [`PipelineError`] when its data or its boot cannot be read.
    pub fn new(parts: DeviceParts) -> Result<Self, PipelineError> {
        let DeviceParts { root, own, owners, confirm_secs, services, confirmed, clock } = parts;
        let trees = open_data(&root)?;
        let boot = facts(&root)?.boot;
        let audit = AuditLog::new(Box::new(trees), owners.root, boot.0);
        Ok(Self {
            root,
            own,
            owners,
            confirm_secs,
            services: Mutex::new(services),
            confirmed,
            clock,
            audit: Mutex::new(audit),
            under_way: Mutex::default(),
        })
    }

    /// Brings to rest what a helper before this one, or a power cut, left under way. Whoever holds the
    /// lock is waited for: at boot that may be who applies a part.
    ///
    /// # Errors
    /// [`PipelineError`].
    pub fn resume(&self) -> Result<(), PipelineError> {
        let _lock = self.wait_for_turn()?;
        let mut store = self.recover_store()?;
        if store.state().next() != Next::Rest {
            self.drive(&mut store, &mut |_| {}).map_err(|error| broken(&error))?;
        }
        Ok(())
    }

    /// Brings the configurations in order, whatever a cut left, and starts nothing.
    ///
    /// # Errors
    /// [`PipelineError`].
    pub fn recover_at_boot(&self) -> Result<Option<String>, PipelineError> {
        let _lock = self.wait_for_turn()?;
        let BootFacts { boot, now } = facts(&self.root)?;
        let recovered = Store::recover(Box::new(self.data()?), self.owners, &boot, now)
            .map_err(|error| broken(&error))?;
        Ok(recovered.warning)
    }

    /// Applies parts of the configuration that counts; gives those that failed.
    ///
    /// # Errors
    /// [`PipelineError`] when it cannot be told which one counts.
    pub fn apply_at_boot(
        &self,
        steps: &[ApplyStep],
        limit_secs: u64,
    ) -> Result<Vec<Failure>, PipelineError> {
        let _lock = self.wait_for_turn()?;
        let mut store = self.recover_store()?;
        let mut services = lock_of(&self.services);
        let progress = &mut |_| {};
        let services = &mut **services;
        let mut driver = Driver { store: &mut store, services, confirm_secs: None, progress };
        Ok(driver.apply_at_boot(steps, limit_secs))
    }

    /// Waits for whoever is at work on the same. A trial that a cut left may take as long as its
    /// configuration allows it; nobody who could be told that this is busy is there at boot.
    fn wait_for_turn(&self) -> Result<Lock, PipelineError> {
        wait_for_lock(&self.root, CONFIG_LOCK).map_err(|error| broken(&error))
    }

    fn data(&self) -> Result<HostTrees, PipelineError> {
        open_data(&self.root)
    }

    fn lock(&self) -> Result<Lock, PipelineError> {
        try_lock(&self.root, CONFIG_LOCK).map_err(|error| PipelineError::Refused {
            code: FailureCode::Busy,
            message: chain(&error),
        })
    }

    fn recover_store(&self) -> Result<Store, PipelineError> {
        let BootFacts { boot, now } = facts(&self.root)?;
        let recovered = Store::recover(Box::new(self.data()?), self.owners, &boot, now)
            .map_err(|error| broken(&error))?;
        Ok(recovered.store)
    }

    fn drive(
        &self,
        store: &mut Store,
        tell: &mut dyn FnMut(JobEvent),
    ) -> Result<Report, PromoteError> {
        let mut services = lock_of(&self.services);
        // Nobody who could confirm it brought what the device found by itself.
        let is_seed = store.state().shown().is_some_and(|shown| store.seeds().is_pending(shown));
        let confirm_secs = self.confirm_secs.filter(|_| !is_seed);
        Driver {
            store,
            services: &mut **services,
            confirm_secs,
            progress: &mut |progress| tell(event_of(progress)),
        }
        .run()
    }

    /// Reads and judges an input.
    fn judge(&self, input: Input, keep: Keep) -> Result<Judged, PipelineError> {
        let (text, payload, members): (_, _, Box<dyn Members>) = match input {
            Input::Edited { text } => {
                let data = self.data()?;
                match read_state(&data)?.shown() {
                    Some(generation) => {
                        let carried = carry(data, generation).map_err(|error| uncarried(&error))?;
                        (text.into_bytes(), carried.0, Box::new(carried.1))
                    }
                    None => (text.into_bytes(), Payload::default(), Box::new(NoMembers)),
                }
            }
            Input::Upload { name, file } => match keep {
                Keep::Contents => {
                    let (input, kept) = receive(name.as_str(), file, &self.own)?;
                    (input.config_toml, input.payload, Box::new(kept))
                }
                Keep::Nothing => {
                    let input = look_into(name.as_str(), file)?;
                    (input.config_toml, input.payload, Box::new(NoMembers))
                }
            },
        };
        let mut checked =
            validate(&text).map_err(|faults| PipelineError::Invalid(report(&faults)))?;
        checked.warnings.extend(missing_files(&checked.config, &payload));
        if payload.is_empty() && self.has_files()? {
            let warning = "the files/ of the configuration in force are not taken over: send a \
                           bundle that has them";
            checked.warnings.push(warning.to_owned());
        }
        Ok(Judged { text, checked, payload, members })
    }

    /// Whether files came with the configuration in force.
    fn has_files(&self) -> Result<bool, PipelineError> {
        let data = self.data()?;
        let Some(generation) = read_state(&data)?.shown() else { return Ok(false) };
        let found = data.entry(&generation.path().join("files"));
        Ok(found.map_err(|error| broken(&error))?.is_some())
    }

    /// Everything up to the promotion; a failure leaves all as it was.
    fn prepare(
        &self,
        input: Input,
        origin: &Origin,
        tell: &mut dyn FnMut(JobEvent),
    ) -> Result<Prepared, PipelineError> {
        tell(JobEvent::step("recover"));
        let lock = self.lock()?;
        let mut store = self.recover_store()?;
        if store.state().next() != Next::Rest {
            self.drive(&mut store, tell).map_err(|error| broken(&error))?;
        }
        // Asked again under the lock: another one may have come first.
        let is_first = !matches!(origin, Origin::Admin { .. });
        if is_first && store.state().is_provisioned() {
            return Err(PipelineError::Refused {
                code: FailureCode::AlreadyProvisioned,
                message: "the device has a configuration already".to_owned(),
            });
        }
        tell(JobEvent::step("validate"));
        let found = found_digest(&input, origin)?;
        let mut judged = self.judge(input, Keep::Contents)?;
        let reapply = matches!(store.state(), State::Committed { .. });
        let config = &judged.checked.config;
        let url = format!("http://{}:8080", config.lan.gateway.address());
        // Told before anything changes: whoever follows may be cut off by the change.
        let message = Some(format!("the device will answer at {url}"));
        tell(JobEvent { message, ..JobEvent::step("write-candidate") });
        let tree = render(config, &judged.text, &judged.payload, crate::CONFIG_DIR);
        let mut source = Rendered { tree: &tree, members: &mut *judged.members };
        let generation = store.write(&mut source).map_err(|error| broken(&error))?;
        let seed = self.seed_of(&store, origin, found, generation)?;
        self.note_change(ConfigChange::Promoted, Some(generation), origin, None)?;
        self.note_access(&judged.checked)?;
        let result = JobResult {
            warnings: judged.checked.warnings,
            reapply: Some(reapply),
            rolled_back: Some(false),
            forwarding_url: Some(url),
        };
        Ok(Prepared { _lock: lock, store, generation, seed, result })
    }

    /// From the promotion to a rest.
    fn promote(
        &self,
        store: &mut Store,
        (generation, seed): (Generation, Option<Seed>),
        order: &ApplyOrder<'_>,
        tell: &mut dyn FnMut(JobEvent),
    ) -> Result<Report, PipelineError> {
        let plan = ActivationPlan::read(store.trees(), generation).map_err(|e| broken(&e))?;
        let BootFacts { boot, now } = facts(&self.root)?;
        tell(JobEvent::step("promote"));
        self.confirmed.store(false, Ordering::Release);
        let confirm_secs = order.confirm_secs.map(u64::from);
        let window_secs = plan.timeout_secs;
        let command = Command::Promote { to: generation, window_secs, confirm_secs, boot, now };
        match seed {
            Some(seed) => store.take_seed(&command, seed),
            None => store.apply(&command),
        }
        .map_err(|error| broken(&error))?;
        let report = self.drive(store, tell).map_err(|error| broken(&error))?;
        let change = match (report.failures.is_empty(), store.state().is_provisioned()) {
            (true, _) => ConfigChange::Committed,
            (false, true) => ConfigChange::RolledBack,
            (false, false) => ConfigChange::Discarded,
        };
        let detail = (!report.failures.is_empty()).then(|| failures_text(&report.failures));
        self.note_change(change, store.state().shown(), order.origin, detail.as_deref())?;
        Ok(report)
    }

    fn note_change(
        &self,
        change: ConfigChange,
        generation: Option<Generation>,
        origin: &Origin,
        detail: Option<&str>,
    ) -> Result<(), PipelineError> {
        let by = match origin {
            Origin::FirstClaim => "first claim".to_owned(),
            Origin::FirstBoot { place, .. } => format!("first boot: {place}"),
            Origin::Admin { fingerprint } => fingerprint.clone(),
        };
        self.note(AuditEvent::ConfigChanged {
            change,
            generation: generation.map(Generation::number),
            by: Text::new(&by),
            detail: detail.map(Text::new),
        })
    }

    /// What the record is to remember of a configuration that the device found.
    fn seed_of(
        &self,
        store: &Store,
        origin: &Origin,
        digest: Option<Digest>,
        generation: Generation,
    ) -> Result<Option<Seed>, PipelineError> {
        let (Origin::FirstBoot { place, asked }, Some(digest)) = (origin, digest) else {
            return Ok(None);
        };
        if !asked && store.seeds().find(&digest).is_some() {
            return Err(PipelineError::Refused {
                code: FailureCode::SeedTaken,
                message: "this configuration was taken before".to_owned(),
            });
        }
        Ok(Some(Seed::new(digest, place, (self.clock)().0, generation)))
    }

    fn note_access(&self, checked: &Checked) -> Result<(), PipelineError> {
        for event in access_events(&checked.config.host_access) {
            self.note(event)?;
        }
        Ok(())
    }

    fn note(&self, event: AuditEvent) -> Result<(), PipelineError> {
        // The command line writes there too.
        let _lock = wait_for_lock(&self.root, AUDIT_LOCK).map_err(|error| broken(&error))?;
        lock_of(&self.audit).record((self.clock)(), event).map_err(|error| broken(&error))
    }
}

impl Pipeline for Device {
    fn current(&self) -> Result<Current, PipelineError> {
        read_current(&self.data()?)
    }

    fn export(&self) -> Result<Exported, PipelineError> {
        read_export(&self.data()?)
    }

    fn validate(&self, input: Input) -> Result<Vec<String>, PipelineError> {
        Ok(self.judge(input, Keep::Nothing)?.checked.warnings)
    }

    fn apply(
        &self,
        order: &ApplyOrder<'_>,
        input: Input,
        tell: &mut dyn FnMut(JobEvent),
    ) -> Outcome {
        let mut prepared = match self.prepare(input, order.origin, tell) {
            Ok(prepared) => prepared,
            Err(error) => return failed(error, RollbackStatus::Skipped),
        };
        let store = &mut prepared.store;
        *lock_of(&self.under_way) = Some(order.job);
        let promoted = self.promote(store, (prepared.generation, prepared.seed), order, tell);
        *lock_of(&self.under_way) = None;
        match promoted {
            Ok(report) if report.failures.is_empty() => {
                Outcome::Succeeded { result: prepared.result }
            }
            Ok(report) => Outcome::Failed {
                error: failures_text(&report.failures),
                faults: Vec::new(),
                rollback: rollback_of(store.state()),
            },
            // The medium failed in the middle: what counts is what recovery says.
            Err(error) => failed(error, RollbackStatus::Failed),
        }
    }

    fn recover(&self, _job: JobId) -> Result<Option<RollbackStatus>, PipelineError> {
        let state = read_state(&self.data()?)?;
        Ok((state.next() == Next::Rest).then(|| rollback_of(&state)))
    }

    fn confirm(&self, job: JobId, origin: &Origin) -> Result<(), PipelineError> {
        if *lock_of(&self.under_way) != Some(job) {
            return Err(PipelineError::Refused {
                code: FailureCode::NotFound,
                message: "no change waits to be confirmed".to_owned(),
            });
        }
        self.note_change(ConfigChange::Confirmed, None, origin, None)?;
        self.confirmed.store(true, Ordering::Release);
        Ok(())
    }

    fn audit(&self, entry: &AuditEntry) -> Result<(), PipelineError> {
        let (peer, request, reason, suppressed) = match entry {
            AuditEntry::Denied { client, target, code } => {
                (client.as_str(), target.as_str(), code.as_str(), 0)
            }
            AuditEntry::DeniedMore { count } => ("", "", "too many to be told", *count),
            AuditEntry::SeedRefused { place, reason } => {
                return self.note(AuditEvent::ConfigChanged {
                    change: ConfigChange::Refused,
                    generation: None,
                    by: Text::new(&format!("first boot: {place}")),
                    detail: Some(Text::new(reason)),
                });
            }
        };
        self.note(AuditEvent::AuthenticationFailed {
            peer: Text::new(peer),
            request: Text::new(request),
            reason: Text::new(reason),
            suppressed,
        })
    }
}

fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these hold is whole after each statement, whatever panicked elsewhere.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_data(root: &std::path::Path) -> Result<HostTrees, PipelineError> {
    HostTrees::open(&root.join("data")).map_err(|error| broken(&error))
}

fn facts(root: &std::path::Path) -> Result<BootFacts, PipelineError> {
    read_boot_facts(&HostFiles::new(root)).map_err(|error| broken(&error))
}

fn failed(error: PipelineError, rollback: RollbackStatus) -> Outcome {
    let (error, faults) = match error {
        PipelineError::Invalid(faults) => ("the configuration is not valid".to_owned(), faults),
        PipelineError::Refused { message, .. } => (message, Vec::new()),
    };
    Outcome::Failed { error, faults, rollback }
}
