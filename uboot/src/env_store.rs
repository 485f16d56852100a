// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a change of the environment reach its medium whole?
//!
//! A store writes the copy that does not count, makes it durable, reads it back past the cache
//! and only then lets it count. With two copies a cut at any byte leaves the old or the new
//! environment to be found; with one copy (the weaker choice) a cut may leave none. On NOR flash
//! both copies count as active between the write and the clearing of the old flag; then copy 1
//! is used, old or new, and the next store finishes what was begun.
//!
//! Never retries, never guesses: a copy that is corrupt, blank or unreadable is reported as such.

use crate::env_image::newer_of;
use crate::{CopyPlace, Env, EnvError, FlagScheme, Redundancy, encode_image, parse_image};
use std::error::Error;
use storage::{Storage, StorageError};

/// Smallest environment worth having.
const MIN_ENV_BYTES: u32 = 512;

/// Largest environment read into memory; U-Boot's own are at most an erase block of 256 KiB, and
/// a wrong `fw_env.config` must not make us allocate gigabytes.
const MAX_ENV_BYTES: u32 = 1024 * 1024;

/// Longest first name by which a damaged environment is known; longer ones of other people's
/// bytes would be found by chance.
const MAX_FIRST_NAME_BYTES: usize = 64;

/// Where the flag byte of a redundant copy lies.
const FLAG_OFFSET: u64 = 4;

/// The environment in its place: one or two copies.
pub struct EnvStore<S> {
    copies: Vec<(S, CopyPlace)>,
    redundancy: Redundancy,
}

/// What one copy was found to be.
#[derive(Debug)]
pub enum CopyHealth {
    /// Valid; the flag is absent in a single copy.
    Valid {
        /// Its flag.
        flag: Option<u8>,
    },
    /// Blank: all bytes are 0xFF or all are zero, so nothing was ever stored here.
    Blank,
    /// The checksum is wrong and the data begin as an environment does: a torn write, or bits
    /// that flipped.
    Corrupt {
        /// Checksum in the header.
        expected_crc: u32,
        /// Checksum of the data.
        found_crc: u32,
    },
    /// The checksum is wrong and the data do not begin as an environment does: most likely the
    /// wrong place.
    Foreign,
    /// The checksum is right and U-Boot refuses the content all the same.
    Malformed(EnvError),
    /// The medium did not give the bytes.
    Unreadable(StorageError),
}

/// The environment that counts and what the copies look like.
#[derive(Debug)]
pub struct LoadedEnv {
    /// The variables.
    pub env: Env,
    /// Index of the copy they come from.
    pub active: usize,
    /// Health of each copy.
    pub copies: Vec<CopyHealth>,
    places: Vec<String>,
}

impl LoadedEnv {
    /// A line for each copy that is not valid, naming it. A blank second copy is worth a line
    /// too: the environment is not redundant before the next store.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let broken = self.copies.iter().zip(&self.places).enumerate();
        broken
            .filter(|(_, (health, _))| !matches!(health, CopyHealth::Valid { .. }))
            .map(|(index, (health, place))| {
                let what = describe(index, place, health);
                match health {
                    // Fixed by the commit that follows, or by nothing but a person.
                    CopyHealth::Unreadable(_) => {
                        format!("{what}; check fw_env.config and the medium")
                    }
                    CopyHealth::Valid { .. }
                    | CopyHealth::Blank
                    | CopyHealth::Corrupt { .. }
                    | CopyHealth::Foreign
                    | CopyHealth::Malformed(_) => {
                        format!("{what}; the next change of the boot state writes it anew")
                    }
                }
            })
            .collect()
    }
}

fn describe(index: usize, place: &str, health: &CopyHealth) -> String {
    let what = match health {
        CopyHealth::Valid { .. } => "is valid".to_owned(),
        CopyHealth::Blank => "is blank".to_owned(),
        CopyHealth::Corrupt { expected_crc, found_crc } => {
            format!("is corrupt (checksum {found_crc:08x}, expected {expected_crc:08x})")
        }
        CopyHealth::Foreign => "holds no environment".to_owned(),
        CopyHealth::Malformed(cause) => format!("is malformed ({cause})"),
        CopyHealth::Unreadable(cause) => {
            let reason = cause.source().map_or(String::new(), |reason| format!(": {reason}"));
            format!("is unreadable ({cause}{reason})")
        }
    };
    format!("environment copy {} at {place} {what}", index + 1)
}

impl<S: Storage> EnvStore<S> {
    /// Takes the copies in the order of `fw_env.config`. Two copies on NOR flash (the storage has
    /// an erase block size) use [`FlagScheme::Nor`], two elsewhere [`FlagScheme::Counter`].
    ///
    /// # Errors
    /// [`EnvError::CopiesDiffer`], [`EnvError::CopiesOverlap`] or [`EnvError::BadSize`]; nothing
    /// is read here.
    pub fn open(copies: Vec<(S, CopyPlace)>) -> Result<Self, EnvError> {
        for (storage, place) in &copies {
            if !(MIN_ENV_BYTES..=MAX_ENV_BYTES).contains(&place.env_bytes) {
                return Err(EnvError::BadSize {
                    label: storage.label().to_owned(),
                    bytes: place.env_bytes,
                    least: MIN_ENV_BYTES,
                    most: MAX_ENV_BYTES,
                });
            }
        }
        let redundancy = match copies.as_slice() {
            [_] => Redundancy::Single,
            [first, second] => Redundancy::Redundant(scheme_of(first, second)?),
            _ => return Err(EnvError::CopiesDiffer { reason: "there are neither one nor two" }),
        };
        Ok(Self { copies, redundancy })
    }

    /// Bytes the variables may take, the closing NUL included.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.copies.first().map_or(0, |(_, place)| {
            usize::try_from(place.env_bytes)
                .unwrap_or(0)
                .saturating_sub(self.redundancy.header_bytes())
        })
    }

    /// Whether there is one copy or two, and what the flag means.
    #[must_use]
    pub fn redundancy(&self) -> Redundancy {
        self.redundancy
    }

    /// Reads the environment U-Boot would use.
    ///
    /// # Errors
    /// [`EnvError::Unreadable`] when no copy is valid and one could not be read,
    /// [`EnvError::Lost`] when all are blank, [`EnvError::BothCorrupt`] otherwise.
    pub fn load(&self) -> Result<LoadedEnv, EnvError> {
        let mut found: Vec<(CopyHealth, Option<Env>)> =
            self.copies.iter().map(|(storage, place)| self.inspect(storage, place)).collect();
        let places: Vec<String> = self.copies.iter().map(place_name).collect();
        let Some(active) = active_of(&found) else {
            return Err(no_valid_copy(found.into_iter().map(|(health, _)| health), &places));
        };
        let env = found.get_mut(active).and_then(|(_, env)| env.take()).unwrap_or_default();
        let copies = found.into_iter().map(|(health, _)| health).collect();
        Ok(LoadedEnv { env, active, copies, places })
    }

    /// What each copy looks like, in order; for those who want to know although none is valid.
    #[must_use]
    pub fn copies(&self) -> Vec<CopyHealth> {
        self.copies.iter().map(|(storage, place)| self.inspect(storage, place).0).collect()
    }

    /// A copy that is not valid is read a second time: after one bad transfer the older copy would
    /// count, and with the next change what was committed last would be lost for good.
    fn inspect(&self, storage: &S, place: &CopyPlace) -> (CopyHealth, Option<Env>) {
        match self.read_copy(storage, place) {
            (CopyHealth::Valid { flag }, env) => (CopyHealth::Valid { flag }, env),
            (
                CopyHealth::Blank
                | CopyHealth::Corrupt { .. }
                | CopyHealth::Foreign
                | CopyHealth::Malformed(_)
                | CopyHealth::Unreadable(_),
                _,
            ) => self.read_copy(storage, place),
        }
    }

    fn read_copy(&self, storage: &S, place: &CopyPlace) -> (CopyHealth, Option<Env>) {
        let mut image = vec![0; usize::try_from(place.env_bytes).unwrap_or(0)];
        if let Err(source) = storage.read_at(place.offset, &mut image) {
            return (CopyHealth::Unreadable(source), None);
        }
        if image.iter().all(|byte| *byte == 0xff) || image.iter().all(|byte| *byte == 0) {
            return (CopyHealth::Blank, None);
        }
        match parse_image(&image, self.redundancy) {
            Ok((flag, env)) => (CopyHealth::Valid { flag }, Some(env)),
            Err(EnvError::Checksum { .. })
                if !begins_as_environment(&image, self.redundancy.header_bytes()) =>
            {
                (CopyHealth::Foreign, None)
            }
            Err(EnvError::Checksum { expected, found }) => {
                (CopyHealth::Corrupt { expected_crc: expected, found_crc: found }, None)
            }
            Err(other) => (CopyHealth::Malformed(other), None),
        }
    }

    /// Makes `env` the environment, durably: after it returns, U-Boot reads `env`; after a cut
    /// before that, `env` or what was there before.
    ///
    /// A place that holds other people's bytes is not written: with a wrong offset in
    /// `fw_env.config` that would destroy them, and U-Boot would never see the result. One copy
    /// that is, or was, an environment vouches for both.
    ///
    /// # Errors
    /// [`EnvError::Foreign`] and [`EnvError::TooBig`] before anything is touched,
    /// [`EnvError::Write`], [`EnvError::ReadBack`].
    pub fn store(&mut self, env: &Env) -> Result<(), EnvError> {
        let copies = self.copies();
        let is_foreign = |health: &CopyHealth| matches!(health, CopyHealth::Foreign);
        let vouches = |health: &CopyHealth| match health {
            CopyHealth::Valid { .. } | CopyHealth::Corrupt { .. } | CopyHealth::Malformed(_) => {
                true
            }
            CopyHealth::Blank | CopyHealth::Foreign | CopyHealth::Unreadable(_) => false,
        };
        if copies.iter().any(is_foreign) && !copies.iter().any(vouches) {
            let places = self.copies.iter().zip(&copies).filter(|(_, health)| is_foreign(health));
            let places: Vec<String> = places.map(|(copy, _)| place_name(copy)).collect();
            return Err(EnvError::Foreign { places: places.join(" and at ") });
        }
        self.store_as_firmware(env)
    }

    /// As [`EnvStore::store`], whatever the place holds: what U-Boot's `saveenv` does, which knows
    /// its place from being built for it. For models of the firmware.
    ///
    /// # Errors
    /// As [`EnvStore::store`], without [`EnvError::Foreign`].
    pub fn store_as_firmware(&mut self, env: &Env) -> Result<(), EnvError> {
        let found: Vec<(CopyHealth, Option<Env>)> =
            self.copies.iter().map(|(storage, place)| self.inspect(storage, place)).collect();
        let active = active_of(&found);
        let active_flag =
            active.and_then(|index| found.get(index)).and_then(|(health, _)| match health {
                CopyHealth::Valid { flag } => *flag,
                CopyHealth::Blank
                | CopyHealth::Corrupt { .. }
                | CopyHealth::Foreign
                | CopyHealth::Malformed(_)
                | CopyHealth::Unreadable(_) => None,
            });
        let (target, flag) = match self.redundancy {
            Redundancy::Single => (0, None),
            Redundancy::Redundant(scheme) => {
                // With no valid copy the first one is written: nothing can be lost any more.
                let target = active.map_or(0, |index| 1 - index);
                (target, Some(scheme.next_flag(active_flag)))
            }
        };
        let image = encode_image(env, self.capacity() + self.redundancy.header_bytes(), flag)?;
        self.write_copy(target, &image)?;
        match (self.redundancy, active) {
            (Redundancy::Redundant(FlagScheme::Nor), Some(old)) => self.retire_copy(old),
            (Redundancy::Redundant(_) | Redundancy::Single, _) => Ok(()),
        }
    }

    /// Writes one copy whole. A cut in here leaves this copy blank or corrupt and the other one,
    /// which still counts, untouched; the next store writes this copy again.
    fn write_copy(&mut self, index: usize, image: &[u8]) -> Result<(), EnvError> {
        let Some((storage, place)) = self.copies.get_mut(index) else { return Ok(()) };
        let failed = |source| EnvError::Write { copy: index + 1, source };
        let len = image.len() as u64;
        if let Some(erase_bytes) = erased_bytes(storage, place) {
            storage.erase(place.offset, erase_bytes).map_err(failed)?;
        }
        storage.write_at(place.offset, image).map_err(failed)?;
        storage.flush().map_err(failed)?;
        storage.forget_cached(place.offset, len).map_err(failed)?;
        expect_bytes(storage, index, place.offset, image)
    }

    /// Programs the old copy's flag to 0, which NOR flash can do without an erase. A cut before
    /// this leaves two active copies, and copy 1 counts: old or new, both whole.
    fn retire_copy(&mut self, index: usize) -> Result<(), EnvError> {
        let Some((storage, place)) = self.copies.get_mut(index) else { return Ok(()) };
        let failed = |source| EnvError::Write { copy: index + 1, source };
        let at = place.offset + FLAG_OFFSET;
        storage.write_at(at, &[0]).map_err(failed)?;
        storage.flush().map_err(failed)?;
        storage.forget_cached(at, 1).map_err(failed)?;
        expect_bytes(storage, index, at, &[0])
    }
}

fn expect_bytes<S: Storage>(
    storage: &S,
    index: usize,
    offset: u64,
    expected: &[u8],
) -> Result<(), EnvError> {
    let mut found = vec![0; expected.len()];
    storage.read_at(offset, &mut found).map_err(|source| {
        let place = format!("{offset:#x} of {}", storage.label());
        EnvError::Unreadable { copy: index + 1, place, others: Vec::new(), source }
    })?;
    match found.iter().zip(expected).position(|(found, expected)| found != expected) {
        None => Ok(()),
        Some(at) => Err(EnvError::ReadBack {
            copy: index + 1,
            label: storage.label().to_owned(),
            offset: offset + at as u64,
        }),
    }
}

/// Bytes to erase for a copy: all erase blocks its size touches, or those the place names if
/// they are more. `None` where nothing is erased.
fn erased_bytes<S: Storage>(storage: &S, place: &CopyPlace) -> Option<u64> {
    let block = u64::from(storage.geometry().erase_bytes?);
    let named = u64::from(place.erase_bytes) * u64::from(place.sectors);
    Some(u64::from(place.env_bytes).max(named).next_multiple_of(block.max(1)))
}

fn scheme_of<S: Storage>(
    first: &(S, CopyPlace),
    second: &(S, CopyPlace),
) -> Result<FlagScheme, EnvError> {
    let flash = |copy: &(S, CopyPlace)| copy.0.geometry().erase_bytes.is_some();
    if first.1.env_bytes != second.1.env_bytes {
        return Err(EnvError::CopiesDiffer { reason: "their sizes differ" });
    }
    if flash(first) != flash(second) {
        return Err(EnvError::CopiesDiffer { reason: "only one lies in flash" });
    }
    if first.1.device == second.1.device {
        let bytes = |copy: &(S, CopyPlace)| {
            erased_bytes(&copy.0, &copy.1).unwrap_or(u64::from(copy.1.env_bytes))
        };
        let apart = |low: &(S, CopyPlace), high: &(S, CopyPlace)| {
            low.1.offset.checked_add(bytes(low)).is_some_and(|end| end <= high.1.offset)
        };
        if !apart(first, second) && !apart(second, first) {
            return Err(EnvError::CopiesOverlap {
                label: first.0.label().to_owned(),
                first: first.1.offset,
                second: second.1.offset,
            });
        }
    }
    Ok(if flash(first) { FlagScheme::Nor } else { FlagScheme::Counter })
}

/// Whether the data begin with `NAME=`. Bits may have flipped anywhere else; a kernel, a file
/// system, the flight recorder or U-Boot's own code do not begin so.
fn begins_as_environment(image: &[u8], header_bytes: usize) -> bool {
    let start = image.iter().skip(header_bytes).take(MAX_FIRST_NAME_BYTES + 1);
    let name: Vec<u8> = start.copied().take_while(|byte| *byte != b'=').collect();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-#".contains(byte);
    (1..=MAX_FIRST_NAME_BYTES).contains(&name.len()) && name.iter().all(is_name)
}

fn active_of(found: &[(CopyHealth, Option<Env>)]) -> Option<usize> {
    let flag_of = |index: usize| match found.get(index) {
        Some((CopyHealth::Valid { flag }, Some(_))) => Some(flag.unwrap_or(0)),
        _ => None,
    };
    match (flag_of(0), flag_of(1)) {
        (Some(first), Some(second)) => Some(newer_of(first, second)),
        (Some(_), None) => Some(0),
        (None, Some(_)) => Some(1),
        (None, None) => None,
    }
}

fn no_valid_copy(found: impl Iterator<Item = CopyHealth>, places: &[String]) -> EnvError {
    let mut all_blank = true;
    let mut unreadable = None;
    let mut others = Vec::new();
    for (index, (health, place)) in found.zip(places).enumerate() {
        all_blank &= matches!(health, CopyHealth::Blank);
        match (unreadable.is_none(), health) {
            (true, CopyHealth::Unreadable(source)) => {
                unreadable = Some((index + 1, place.clone(), source));
            }
            (_, health) => others.push(describe(index, place, &health)),
        }
    }
    if let Some((copy, place, source)) = unreadable {
        return EnvError::Unreadable { copy, place, others, source };
    }
    if all_blank {
        EnvError::Lost { places: places.join(" and at ") }
    } else {
        EnvError::BothCorrupt { places: others.join("; ") }
    }
}

fn place_name<S: Storage>((storage, place): &(S, CopyPlace)) -> String {
    format!("{:#x} of {}", place.offset, storage.label())
}
