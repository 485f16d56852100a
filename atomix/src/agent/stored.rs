// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where is a bundle that its owner wants stored before it is installed? One file at most, in a
//! directory of its own, fetched only where there is room for it, and gone once it is in the slot or
//! nothing is under way any more. Flash rots, and the head of a file says nothing of the rest: one
//! that holds to its end is not fetched again, and one that does not hold when it is installed is gone.
//!
//! One whose server sends whole files only is stored before it is judged (`offered.raucb`). Beside it
//! lies what it was offered as: a digest of version, place and the server's mark for the file, and
//! that of the file as it came. While these stay the same it is not fetched again, so that a bundle
//! that is not taken here costs its bytes once. What a cut leaves of it has nothing beside it and is fetched anew.

use super::fetch::{Fetch, Show, not_it, ordered, other, wanted_by};
use crate::commands::bundle::open_verified;
use crate::commands::room::Room;
use crate::context::Context;
use crate::failure::Failure;
use agents::ddi::{FileHasher, FileHashes};
use agents::{InstallOrder, Looked, Offer};
use bundle::http::HttpError;
use bundle::{Source, VerifiedBundle, Wanted};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use storage::{ByteLen, Digest, Files};
use updater::InstallEvent;

const DIR: &str = "/data/atomix/bundles";
/// What was fetched before it was judged.
const OFFERED: &str = "/data/atomix/bundles/offered.raucb";
/// What that was offered as; not there while it comes.
const OFFERED_AS: &str = "/data/atomix/bundles/offered-as";
/// 64 digits are there, or something else.
const MAX_OFFERED_AS: ByteLen = ByteLen::kib(1);

/// Left free beside it: everything else on `/data` goes on.
const SPARE: ByteLen = ByteLen::mib(16);

const PIECE_BYTES: usize = 64 * 1024;

/// The directory.
pub struct Bundles<'a> {
    context: &'a Context,
}

impl<'a> Bundles<'a> {
    /// On this device.
    #[must_use]
    pub const fn new(context: &'a Context) -> Self {
        Self { context }
    }

    fn path(order: &InstallOrder) -> PathBuf {
        Path::new(DIR).join(format!("{}.raucb", order.manifest))
    }

    /// What is stored for an order, verified; nothing where that is not it.
    ///
    /// # Errors
    /// [`Failure`] of the configuration.
    pub fn open(&self, order: &InstallOrder) -> Result<Option<VerifiedBundle>, Failure> {
        match self.open_at(&Self::path(order), order)? {
            None => self.open_at(Path::new(OFFERED), order),
            found => Ok(found),
        }
    }

    /// What was stored for an order that was judged, if all of it holds. What was fetched before it was
    /// judged is held against what came ([`Self::look`]): its server may have nothing better.
    fn open_whole(&self, order: &InstallOrder) -> Result<Option<VerifiedBundle>, Failure> {
        let found = self.open_at(&Self::path(order), order)?;
        Ok(found.filter(|bundle| bundle.check_payload(&mut |_| ()).is_ok()))
    }

    fn open_at(
        &self,
        path: &Path,
        order: &InstallOrder,
    ) -> Result<Option<VerifiedBundle>, Failure> {
        let path = self.context.files.resolve(path)?;
        if !path.exists() {
            return Ok(None);
        }
        match open_verified(self.context, &path, None) {
            Ok(verified) if verified.manifest_digest() == order.manifest => Ok(Some(verified)),
            // A cut left a part of it, or it rotted: it is fetched again.
            Ok(_) | Err(Failure::Bundle { .. } | Failure::Input(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Whether what is stored is what is offered, by what its server says of it.
    #[must_use]
    pub fn holds_offer(&self, offer: &Offer, mark: Option<&str>) -> bool {
        let kept = self.context.files.read(Path::new(OFFERED_AS), MAX_OFFERED_AS);
        let is_it = kept.is_ok_and(|kept| {
            let kept = kept.unwrap_or_default();
            kept.split(|byte| *byte == b'\n').next()
                == Some(offer.digest(mark).to_string().as_bytes())
        });
        // A word without its file is of nothing.
        is_it && self.context.files.resolve(Path::new(OFFERED)).is_ok_and(|path| path.is_file())
    }

    /// The digest of what was fetched before it was judged, as it came.
    fn came_as(&self) -> Option<Digest> {
        let kept = self.context.files.read(Path::new(OFFERED_AS), MAX_OFFERED_AS).ok()??;
        String::from_utf8(kept).ok()?.lines().nth(1)?.parse().ok()
    }

    /// What is stored is fetched anew when it is offered again. Where that cannot be said it is used
    /// again, and refused again.
    pub fn forget_offer(&self) {
        let _kept = self.context.files.clone().remove(Path::new(OFFERED_AS));
    }

    /// Verifies what is stored of an offer, and says what it is.
    ///
    /// # Errors
    /// [`Failure::Bundle`], [`Failure::Refused`] where it is not the file that the server named.
    pub fn look(&self, offer: &Offer) -> Result<Looked, Failure> {
        let path = self.context.files.resolve(Path::new(OFFERED))?;
        let failed = |source| Failure::Io { act: "read", path: path.clone(), source };
        let hashes = File::open(&path).and_then(|mut file| hash(&mut file)).map_err(failed)?;
        if self.came_as().is_some_and(|came| !hashes.is(&came)) {
            self.forget_offer();
            return Err(other("the stored bundle rotted; it is fetched again".to_owned()));
        }
        if offer.file.is_some_and(|named| !hashes.is(&named)) {
            return Err(other(
                "the server sent another file than the one that it named".to_owned(),
            ));
        }
        let verified = open_verified(self.context, &path, None)?;
        let update = &verified.manifest().update;
        Ok(Looked {
            manifest: verified.manifest_digest(),
            version: update.version.clone(),
            compatible: update.compatible.clone(),
            size: hashes.size,
            transfer: ByteLen::ZERO,
        })
    }

    /// Fetches all of what is offered, and comes back with the server's mark for it.
    ///
    /// # Errors
    /// [`Failure::NoRoom`], [`Failure::Fetch`], [`Failure::Io`].
    pub fn fetch_offer(
        &self,
        fetch: &Fetch<'_>,
        offer: &Offer,
        rate: Option<ByteLen>,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Option<String>, Failure> {
        self.clear(None)?;
        if let Some(size) = offer.size {
            self.demand_room(size)?;
            fetch.budget.demand(size).map_err(Failure::Fetch)?;
        }
        let room = Room::of_data(self.context).map(|room| room.beside(SPARE));
        let allowed = offer.size.unwrap_or(ByteLen::new(u64::MAX)).min(fetch.budget.left());
        let (most, room) = bounded(allowed, room);
        let (_, transfer) = fetch.transfer(&offer.urls, Wanted::default(), rate)?;
        let mut files = self.context.files.clone();
        let path = files.resolve(Path::new(OFFERED))?;
        let mut file = make(&path)?;
        // Of one place there is no better file; among several a wrong one shuts no other out.
        let is_it = || Ok(!transfer.has_mirrors() || self.is_offered(offer)?);
        let fetched = transfer.download(&file, (0, most), &is_it);
        transfer.told().iter().for_each(|text| tell(text));
        let mark = match fetched {
            Ok(fetched) => fetched.mark,
            Err(failure) => {
                // No part of it is of use; where it cannot be removed the next fetch does.
                let _left = files.remove(Path::new(OFFERED));
                return Err(longer_than(room, failure));
            }
        };
        make_durable(&file, &path)?;
        let came = hash(&mut file).map_err(failed("read", &path))?;
        let offered_as = format!("{}\n{}", offer.digest(mark.as_deref()), came.sha256());
        files.replace(Path::new(OFFERED_AS), offered_as.as_bytes())?;
        Ok(mark)
    }

    /// Whether what was fetched is what is offered, as far as that is known, to its last byte.
    fn is_offered(&self, offer: &Offer) -> Result<bool, Failure> {
        let path = self.context.files.resolve(Path::new(OFFERED))?;
        let mut file = File::open(&path).map_err(failed("read", &path))?;
        let hashes = hash(&mut file).map_err(failed("read", &path))?;
        if offer.file.is_some_and(|named| !hashes.is(&named)) {
            return Ok(false);
        }
        match open_verified(self.context, &path, None) {
            Ok(bundle) => Ok(wanted_by(offer).difference(&bundle, hashes.size).is_none()
                && bundle.check_payload(&mut |_| ()).is_ok()),
            Err(Failure::Bundle { .. } | Failure::Input(_)) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Fetches the whole of it.
    ///
    /// # Errors
    /// [`Failure::NoRoom`], [`Failure::Fetch`], [`Failure::Io`].
    pub fn fetch(
        &self,
        fetch: &Fetch<'_>,
        order: &InstallOrder,
        show: Show<'_>,
    ) -> Result<FileHashes, Failure> {
        let held = if self.open_whole(order)?.is_some() {
            Some(Self::path(order))
        } else {
            self.open_at(Path::new(OFFERED), order)?.map(|_| PathBuf::from(OFFERED))
        };
        if let Some(path) = held {
            let path = self.context.files.resolve(&path)?;
            return File::open(&path)
                .and_then(|mut file| hash(&mut file))
                .map_err(failed("read", &path));
        }
        self.clear(Some(order))?;
        let (_, transfer) = fetch.transfer(&order.urls, ordered(order), order.rate)?;
        let seen = transfer.look(self.context);
        transfer.told().into_iter().for_each(|text| show(InstallEvent::Note(text)));
        let seen = seen.map_err(not_it)?;
        let (size, found) = (seen.facts().size, seen.facts().manifest);
        if found != order.manifest {
            let what = "the server has another bundle than the one that was judged".to_owned();
            return Err(Failure::Refused { what, hint: "the agent looks again" });
        }
        self.demand_room(size)?;
        fetch.budget.demand(size).map_err(Failure::Fetch)?;
        let path = self.context.files.resolve(&Self::path(order))?;
        let mut file = make(&path)?;
        // Where the look ended: the places before have something else, or nothing.
        let from = usize::try_from(seen.source().copy()).unwrap_or(0);
        let is_it = || Ok(self.open_whole(order)?.is_some());
        let fetched = transfer.download(&file, (from, size), &is_it);
        transfer.told().into_iter().for_each(|text| show(InstallEvent::Note(text)));
        fetched?;
        make_durable(&file, &path)?;
        hash(&mut file).map_err(|source| Failure::Io { act: "read", path, source })
    }

    fn demand_room(&self, size: ByteLen) -> Result<(), Failure> {
        let wanted = ByteLen::new(size.get().saturating_add(SPARE.get()));
        let Some(room) = Room::of_data(self.context) else { return Ok(()) };
        if room.takes(wanted) {
            return Ok(());
        }
        Err(Failure::NoRoom { what: format!("a bundle of {size}") })
    }

    /// Removes what was stored for orders, since nothing is under way. What was fetched before it was
    /// judged stays: it is not fetched again while it is offered and not taken.
    ///
    /// # Errors
    /// [`Failure::Files`].
    pub fn clear_orders(&self) -> Result<(), Failure> {
        self.remove_but(&[PathBuf::from(OFFERED), PathBuf::from(OFFERED_AS)])
    }

    /// Removes what was stored for an order and is not what was signed: it is fetched anew, and so is
    /// what was stored before it was judged.
    ///
    /// # Errors
    /// [`Failure::Files`].
    pub fn discard(&self, order: &InstallOrder) -> Result<(), Failure> {
        self.forget_offer();
        Ok(self.context.files.clone().remove(&Self::path(order))?)
    }

    /// Removes everything but what is stored for an order.
    ///
    /// # Errors
    /// [`Failure::Files`].
    pub fn clear(&self, keep: Option<&InstallOrder>) -> Result<(), Failure> {
        self.remove_but(keep.map(Self::path).as_slice())
    }

    fn remove_but(&self, kept: &[PathBuf]) -> Result<(), Failure> {
        let mut files = self.context.files.clone();
        for name in files.list(Path::new(DIR))? {
            let path = Path::new(DIR).join(name);
            if !kept.contains(&path) {
                files.remove(&path)?;
            }
        }
        Ok(())
    }
}

fn failed(act: &'static str, path: &Path) -> impl Fn(io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |source| Failure::Io { act, path: path.clone(), source }
}

/// How much is fetched of what nobody knows the size of, and the room where that alone bounds it.
fn bounded(allowed: ByteLen, room: Option<ByteLen>) -> (ByteLen, Option<ByteLen>) {
    let room = room.filter(|room| *room < allowed);
    (room.unwrap_or(allowed), room)
}

/// Where the room on `/data` alone bounded a fetch, it is not the server who has sent too much.
fn longer_than(room: Option<ByteLen>, failure: Failure) -> Failure {
    match (failure, room) {
        (Failure::Fetch(HttpError::TooLarge { limit, .. }), Some(room)) if limit == room.get() => {
            Failure::NoRoom {
                what: format!("a bundle of more than {room}, with {SPARE} left free"),
            }
        }
        (failure, _) => failure,
    }
}

fn make(path: &Path) -> Result<File, Failure> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir).map_err(failed("make the directory of", path))?;
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(true);
    options.open(path).map_err(failed("make", path))
}

/// Whether it is whole is found out before every use; it need only survive.
fn make_durable(file: &File, path: &Path) -> Result<(), Failure> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let synced = file.sync_all().and_then(|()| File::open(dir)?.sync_all());
    synced.map_err(failed("store", path))
}

fn hash(file: &mut File) -> io::Result<FileHashes> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = FileHasher::new().map_err(io::Error::other)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return hasher.finish().map_err(io::Error::other);
        }
        hasher.update(piece.get(..read).unwrap_or_default()).map_err(io::Error::other)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when a bundle of unknown size fills `/data`, or the owner's limit gives way to its room.
    #[test]
    fn what_comes_whole_is_bounded_by_the_room_and_by_what_may_come() {
        let mib = ByteLen::mib;
        assert_eq!(bounded(mib(9), Some(mib(3))), (mib(3), Some(mib(3))));
        assert_eq!(bounded(mib(3), Some(mib(9))), (mib(3), None));
        assert_eq!(bounded(mib(3), None), (mib(3), None));
    }

    /// Fails when a `/data` without room is told as a server whose bundle is too large.
    #[test]
    fn a_fetch_that_finds_no_room_is_no_fault_of_its_server() {
        let room = ByteLen::mib(3);
        let too_large = |limit: ByteLen| {
            let url = "https://u.example/b".to_owned();
            Failure::Fetch(HttpError::TooLarge { url, limit: limit.get() })
        };
        let full = longer_than(Some(room), too_large(room));
        assert!(matches!(full, Failure::NoRoom { .. }), "{}", full.chain());
        assert!(
            full.chain().contains("no room for a bundle of more than 3.0 MiB"),
            "{}",
            full.chain()
        );
        for (room, limit) in [(Some(room), ByteLen::mib(1)), (None, room)] {
            let of_server = longer_than(room, too_large(limit));
            assert!(matches!(of_server, Failure::Fetch(_)), "{}", of_server.chain());
        }
    }
}
