// SPDX-License-Identifier: MIT OR Apache-2.0
//! What do devices read? Documents made as `atomix release publish` makes them: encoded by `agents`,
//! signed as CMS with a development key, opened by the code that devices have.
//!
//! Ten thousand devices read the same bytes. A signature is judged once for each document, each
//! kind of clock and each hour; everything that depends on the device ([`VerifiedRelease::accept`])
//! is judged by each for itself.

use crate::catalog::{PRODUCT, Version, WEB};
use crate::time::unix;
use agents::{Clock, Origin, Release, Rollout, Sequence, Transport, Urgency, VerifiedRelease};
use anyhow::{Context as _, Result};
use bundle::{
    DevelopmentPki, DevelopmentPkiOptions, Keyring, KeyringOptions, SigningIdentity, UnixTime,
    sign_attached,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// How long a document counts.
const LIFE_SECS: i64 = 30 * 86_400;
const HOUR_SECS: i64 = 3600;
const PAGE: u64 = 4096;

/// Who signs.
pub struct Vendor {
    identity: SigningIdentity,
    keyring: Rc<Keyring>,
    /// Where devices find documents.
    pub origin: Origin,
}

/// What is published.
#[derive(Clone, Copy, Debug)]
pub struct Publication {
    /// Of this bundle.
    pub version: Version,
    /// Where it is being rolled out.
    pub rollout: Option<Rollout>,
    /// See there.
    pub urgency: Urgency,
}

impl Publication {
    /// For everybody at once.
    #[must_use]
    pub const fn whole(version: Version) -> Self {
        Self { version, rollout: None, urgency: Urgency::Ordinary }
    }
}

/// Which judgements of a signature are alike: by the kind of clock, and its hour.
type ClockClass = (bool, Option<i64>, i64);

/// A signed document.
pub struct Document {
    signed: Vec<u8>,
    keyring: Rc<Keyring>,
    /// What it is about.
    pub what: Publication,
    /// Its number.
    pub sequence: Sequence,
    opened: RefCell<BTreeMap<ClockClass, Result<Rc<VerifiedRelease>, String>>>,
}

impl Document {
    /// Its length on the way. Signatures by a new key differ by a byte or two, and a seed is to be the
    /// same run: whole pages are counted.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        (self.signed.len() as u64).next_multiple_of(PAGE)
    }

    /// What a device with such a clock finds in it.
    ///
    /// # Errors
    /// Why it would not believe it.
    pub fn open(&self, clock: &Clock) -> Result<Rc<VerifiedRelease>, String> {
        let floor = clock.floor.map(|floor| floor.0.div_euclid(HOUR_SECS));
        let hour = if clock.is_set { clock.now.0.div_euclid(HOUR_SECS) } else { 0 };
        let class = (clock.is_set, floor, hour);
        let judge = || {
            let opened = VerifiedRelease::open(&self.signed, &self.keyring, clock);
            opened.map(Rc::new).map_err(|why| storage::chain(&why))
        };
        self.opened.borrow_mut().entry(class).or_insert_with(judge).clone()
    }

    /// How many times the signature was judged.
    #[must_use]
    pub fn judged(&self) -> usize {
        self.opened.borrow().len()
    }
}

impl Vendor {
    /// With a key of its own.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn new() -> Result<Self> {
        let options = DevelopmentPkiOptions::new(unix(Duration::ZERO));
        let pki = DevelopmentPki::generate(PRODUCT, &options)?;
        let document = format!("{WEB}/{PRODUCT}.release");
        Ok(Self {
            identity: SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, b"")?,
            keyring: Rc::new(Keyring::from_pem(&pki.ca_cert_pem, KeyringOptions::default())?),
            origin: Origin::document(&document, Transport::HttpsOnly)?,
        })
    }

    /// Signs a document.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn sign(
        &self,
        what: Publication,
        sequence: Sequence,
        issued: UnixTime,
    ) -> Result<Document> {
        let release = Release {
            product: PRODUCT.to_owned(),
            sequence,
            issued,
            expires: UnixTime(issued.0 + LIFE_SECS),
            version: what.version.text().to_owned(),
            manifest: what.version.manifest(),
            file: what.version.digest(),
            size: what.version.size(),
            urls: vec![what.version.file()],
            min_version: Some(Version::Former.text().to_owned()),
            rollout: what.rollout,
            urgency: what.urgency,
        };
        let text = release.encode().context("cannot encode the release")?;
        let signed = sign_attached(text.as_bytes(), &self.identity, issued)?;
        let opened = RefCell::default();
        Ok(Document { signed, keyring: Rc::clone(&self.keyring), what, sequence, opened })
    }
}
