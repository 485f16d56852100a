// SPDX-License-Identifier: MIT OR Apache-2.0
//! Has this been asked before? Nonces that were handed out and not used yet, each for one request.
//!
//! Bounded twice: for one client, so that it cannot use up what is there for all; for all clients,
//! so that memory stays small however many ask. Whoever has a fair share never loses what is
//! pending; a client that comes when all is taken gets its place from the one that has most.

use super::NonceRefused;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// How long a nonce is good for.
pub const NONCE_TTL_SECS: u64 = 300;

/// How long a request may take from its head to the helper.
const BODY_SECS: u64 = 180;

/// Most that are pending at once.
pub const MAX_NONCES: usize = 1024;

/// Most that the helper keeps: they live longer there than where clients are counted.
const MAX_HELD: usize = 4 * MAX_NONCES;

/// Most that are pending for one client.
pub const MAX_NONCES_PER_CLIENT: usize = 16;

/// Seconds since the machine started: a clock that nobody sets back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uptime(pub u64);

/// Who asks, for counting: an IPv4 address, or the 64 bits of an IPv6 address that name a network,
/// since every machine has the other 64 to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientKey([u8; 8]);

impl ClientKey {
    /// The client at this address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                // No network of IPv6 that hosts are in begins with zeros and these bits.
                Self([0, 0, 0, 0, a, b, c, d])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// A nonce: 32 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nonce([u8; 32]);

impl Nonce {
    /// The nonce of these random bytes.
    #[must_use]
    pub const fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// The random bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 32] {
        self.0
    }

    /// Reads 64 small hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let small = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let mut bytes = [0; 32];
        (small && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(Self(bytes))
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever reads a log must not learn one that is still good.
        f.write_str("Nonce(…)")
    }
}

struct Pending {
    client: ClientKey,
    until: Uptime,
}

/// The pending nonces.
#[derive(Default)]
pub struct NonceStore {
    pending: BTreeMap<Nonce, Pending>,
}

impl NonceStore {
    /// Hands out a nonce made of `random`.
    ///
    /// # Errors
    /// [`NonceRefused`] when this client, or all together, have too many pending.
    pub fn issue(
        &mut self,
        client: ClientKey,
        random: [u8; 32],
        now: Uptime,
    ) -> Result<Nonce, NonceRefused> {
        self.admit(client, now)?;
        if self.pending.len() >= MAX_NONCES {
            let own = self.pending.values().filter(|pending| pending.client == client).count();
            let dropped = self.greediest(own).ok_or(NonceRefused::All)?;
            self.pending.remove(&dropped);
        }
        let nonce = Nonce::new(random);
        let until = Uptime(now.0.saturating_add(NONCE_TTL_SECS));
        self.pending.insert(nonce, Pending { client, until });
        Ok(nonce)
    }

    /// Whether this client may have one more.
    ///
    /// # Errors
    /// [`NonceRefused`] when this client, or all together, have too many pending.
    pub fn admit(&mut self, client: ClientKey, now: Uptime) -> Result<(), NonceRefused> {
        self.pending.retain(|_, pending| pending.until > now);
        let own = self.pending.values().filter(|pending| pending.client == client).count();
        if own >= MAX_NONCES_PER_CLIENT {
            return Err(NonceRefused::Client);
        }
        if self.pending.len() < MAX_NONCES || self.greediest(own).is_some() {
            return Ok(());
        }
        Err(NonceRefused::All)
    }

    /// The oldest nonce of the client that has most, if that is so many more than `own` that
    /// giving one away leaves it no less: a stranger with a hundred addresses keeps nobody out.
    fn greediest(&self, own: usize) -> Option<Nonce> {
        let mut counts: BTreeMap<ClientKey, usize> = BTreeMap::new();
        for pending in self.pending.values() {
            *counts.entry(pending.client).or_default() += 1;
        }
        let most = counts.iter().max_by_key(|(_, count)| **count);
        let (greedy, _) = most.filter(|(_, count)| **count > own + 1)?;
        let own = self.pending.iter().filter(|(_, pending)| pending.client == *greedy);
        own.min_by_key(|(_, pending)| pending.until).map(|(nonce, _)| *nonce)
    }

    /// Hands out a nonce to the one process that asks for all clients, which bounds them itself;
    /// one more than there is room for drops the oldest. It lives longer than the client's, since
    /// it is looked at after the body came.
    pub fn issue_dropping_oldest(&mut self, random: [u8; 32], now: Uptime) -> Nonce {
        self.pending.retain(|_, pending| pending.until > now);
        let oldest = self.pending.iter().min_by_key(|(_, pending)| pending.until);
        let oldest = oldest.map(|(nonce, _)| *nonce);
        if let Some(oldest) = oldest.filter(|_| self.pending.len() >= MAX_HELD) {
            self.pending.remove(&oldest);
        }
        let nonce = Nonce::new(random);
        let until = Uptime(now.0.saturating_add(NONCE_TTL_SECS + BODY_SECS));
        self.pending.insert(nonce, Pending { client: ClientKey([0; 8]), until });
        nonce
    }

    /// Whether the nonce is pending; it stays so.
    #[must_use]
    pub fn knows(&self, nonce: &Nonce, now: Uptime) -> bool {
        self.pending.get(nonce).is_some_and(|pending| pending.until > now)
    }

    /// Uses the nonce up; `false` when it was not pending.
    pub fn take(&mut self, nonce: &Nonce, now: Uptime) -> bool {
        self.pending.remove(nonce).is_some_and(|pending| pending.until > now)
    }

    /// How many are pending.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
#[path = "nonce_tests.rs"]
mod tests;
