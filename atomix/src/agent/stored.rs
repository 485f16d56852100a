// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where is a bundle that its owner wants stored before it is installed? One file at most, in a
//! directory of its own, fetched only where there is room for it, and gone once it is in the slot.

use super::fetch::{Fetch, Show};
use crate::commands::bundle::open_verified;
use crate::commands::room::Room;
use crate::context::Context;
use crate::failure::Failure;
use agents::InstallOrder;
use agents::ddi::{FileHasher, FileHashes};
use bundle::VerifiedBundle;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files};
use updater::InstallEvent;

const DIR: &str = "/data/atomix/bundles";

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
        let path = self.context.files.resolve(&Self::path(order))?;
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

    /// Fetches the whole of it.
    ///
    /// # Errors
    /// [`Failure::Refused`] where there is no room, [`Failure::Fetch`], [`Failure::Io`].
    pub fn fetch(
        &self,
        fetch: &Fetch<'_>,
        order: &InstallOrder,
        show: Show<'_>,
    ) -> Result<FileHashes, Failure> {
        self.clear(Some(order))?;
        let (_, transfer) = fetch.transfer(&order.urls, order.rate)?;
        let seen = transfer.look(self.context);
        transfer.told().into_iter().for_each(|text| show(InstallEvent::Note(text)));
        let seen = seen?;
        let (size, found) = (seen.facts().size, seen.facts().manifest);
        if found != order.manifest {
            let what = "the server has another bundle than the one that was judged".to_owned();
            return Err(Failure::Refused { what, hint: "the agent looks again" });
        }
        self.demand_room(size)?;
        fetch.budget.demand(size).map_err(Failure::Fetch)?;
        let path = self.context.files.resolve(&Self::path(order))?;
        let failed = |act| {
            let path = path.clone();
            move |source: io::Error| Failure::Io { act, path, source }
        };
        let dir = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(dir).map_err(failed("make the directory of"))?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let mut file = options.open(&path).map_err(failed("make"))?;
        let fetched = transfer.download(&file, size);
        transfer.told().into_iter().for_each(|text| show(InstallEvent::Note(text)));
        fetched?;
        // Whether it is whole is found out before every use; it need only survive.
        file.sync_all().map_err(failed("store"))?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("store"))?;
        hash(&mut file).map_err(failed("read"))
    }

    fn demand_room(&self, size: ByteLen) -> Result<(), Failure> {
        let wanted = ByteLen::new(size.get().saturating_add(SPARE.get()));
        let Some(room) = Room::of_data(self.context) else { return Ok(()) };
        if room.takes(wanted) {
            return Ok(());
        }
        Err(Failure::Refused {
            what: format!("/data has no room for a bundle of {size}"),
            hint: "make room there, or set keep_bundles = false: it is then written as it comes",
        })
    }

    /// Removes everything but what is stored for an order.
    ///
    /// # Errors
    /// [`Failure::Files`].
    pub fn clear(&self, keep: Option<&InstallOrder>) -> Result<(), Failure> {
        let kept = keep.map(Self::path);
        let mut files = self.context.files.clone();
        for name in files.list(Path::new(DIR))? {
            let path = Path::new(DIR).join(name);
            if kept.as_ref() != Some(&path) {
                files.remove(&path)?;
            }
        }
        Ok(())
    }
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
