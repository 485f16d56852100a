// SPDX-License-Identifier: MIT OR Apache-2.0
//! May this PIN be given to this token once more?
//!
//! A client key on a token is opened by libcurl, with a PIN that it hands on. The third wrong one
//! locks the token, and a service asks over and over with the PIN of its configuration. So a PIN
//! that did not open its token is remembered until this process ends, and while it is not known
//! to open it, one transfer at a time tries it.
//!
//! libcurl does not say whether it was the PIN: whatever keeps it from opening the key counts, but
//! that a token is late. Where we do not see it either, its PIN may be given once more after it has
//! come. As long as it is not seen nothing is tried: we may look through another module than
//! OpenSSL, which its own configuration can name, and then the PIN may have been the cause.

use super::options::HttpOptions;
use crate::pkcs11::{Pkcs11Uri, is_seen};
use openssl::sha::sha256;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A PIN file is a line.
const MAX_PIN_BYTES: u64 = 1024;

/// Names the module for OpenSSL's engine.
const ENGINE_MODULE: &str = "PKCS11_MODULE_PATH";

/// A token and a PIN as one name that does not give the PIN away.
type Name = [u8; 32];

/// A token that gets a PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    name: Name,
    uri: Pkcs11Uri,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Trying,
    Opens,
    Refused,
    /// It was refused, and its token was not seen.
    Unseen,
    /// After that, it has come.
    TryingAgain,
}

/// What this process knows.
pub(super) struct Ledger {
    known: Mutex<BTreeMap<Name, Known>>,
    news: Condvar,
    /// Whether a token is there.
    sees: fn(&Pkcs11Uri) -> bool,
}

/// That of all transfers.
pub(super) static LEDGER: Ledger =
    Ledger::new(|uri| is_seen(uri, std::env::var_os(ENGINE_MODULE).map(PathBuf::from)));

/// The PIN did not open its token before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusedBefore {
    /// That is how it is.
    ForGood,
    /// It was not there, and is not.
    Unseen,
}

impl RefusedBefore {
    /// Why nothing is tried.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::ForGood => {
                "its token did not open with this PIN before, and it is not tried again before \
                 a restart: wrong PINs lock the token"
            }
            Self::Unseen => {
                "its token did not open and is not seen; its PIN is not tried again before it \
                 has come, or a restart"
            }
        }
    }
}

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
    tokens: Vec<Token>,
}

impl Ledger {
    const fn new(sees: fn(&Pkcs11Uri) -> bool) -> Self {
        Self { known: Mutex::new(BTreeMap::new()), news: Condvar::new(), sees }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a transfer with these options; waits while another one tries one of the PINs.
    pub(super) fn begin(&self, options: &HttpOptions) -> Result<Trial<'_>, RefusedBefore> {
        self.begin_with(tokens(options))
    }

    fn begin_with(&self, tokens: Vec<Token>) -> Result<Trial<'_>, RefusedBefore> {
        let mut known = self.lock();
        loop {
            let states: Vec<(Option<Known>, &Token)> =
                tokens.iter().map(|token| (known.get(&token.name).copied(), token)).collect();
            let has = |what| states.iter().any(|(state, _)| *state == Some(what));
            if has(Known::Refused) {
                return Err(RefusedBefore::ForGood);
            }
            if !has(Known::Trying) && !has(Known::TryingAgain) {
                // Held meanwhile: two that see it come must not both try.
                let has_come = |(state, token): &(Option<Known>, &Token)| {
                    *state != Some(Known::Unseen) || (self.sees)(&token.uri)
                };
                if !states.iter().all(has_come) {
                    return Err(RefusedBefore::Unseen);
                }
                break;
            }
            known = self.news.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
        for token in &tokens {
            let state = known.entry(token.name).or_insert(Known::Trying);
            if *state == Known::Unseen {
                *state = Known::TryingAgain;
            }
        }
        drop(known);
        Ok(Trial { ledger: self, tokens })
    }
}

impl Trial<'_> {
    /// Ends it.
    pub(super) fn end(self, shown: Shown) {
        for token in &self.tokens {
            let is_missing = shown == Shown::Refused && !(self.ledger.sees)(&token.uri);
            let mut known = self.ledger.lock();
            match (shown, known.get(&token.name)) {
                (Shown::Opens, _) => drop(known.insert(token.name, Known::Opens)),
                (Shown::Refused, Some(Known::Trying)) if is_missing => {
                    known.insert(token.name, Known::Unseen);
                }
                (Shown::Refused, _) => drop(known.insert(token.name, Known::Refused)),
                (Shown::Nothing, _) => {}
            }
        }
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        let mut known = self.ledger.lock();
        for token in &self.tokens {
            match known.get(&token.name) {
                Some(Known::Trying) => drop(known.remove(&token.name)),
                Some(Known::TryingAgain) => drop(known.insert(token.name, Known::Unseen)),
                Some(Known::Opens | Known::Refused | Known::Unseen) | None => {}
            }
        }
        self.ledger.news.notify_all();
    }
}

/// The tokens that get a PIN, with it.
fn tokens(options: &HttpOptions) -> Vec<Token> {
    let uri = |text: &Option<String>| {
        let text = text.as_ref().filter(|text| Pkcs11Uri::is_uri(text))?;
        text.parse::<Pkcs11Uri>().ok()
    };
    let cert = uri(&options.tls_cert);
    let key = if options.tls_key.is_some() { uri(&options.tls_key) } else { cert.clone() };
    let pin = options.tls_pin.as_ref().map(|pin| pin.as_bytes().to_vec());
    let token = |(uri, pin): (Option<Pkcs11Uri>, _)| {
        let uri = uri?;
        Some(Token { name: name(&uri, pin)?, uri })
    };
    let mut tokens: Vec<Token> = [(key, pin), (cert, None)].into_iter().filter_map(token).collect();
    tokens.sort_unstable_by_key(|token| token.name);
    tokens.dedup_by_key(|token| token.name);
    tokens
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
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    fn of(key: &str, pin: Option<&str>) -> Vec<Token> {
        tokens(&HttpOptions {
            tls_key: Some(key.to_owned()),
            tls_pin: pin.map(str::to_owned),
            ..HttpOptions::default()
        })
    }

    #[test]
    fn a_pin_is_tried_once_per_token_whatever_the_key() {
        let ledger = Ledger::new(|_| true);
        let wrong = || of("pkcs11:token=t;object=a", Some("1"));
        let other_key = of("pkcs11:token=t;object=b?pin-value=1", None);
        assert_eq!(wrong()[0].name, other_key[0].name);
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
        static SHARED: Ledger = Ledger::new(|_| true);
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
        assert!(said.recv_timeout(Duration::from_secs(60)).unwrap());
        other.join().unwrap();
        // One that opens does not hold others up.
        let good = of("pkcs11:token=t;object=a", Some("2"));
        SHARED.begin_with(good.clone()).unwrap().end(Shown::Opens);
        let _one = SHARED.begin_with(good.clone()).unwrap();
        let _two = SHARED.begin_with(good).unwrap();
    }

    /// Fails when a poll that comes before its token keeps every later one from it, or when a PIN
    /// is given again and again to one that we cannot see.
    #[test]
    fn a_token_that_was_not_there_is_tried_once_more_when_it_has_come() {
        static IS_THERE: AtomicBool = AtomicBool::new(false);
        let ledger = Ledger::new(|_| IS_THERE.load(Ordering::SeqCst));
        let token = || of("pkcs11:token=t;object=a", Some("1"));
        ledger.begin_with(token()).unwrap().end(Shown::Refused);
        assert_eq!(ledger.begin_with(token()).err(), Some(RefusedBefore::Unseen));
        IS_THERE.store(true, Ordering::SeqCst);
        // A connection that fails shows nothing, and costs nothing.
        ledger.begin_with(token()).unwrap().end(Shown::Nothing);
        let again = ledger.begin_with(token()).unwrap();
        IS_THERE.store(false, Ordering::SeqCst);
        // That was the PIN, even where its token went again.
        again.end(Shown::Refused);
        IS_THERE.store(true, Ordering::SeqCst);
        assert_eq!(ledger.begin_with(token()).err(), Some(RefusedBefore::ForGood));
    }
}
