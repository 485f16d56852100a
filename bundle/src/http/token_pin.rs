// SPDX-License-Identifier: MIT OR Apache-2.0
//! May this PIN be given to this token once more?
//!
//! A client key on a token is opened by libcurl, with a PIN that it hands on. The third wrong one
//! locks the token, and a service asks over and over with the PIN of its configuration. So a PIN
//! that did not open its token is remembered until this process ends, and while it is not known
//! to open it, one transfer at a time tries it.
//!
//! libcurl does not say whether it was the PIN: whatever keeps it from opening the key counts.

use super::options::HttpOptions;
use crate::pkcs11::Pkcs11Uri;
use openssl::sha::sha256;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A PIN file is a line.
const MAX_PIN_BYTES: u64 = 1024;

/// A token and a PIN as one name that does not give the PIN away.
type Name = [u8; 32];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Trying,
    Opens,
    Refused,
}

/// What this process knows.
pub(super) struct Ledger {
    known: Mutex<BTreeMap<Name, Known>>,
    news: Condvar,
}

/// That of all transfers.
pub(super) static LEDGER: Ledger = Ledger::new();

/// The PIN did not open its token before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RefusedBefore;

/// What a transfer showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The server answered: the key is open.
    Opens,
    /// The key was not opened.
    Refused,
    /// It did not come to that.
    Nothing,
}

/// A transfer with PINs; says nothing about them unless it is told.
pub(super) struct Trial<'a> {
    ledger: &'a Ledger,
    names: Vec<Name>,
}

impl Ledger {
    const fn new() -> Self {
        Self { known: Mutex::new(BTreeMap::new()), news: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a transfer with these options; waits while another one tries one of the PINs.
    pub(super) fn begin(&self, options: &HttpOptions) -> Result<Trial<'_>, RefusedBefore> {
        self.begin_with(names(options))
    }

    fn begin_with(&self, names: Vec<Name>) -> Result<Trial<'_>, RefusedBefore> {
        let mut known = self.lock();
        loop {
            let has = |what| names.iter().any(|name| known.get(name) == Some(&what));
            if has(Known::Refused) {
                return Err(RefusedBefore);
            }
            if !has(Known::Trying) {
                break;
            }
            known = self.news.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
        for name in &names {
            known.entry(*name).or_insert(Known::Trying);
        }
        Ok(Trial { ledger: self, names })
    }
}

impl Trial<'_> {
    /// Ends it.
    pub(super) fn end(self, shown: Shown) {
        let mut known = self.ledger.lock();
        for name in &self.names {
            match shown {
                Shown::Opens => drop(known.insert(*name, Known::Opens)),
                Shown::Refused => drop(known.insert(*name, Known::Refused)),
                Shown::Nothing => {}
            }
        }
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        let mut known = self.ledger.lock();
        for name in &self.names {
            if known.get(name) == Some(&Known::Trying) {
                known.remove(name);
            }
        }
        self.ledger.news.notify_all();
    }
}

/// The tokens that get a PIN, with it.
fn names(options: &HttpOptions) -> Vec<Name> {
    let uri = |text: &Option<String>| {
        let text = text.as_ref().filter(|text| Pkcs11Uri::is_uri(text))?;
        text.parse::<Pkcs11Uri>().ok()
    };
    let cert = uri(&options.tls_cert);
    let key = if options.tls_key.is_some() { uri(&options.tls_key) } else { cert.clone() };
    let pin = options.tls_pin.as_ref().map(|pin| pin.as_bytes().to_vec());
    let mut names: Vec<Name> =
        [(key, pin), (cert, None)].into_iter().filter_map(|(uri, pin)| name(&uri?, pin)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn name(uri: &Pkcs11Uri, given: Option<Vec<u8>>) -> Option<Name> {
    let own = uri.pin_value.as_ref().map(|pin| pin.bytes().to_vec());
    let pin = own.or_else(|| read_pin(uri)).or(given.filter(|_| uri.names_token()))?;
    let token = (&uri.token, &uri.serial, &uri.slot_id, &uri.manufacturer, &uri.model);
    Some(sha256(&[format!("{token:?}\0").into_bytes(), pin].concat()))
}

/// What the PIN's file says now: another PIN is another try.
fn read_pin(uri: &Pkcs11Uri) -> Option<Vec<u8>> {
    let file = std::fs::File::open(uri.pin_source.as_ref()?).ok()?;
    let mut pin = Vec::new();
    file.take(MAX_PIN_BYTES).read_to_end(&mut pin).ok()?;
    Some(pin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    fn of(key: &str, pin: Option<&str>) -> Vec<Name> {
        names(&HttpOptions {
            tls_key: Some(key.to_owned()),
            tls_pin: pin.map(str::to_owned),
            ..HttpOptions::default()
        })
    }

    #[test]
    fn a_pin_is_tried_once_per_token_whatever_the_key() {
        let ledger = Ledger::new();
        let wrong = || of("pkcs11:token=t;object=a", Some("1"));
        assert_eq!(wrong(), of("pkcs11:token=t;object=b?pin-value=1", None));
        ledger.begin_with(wrong()).unwrap().end(Shown::Nothing);
        ledger.begin_with(wrong()).unwrap().end(Shown::Refused);
        assert!(ledger.begin_with(of("pkcs11:token=t;object=b", Some("1"))).is_err());
        for (key, pin) in [("pkcs11:token=t;object=a", "2"), ("pkcs11:token=u;object=a", "1")] {
            assert!(ledger.begin_with(of(key, Some(pin))).is_ok(), "{key} {pin}");
        }
        // These get no PIN, or open no token.
        assert!(of("pkcs11:object=a", Some("1")).is_empty());
        assert!(of("/key.pem", Some("1")).is_empty());
        assert!(ledger.begin_with(Vec::new()).is_ok());
    }

    #[test]
    fn a_pin_that_is_not_known_yet_is_tried_by_one_at_a_time() {
        static SHARED: Ledger = Ledger::new();
        let names = of("pkcs11:token=t;object=a", Some("1"));
        let first = SHARED.begin_with(names.clone()).unwrap();
        let (says, said) = channel();
        let again = names.clone();
        let other = std::thread::spawn(move || {
            let refused = SHARED.begin_with(again).is_err();
            says.send(refused).unwrap();
        });
        assert!(said.recv_timeout(Duration::from_millis(50)).is_err(), "it waits");
        first.end(Shown::Refused);
        assert!(said.recv_timeout(Duration::from_secs(10)).unwrap());
        other.join().unwrap();
        // One that opens does not hold others up.
        let good = of("pkcs11:token=t;object=a", Some("2"));
        SHARED.begin_with(good.clone()).unwrap().end(Shown::Opens);
        let _one = SHARED.begin_with(good.clone()).unwrap();
        let _two = SHARED.begin_with(good).unwrap();
    }
}
