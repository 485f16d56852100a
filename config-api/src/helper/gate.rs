// SPDX-License-Identifier: MIT OR Apache-2.0
//! Did an administrator sign this? Judged here once more, with nonces that this process handed out:
//! an HTTP process that was taken over can neither invent an administrator nor use again what one
//! signed before.

use crate::auth::{
    AdminSigners, Body, Claim, Denied, DeviceId, Nonce, NonceStore, Uptime, authenticate,
};
use crate::protocol::{Origin, Proof};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The nonces, and the device that signatures have to name.
pub(super) struct Gate {
    device: DeviceId,
    begun: Instant,
    nonces: Mutex<NonceStore>,
}

impl Gate {
    pub(super) fn new(device: DeviceId) -> Self {
        Self { device, begun: Instant::now(), nonces: Mutex::default() }
    }

    fn now(&self) -> Uptime {
        Uptime(self.begun.elapsed().as_secs())
    }

    /// A nonce; none when the kernel has no random numbers.
    pub(super) fn issue(&self) -> Option<Nonce> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).ok()?;
        // Whole after each statement, whatever panicked elsewhere.
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        Some(nonces.issue_dropping_oldest(random, self.now()))
    }

    /// Who signed, by the keys of `signers`.
    pub(super) fn verify(&self, proof: &Proof, signers: &str) -> Result<Origin, Denied> {
        let claim = Claim {
            method: &proof.method,
            target: &proof.target,
            content_type: Some(&proof.content_type),
            file_name: Some(&proof.file_name),
            if_match: Some(&proof.if_match),
            nonce: Some(&proof.nonce),
            signature: Some(&proof.signature),
            sha256: Some(&proof.sha256),
            body: Body::Announced,
        };
        let signers = AdminSigners::parse(signers);
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        let verified = authenticate(&claim, &self.device, &signers, &mut nonces, self.now())?;
        Ok(Origin::Admin { fingerprint: verified.fingerprint().to_owned() })
    }
}
