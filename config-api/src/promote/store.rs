// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configurations on the medium, and the order in which they change places.
//!
//! Whatever the state, its [`Store::settle`] is the same: the record, the link, the names, and what
//! is not needed any more last. So a cut anywhere is repaired by settling the state that the record
//! names, and settling twice does nothing.

use super::candidate::{Candidate, Content, Owner, Owners, Source, ensure_dir};
use super::error::PromoteError;
use super::layout::{
    CANDIDATE, CONFIG, CURRENT, GENERATIONS, Generation, IMPORT_PREFIX, OLD_CANDIDATE, OLD_LOCK,
    OLD_MARKER, OLD_ROLLBACK, OWNED_NAMES, RECORD, REPLACED_PREFIX, TRASH_PREFIX,
};
use super::migrate;
use super::record::{MAX_RECORD_BYTES, Record};
use super::seed::{Seed, Seeds};
use super::state::{BootId, Command, Moment, Next, State, step};
use std::path::{Path, PathBuf};
use storage::tree::{Entry, Kind, Trees, remove_all, replace_file, replace_link};

const RECORD_MODE: u32 = 0o600;

/// Names of ours beside [`OWNED_NAMES`]; each has a `.new` while it is replaced.
const OTHER_NAMES: [&str; 4] = ["current", "promotion.json", "generations", "managed-users.json"];

/// The configurations of a device, opened and in order.
pub struct Store {
    trees: Box<dyn Trees>,
    owners: Owners,
    state: State,
    seeds: Seeds,
}

/// A store, and what somebody should hear of how it was found.
pub struct Recovered {
    /// The store.
    pub store: Store,
    /// What was wrong and how it was helped.
    pub warning: Option<String>,
}

impl Store {
    /// Opens the configurations below `trees` (`/data`) and brings them in order, whatever a cut
    /// left: to be called at boot, and whenever the service starts.
    ///
    /// # Errors
    /// [`PromoteError`]; whether the device is provisioned is then unknown.
    pub fn recover(
        trees: Box<dyn Trees>,
        owners: Owners,
        boot: &BootId,
        now: Moment,
    ) -> Result<Recovered, PromoteError> {
        let state = State::Unprovisioned { rollback: None };
        let mut store = Self { trees, owners, state, seeds: Seeds::default() };
        let warning = store.find()?;
        let command = Command::Recover { boot: boot.clone(), now };
        store.state = step(&store.state, &command)?;
        store.seeds.follow(&store.state);
        if let Some(generation) = store.state.shown()
            && !store.is_dir(&generation.path())?
        {
            return Err(PromoteError::Lost { generation });
        }
        store.settle()?;
        Ok(Recovered { store, warning })
    }

    /// Which configuration counts.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// What the device found and took by itself.
    #[must_use]
    pub const fn seeds(&self) -> &Seeds {
        &self.seeds
    }

    /// The tree itself, for reading the generation that counts.
    #[must_use]
    pub fn trees(&self) -> &dyn Trees {
        &*self.trees
    }

    /// Whose entries are.
    #[must_use]
    pub const fn owners(&self) -> Owners {
        self.owners
    }

    /// Puts a new configuration on the medium, where nobody reads it yet.
    ///
    /// # Errors
    /// [`PromoteError`]; nothing of it is left.
    pub fn write(&mut self, source: &mut dyn Source) -> Result<Generation, PromoteError> {
        let number = self.free_number()?;
        let written = self.write_as(number, source);
        if written.is_err() {
            remove_all(&mut *self.trees, Path::new(CANDIDATE))?;
        }
        written.map(|()| number)
    }

    fn write_as(
        &mut self,
        number: Generation,
        source: &mut dyn Source,
    ) -> Result<(), PromoteError> {
        let (owners, above) = (self.owners, self.owners.dir());
        ensure_dir(&mut *self.trees, Path::new(GENERATIONS), above)?;
        let mut candidate = Candidate::begin(&mut *self.trees, Path::new(CANDIDATE), owners)?;
        source.each(&mut |item| {
            let meta = owners.meta(item.owner, item.mode);
            match item.content {
                Content::Dir => candidate.put_dir(item.path, meta),
                Content::Bytes(bytes) => candidate.put_file(item.path, &mut &*bytes, (meta, above)),
                Content::Payload(payload) => candidate.put_file(item.path, payload, (meta, above)),
            }
        })?;
        candidate.finish(&number.path(), above)
    }

    /// Does what follows from `command`: the record first.
    ///
    /// # Errors
    /// [`PromoteError`]. When the medium failed, [`Store::recover`] says which configuration counts.
    pub fn apply(&mut self, command: &Command) -> Result<Next, PromoteError> {
        self.change(step(&self.state, command)?)
    }

    /// The same for a promotion of what the device found: that it was taken is in the same record,
    /// so that no cut comes between.
    ///
    /// # Errors
    /// As [`Store::apply`].
    pub fn take_seed(&mut self, command: &Command, seed: Seed) -> Result<Next, PromoteError> {
        let state = step(&self.state, command)?;
        self.seeds.take(seed);
        self.change(state)
    }

    fn change(&mut self, state: State) -> Result<Next, PromoteError> {
        self.seeds.follow(&state);
        self.state = state;
        self.settle()?;
        Ok(self.state.next())
    }

    /// The state on the medium; an old device's trees are taken over.
    fn find(&mut self) -> Result<Option<String>, PromoteError> {
        let Some(bytes) = self.trees.read(Path::new(RECORD), MAX_RECORD_BYTES)? else {
            if let Some(generation) = migrate::take_over(&mut *self.trees, self.owners)? {
                self.state = State::Committed { generation, rollback: None };
            }
            return Ok(None);
        };
        let corrupt = match Record::parse(&bytes) {
            Ok(record) => {
                self.state = record.state;
                self.seeds = record.seeds;
                return Ok(None);
            }
            Err(corrupt) => corrupt,
        };
        // The link leads to nothing that was not complete once, and closes the door to strangers.
        let Some(generation) = self.linked()? else { return Err(corrupt) };
        self.state = State::Committed { generation, rollback: None };
        Ok(Some(format!("{corrupt}; {generation} counts, since {CURRENT} leads there")))
    }

    fn linked(&self) -> Result<Option<Generation>, PromoteError> {
        let Some(Entry { kind: Kind::Link, .. }) = self.trees.entry(Path::new(CURRENT))? else {
            return Ok(None);
        };
        let target = self.trees.link_target(Path::new(CURRENT))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(generation) = Generation::parse(&name) else { return Ok(None) };
        let is_whole = target == generation.link_target() && self.is_dir(&generation.path())?;
        Ok(is_whole.then_some(generation))
    }

    fn is_dir(&self, path: &Path) -> Result<bool, PromoteError> {
        Ok(matches!(self.trees.entry(path)?, Some(Entry { kind: Kind::Dir, .. })))
    }

    fn free_number(&self) -> Result<Generation, PromoteError> {
        Ok(next_number(&*self.trees)?)
    }

    /// Brings the medium to the state. The record comes first: what follows from it is repeated
    /// after a cut, and what was kept for the state before it goes last.
    fn settle(&mut self) -> Result<(), PromoteError> {
        self.settle_record()?;
        self.settle_link()?;
        if self.state.shown().is_some() {
            self.settle_names()?;
        }
        self.discard()
    }

    fn settle_record(&mut self) -> Result<(), PromoteError> {
        let path = Path::new(RECORD);
        let found = self.trees.read(path, MAX_RECORD_BYTES)?;
        let fresh = State::Unprovisioned { rollback: None };
        if found.is_none() && self.state == fresh {
            return Ok(());
        }
        let wanted = Record::new(self.state.clone(), self.seeds.clone()).encode()?;
        if found.as_ref() == Some(&wanted) {
            return Ok(());
        }
        ensure_dir(&mut *self.trees, Path::new(CONFIG), self.owners.dir())?;
        let meta = self.owners.meta(Owner::Root, RECORD_MODE);
        replace_file(&mut *self.trees, path, &wanted, meta)?;
        let read = self.trees.read(path, MAX_RECORD_BYTES)?;
        if read.as_ref() != Some(&wanted) {
            return Err(PromoteError::ReadBack { path: path.to_owned() });
        }
        Ok(())
    }

    fn settle_link(&mut self) -> Result<(), PromoteError> {
        let path = Path::new(CURRENT);
        match self.state.shown() {
            Some(generation) => self.point(path, &generation.link_target()),
            None if self.trees.entry(path)?.is_some() => {
                remove_all(&mut *self.trees, path)?;
                Ok(self.trees.sync_dir(Path::new(CONFIG))?)
            }
            None => Ok(()),
        }
    }

    fn settle_names(&mut self) -> Result<(), PromoteError> {
        for name in OWNED_NAMES {
            let target = Path::new("current").join(name);
            self.point(&Path::new(CONFIG).join(name), &target)?;
        }
        Ok(())
    }

    /// Makes `path` a link to `target`. A directory in its place is moved aside first, since no
    /// link can replace it in one act; in between the name is missing, and settling again finds it.
    fn point(&mut self, path: &Path, target: &Path) -> Result<(), PromoteError> {
        match self.trees.entry(path)? {
            Some(Entry { kind: Kind::Link, .. }) if self.trees.link_target(path)? == target => {
                return Ok(());
            }
            Some(Entry { kind: Kind::Dir, .. }) => {
                let mut aside = std::ffi::OsString::from(REPLACED_PREFIX);
                aside.push(path.file_name().unwrap_or_default());
                let aside = Path::new(CONFIG).join(aside);
                remove_all(&mut *self.trees, &aside)?;
                self.trees.rename(path, &aside)?;
            }
            Some(_) | None => {}
        }
        Ok(replace_link(&mut *self.trees, path, target)?)
    }

    /// Deletes what no state needs. Generations lose their name before their content, so that what
    /// is called a generation is a whole one.
    fn discard(&mut self) -> Result<(), PromoteError> {
        let generations = Path::new(GENERATIONS);
        let kept = self.state.kept();
        let mut trash = Vec::new();
        for name in self.trees.list(generations)? {
            let Some(generation) = Generation::parse(&name.to_string_lossy()) else {
                trash.push(generations.join(name));
                continue;
            };
            if !kept.contains(&generation) {
                let aside = generations.join(format!("{TRASH_PREFIX}{generation}"));
                remove_all(&mut *self.trees, &aside)?;
                self.trees.rename(&generation.path(), &aside)?;
                self.trees.sync_dir(generations)?;
                trash.push(aside);
            }
        }
        trash.extend(self.left_behind()?);
        for path in trash {
            remove_all(&mut *self.trees, &path)?;
            self.trees.sync_dir(storage::tree::dir_of(&path))?;
        }
        Ok(())
    }

    /// What cuts and the program before us left, each to be deleted.
    fn left_behind(&self) -> Result<Vec<PathBuf>, PromoteError> {
        let config = Path::new(CONFIG);
        let ours = |name: &str| {
            let temporary = name
                .strip_suffix(".new")
                .is_some_and(|name| OWNED_NAMES.contains(&name) || OTHER_NAMES.contains(&name));
            temporary || name.starts_with(IMPORT_PREFIX) || name.starts_with(REPLACED_PREFIX)
        };
        let mut left: Vec<PathBuf> = Vec::new();
        for name in self.trees.list(config)? {
            if ours(&name.to_string_lossy()) {
                left.push(config.join(name));
            }
        }
        // The marker goes first: without it the rollback tree alone means nothing to anybody who
        // finds a configuration in place.
        for old in [OLD_MARKER, OLD_ROLLBACK, OLD_CANDIDATE, OLD_LOCK, "config.new"] {
            if self.trees.entry(Path::new(old))?.is_some() {
                left.push(PathBuf::from(old));
            }
        }
        Ok(left)
    }
}

/// One more than any number that lies there.
pub(super) fn next_number(trees: &dyn Trees) -> Result<Generation, storage::FilesError> {
    let names = trees.list(Path::new(GENERATIONS))?;
    let highest = names.iter().filter_map(|name| Generation::parse(&name.to_string_lossy())).max();
    Ok(highest.map_or(Generation::FIRST, Generation::next))
}
