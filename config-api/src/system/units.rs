// SPDX-License-Identifier: MIT OR Apache-2.0
//! The units of this machine: files that podman's generator reads, and their services.

use super::live::{Failed, LiveServices, MAX_FILE_BYTES};
use crate::activate::ServiceError;
use crate::appliers::{
    ApplierError, OwnFiles, QuadletPlan, QuadletTargets, RuntimeUnits, Unit, UnitKind, UnitMode,
    fingerprints, make_dirs, plan_quadlets, read_settings,
};
use crate::promote::{Generation, Moment, Owner};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use storage::FilesError;
use storage::tree::{Kind, Meta, Trees, dir_of, replace_file};
use verifier::UnitJob;

/// The names that we put into a directory of units.
const MANIFEST: &str = ".atomixos-managed-quadlets.json";

/// Units hold secrets in their environment (S13): nobody else may read them.
const ROOTFUL_MODE: u32 = 0o600;
/// The account's own generator has to, as its group.
const ROOTLESS_MODE: u32 = 0o640;

/// What our services were started from, in this boot.
const STARTED: &str = "run/atomix/applied/units.json";

/// Fingerprints by units.
type Started = BTreeMap<String, String>;

const MODES: [UnitMode; 2] = [UnitMode::Rootful, UnitMode::Rootless];

impl LiveServices {
    /// `None` takes all of ours away.
    pub(super) fn apply_quadlets(
        &mut self,
        generation: Option<Generation>,
        until: Moment,
    ) -> Result<(), ServiceError> {
        let units = match generation {
            Some(generation) => self.own_settings(generation, "quadlet-runtime.json")?,
            None => RuntimeUnits::default(),
        };
        let contents = self.contents(generation, &units).failed("cannot read a unit")?;
        let targets = QuadletTargets::of_user(self.parts.owners.app_service.0);
        let (ours, present) = self.found(&targets).failed("cannot list the units")?;
        let plan =
            plan_quadlets(&units, &contents, &ours, &present).failed("cannot apply the units")?;
        let has = |mode: UnitMode| {
            plan.stale
                .iter()
                .chain(plan.wanted.iter().map(|(unit, _)| unit))
                .any(|unit| unit.mode == mode)
        };
        if has(UnitMode::Rootless) {
            self.start_user_manager(until)?;
        }
        self.refuse_foreign(&plan, &ours)?;
        for unit in &plan.stale {
            self.job(unit.mode, UnitJob::Stop, &unit.service(), until)?;
        }
        let written = self.write_units(&plan, &ours, &targets).failed("cannot write the units")?;
        let (wanted, changed) = self.changed(generation, &plan, &written)?;
        for mode in MODES.into_iter().filter(|mode| has(*mode)) {
            self.manager(mode).reload().failed("systemd does not read the units")?;
        }
        for unit in &plan.started {
            let service = unit.service();
            // One that runs from what it should is left alone; one that went down is started.
            let job = if changed.contains(unit) { UnitJob::Restart } else { UnitJob::Start };
            match unit.kind {
                // What is made of an image needs it.
                UnitKind::Build => self.job(unit.mode, job, &service, until)?,
                UnitKind::Network | UnitKind::Volume | UnitKind::Container => {
                    self.begin(unit.mode, job, &service)?;
                }
            }
        }
        self.note_started(&wanted)?;
        self.keep_forwarding_off(until)
    }

    /// A service that systemd knows before our unit is there is the system's own (S5): beside what
    /// the model refuses by name, since only this machine knows what it has.
    fn refuse_foreign(
        &mut self,
        plan: &QuadletPlan,
        ours: &BTreeSet<Unit>,
    ) -> Result<(), ServiceError> {
        let fresh = plan.wanted.iter().map(|(unit, _)| unit);
        let fresh = fresh.filter(|unit| unit.mode == UnitMode::Rootful && !ours.contains(*unit));
        for unit in fresh {
            let service = unit.service();
            if self.parts.manager.unit(&service).failed("systemd does not answer")?.exists {
                return Err(ApplierError::ForeignUnit { name: service })
                    .failed("cannot apply the units");
            }
        }
        Ok(())
    }

    /// What every unit is to be started from, and the units that were started from something else.
    /// From here on these count as not started, until all of them were asked to.
    fn changed(
        &mut self,
        generation: Option<Generation>,
        plan: &QuadletPlan,
        written: &BTreeSet<Unit>,
    ) -> Result<(Started, BTreeSet<Unit>), ServiceError> {
        let units: BTreeMap<Unit, Vec<u8>> = plan.wanted.iter().cloned().collect();
        let (mut name, mut files) = (String::new(), String::new());
        if let Some(generation) = generation {
            name = generation.to_string();
            files =
                self.files_digest(generation).failed("cannot read the configuration's files")?;
        }
        let own = OwnFiles { generation: &name, files: &files };
        let wanted: Started = fingerprints(&units, own)
            .into_iter()
            .map(|(unit, print)| (key_of(&unit), print))
            .collect();
        let started = self.started()?;
        let differs = |unit: &&Unit| {
            let key = key_of(unit);
            written.contains(*unit) || started.get(&key) != wanted.get(&key)
        };
        let changed: BTreeSet<Unit> = units.keys().filter(differs).cloned().collect();
        let mut rest = wanted.clone();
        for unit in &changed {
            rest.remove(&key_of(unit));
        }
        self.note_started(&rest)?;
        Ok((wanted, changed))
    }

    /// What is known to be started. A note that cannot be read is none: all start anew then.
    fn started(&self) -> Result<Started, ServiceError> {
        let bytes = self.parts.root.read(Path::new(STARTED), MAX_FILE_BYTES);
        let bytes = bytes.failed("cannot read what is started")?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    fn note_started(&mut self, started: &Started) -> Result<(), ServiceError> {
        let bytes = serde_json::to_vec(started).failed("cannot note what is started")?;
        let path = Path::new(STARTED);
        let dir_meta = self.parts.owners.meta(Owner::Root, 0o755);
        let meta = self.parts.owners.meta(Owner::Root, 0o600);
        make_dirs(&mut self.parts.root, dir_of(path), dir_meta)
            .failed("cannot note what is started")?;
        replace_file(&mut self.parts.root, path, &bytes, meta).failed("cannot note what is started")
    }

    /// Another text for every content of a generation's `files/`.
    fn files_digest(&self, generation: Generation) -> Result<String, ApplierError> {
        let mut hasher = blake3::Hasher::new();
        let top = generation.path().join("files");
        let mut open = vec![top];
        while let Some(path) = open.pop() {
            let Some(entry) = self.parts.data.entry(&path)? else { continue };
            hasher.update(
                path.strip_prefix(generation.path())
                    .unwrap_or(&path)
                    .as_os_str()
                    .as_encoded_bytes(),
            );
            match entry.kind {
                Kind::Dir => {
                    hasher.update(b"/");
                    let names = self.parts.data.list(&path)?;
                    open.extend(names.into_iter().map(|name| path.join(name)));
                }
                Kind::File(len) => {
                    hasher.update(&len.get().to_le_bytes());
                    let read = hasher.update_reader(self.parts.data.open(&path)?);
                    read.map_err(|source| FilesError::Read { path: path.clone(), source })?;
                }
                Kind::Link | Kind::Other => {}
            }
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    fn contents(
        &self,
        generation: Option<Generation>,
        units: &RuntimeUnits,
    ) -> Result<BTreeMap<String, Vec<u8>>, ApplierError> {
        let mut contents = BTreeMap::new();
        let Some(generation) = generation else { return Ok(contents) };
        for listed in &units.units {
            // Only a name that is one leads to a file.
            let Some(unit) = Unit::parse(listed.mode, &listed.filename) else { continue };
            let path = generation.path().join("quadlet").join(unit.filename());
            if let Some(bytes) = self.parts.data.read(&path, MAX_FILE_BYTES)? {
                contents.insert(unit.filename(), bytes);
            }
        }
        Ok(contents)
    }

    /// Units that are ours, and units that are there.
    fn found(
        &self,
        targets: &QuadletTargets,
    ) -> Result<(BTreeSet<Unit>, BTreeSet<Unit>), ApplierError> {
        let (mut ours, mut present) = (BTreeSet::new(), BTreeSet::new());
        for mode in MODES {
            let dir = directory(targets, mode);
            for name in self.parts.root.list(dir)? {
                present.extend(Unit::parse(mode, &name.to_string_lossy()));
            }
            if let Some(bytes) = self.parts.root.read(&dir.join(MANIFEST), MAX_FILE_BYTES)? {
                let names: Vec<String> = read_settings(MANIFEST, &bytes)?;
                ours.extend(names.iter().filter_map(|name| Unit::parse(mode, name)));
            }
        }
        Ok((ours, present))
    }

    /// The list of names comes first and holds both: a cut leaves nothing that is not known to be
    /// ours. Gives the units whose files were others.
    fn write_units(
        &mut self,
        plan: &QuadletPlan,
        ours: &BTreeSet<Unit>,
        targets: &QuadletTargets,
    ) -> Result<BTreeSet<Unit>, ApplierError> {
        let mut written = BTreeSet::new();
        let wanted: BTreeSet<Unit> = plan.wanted.iter().map(|(unit, _)| unit.clone()).collect();
        let both: BTreeSet<Unit> = ours.union(&wanted).cloned().collect();
        self.write_manifests(&both, targets)?;
        for unit in &plan.stale {
            let path = targets.path(unit);
            self.parts.root.remove(&path)?;
            self.parts.root.sync_dir(dir_of(&path))?;
        }
        for (unit, content) in &plan.wanted {
            let meta = self.unit_meta(unit.mode);
            let path = targets.path(unit);
            let is_there = self.parts.root.entry(&path)?.is_some_and(|entry| entry.meta == meta)
                && self.parts.root.read(&path, MAX_FILE_BYTES)?.as_ref() == Some(content);
            if !is_there {
                replace_file(&mut self.parts.root, &path, content, meta)?;
                written.insert(unit.clone());
            }
        }
        self.write_manifests(&wanted, targets)?;
        Ok(written)
    }

    fn unit_meta(&self, mode: UnitMode) -> Meta {
        let (uid, gid) = self.parts.owners.root;
        match mode {
            UnitMode::Rootful => Meta { mode: ROOTFUL_MODE, uid, gid },
            UnitMode::Rootless => {
                Meta { mode: ROOTLESS_MODE, uid, gid: self.parts.owners.app_service.1 }
            }
        }
    }

    fn write_manifests(
        &mut self,
        units: &BTreeSet<Unit>,
        targets: &QuadletTargets,
    ) -> Result<(), ApplierError> {
        for mode in MODES {
            let dir = directory(targets, mode).to_owned();
            let names: Vec<String> =
                units.iter().filter(|unit| unit.mode == mode).map(Unit::filename).collect();
            let path = dir.join(MANIFEST);
            if names.is_empty() && self.parts.root.entry(&path)?.is_none() {
                continue;
            }
            let bytes = serde_json::to_vec(&names).map_err(|source| ApplierError::Invalid {
                name: MANIFEST.to_owned(),
                source: Box::new(source),
            })?;
            make_dirs(&mut self.parts.root, &dir, self.parts.owners.meta(Owner::Root, 0o755))?;
            let meta = self.parts.owners.meta(Owner::Root, 0o600);
            replace_file(&mut self.parts.root, &path, &bytes, meta)?;
        }
        Ok(())
    }

    /// Its manager runs without a login, and from boot on.
    fn start_user_manager(&mut self, until: Moment) -> Result<(), ServiceError> {
        let user = self.parts.app_user.clone();
        let linger = ["loginctl", "enable-linger", &user];
        self.run(&linger, b"", until).failed("cannot keep the account's services running")?;
        let unit = format!("user@{}.service", self.parts.owners.app_service.0);
        self.job(UnitMode::Rootful, UnitJob::Start, &unit, until)
    }
}

fn key_of(unit: &Unit) -> String {
    format!("{} {}", unit.mode, unit.filename())
}

fn directory(targets: &QuadletTargets, mode: UnitMode) -> &Path {
    match mode {
        UnitMode::Rootful => &targets.rootful,
        UnitMode::Rootless => &targets.rootless,
    }
}
