// SPDX-License-Identifier: MIT OR Apache-2.0
//! The helper's socket: who is let in, how many at once, and how long one may take to say what it
//! wants.

use super::{AllowedPeers, Asker, Helper, PeerError, Pipeline, ServeError, Uploads};
use nix::unistd::{Gid, chown};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Connections at once; the HTTP process needs three.
const MAX_CONNECTIONS: usize = 16;
/// For a request, and for each answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the helper cannot listen, or turned somebody away.
#[derive(Debug, thiserror::Error)]
pub enum HelperListenError {
    /// The socket cannot be made.
    #[error("cannot listen at {}", path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something else than a socket of an earlier helper is in the way.
    #[error("{} is no socket", path.display())]
    InTheWay {
        /// Where.
        path: PathBuf,
    },
    /// A peer was turned away.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A conversation failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// No connection can be accepted or served for the moment.
    #[error("cannot take a connection")]
    Accept(#[source] io::Error),
}

/// Makes the socket at `path`, which the users of `group` may connect to.
///
/// # Errors
/// [`HelperListenError`].
#[expect(clippy::disallowed_methods, reason = "a socket is no file that could be replaced whole")]
pub fn bind_helper(path: &Path, group: u32) -> Result<UnixListener, HelperListenError> {
    let failed = |source| HelperListenError::Bind { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path).map_err(failed)?,
        Ok(_) => return Err(HelperListenError::InTheWay { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    chown(path, None, Some(Gid::from_raw(group))).map_err(|errno| failed(errno.into()))?;
    fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// Serves for good. `note` hears what went wrong; nothing that a client does ends the helper.
pub fn serve_helper<P, U>(
    listener: &UnixListener,
    helper: &Arc<Helper<P, U>>,
    peers: &AllowedPeers,
    note: &(impl Fn(&HelperListenError) + Clone + Send + 'static),
) where
    P: Pipeline + 'static,
    U: Uploads + 'static,
{
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                note(&HelperListenError::Accept(error));
                // Out of descriptors, as a rule: the conversations under way give theirs back.
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let asker = match peers.admit(&stream) {
            Ok(asker) => asker,
            Err(error) => {
                note(&error.into());
                continue;
            }
        };
        let place = Place::take(&open);
        let Some(place) = place else { continue };
        let (helper, telling) = (Arc::clone(helper), note.clone());
        let served = thread::Builder::new().spawn(move || {
            let _place = place;
            if let Err(error) = converse(&helper, stream, asker) {
                telling(&error);
            }
        });
        if let Err(error) = served {
            note(&HelperListenError::Accept(error));
        }
    }
}

fn converse<P: Pipeline, U: Uploads>(
    helper: &Helper<P, U>,
    mut stream: UnixStream,
    asker: Asker,
) -> Result<(), HelperListenError> {
    let patience = Some(PATIENCE);
    let set = stream.set_read_timeout(patience).and_then(|()| stream.set_write_timeout(patience));
    set.map_err(HelperListenError::Accept)?;
    Ok(helper.serve(&mut stream, asker)?)
}

/// One of the connections at once.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        // Counted first, so that the place is given back by its drop in both cases.
        let place = Self(Arc::clone(open));
        (open.fetch_add(1, Ordering::AcqRel) < MAX_CONNECTIONS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
