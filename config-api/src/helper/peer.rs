// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is at the other end of the socket? The kernel's answer, not the peer's.

use super::Asker;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::io;
use std::os::unix::net::UnixStream;

/// Why a peer is turned away.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The kernel does not say who it is.
    #[error("cannot tell who is at the other end")]
    Unknown(#[source] io::Error),
    /// Another user.
    #[error("user {uid} may not ask")]
    Refused {
        /// Its number.
        uid: u32,
    },
}

/// The users that may ask: root, and the one that the HTTP process runs as.
#[derive(Clone, Debug)]
pub struct AllowedPeers {
    service: u32,
}

impl AllowedPeers {
    /// Root and this user.
    #[must_use]
    pub const fn new(service: u32) -> Self {
        Self { service }
    }

    /// Lets a peer in, as who it is.
    ///
    /// # Errors
    /// [`PeerError`].
    pub fn admit(&self, stream: &UnixStream) -> Result<Asker, PeerError> {
        let peer = getsockopt(stream, PeerCredentials)
            .map_err(|errno| PeerError::Unknown(errno.into()))?;
        match peer.uid() {
            0 => Ok(Asker::Root),
            uid if uid == self.service => Ok(Asker::Service),
            uid => Err(PeerError::Refused { uid }),
        }
    }
}
