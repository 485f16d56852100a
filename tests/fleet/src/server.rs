// SPDX-License-Identifier: MIT OR Apache-2.0
//! What do the servers answer? A web server with documents, bundles and a place for reports, which
//! also speaks the original contract, and a server of hawkBit's interface with a book for each of
//! its devices.

use crate::catalog::{Version, WEB};
use crate::meter::{Meter, Request};
use crate::random::Random;
use crate::vendor::{Document, Vendor};
use agents::{Report, UpdateResult};
use ddi::book::{Book, Open};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// The address of the server of hawkBit's interface.
pub const HAWKBIT: &str = "https://hawkbit.example.org";
/// Of a thousand answers, how many come from a copy that is not yet the newest, while there are such.
const STALE_MILLE: u64 = 100;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// Documents, bundles, reports, the original contract.
    Web,
    /// hawkBit's interface and its artifacts.
    Hawkbit,
}

impl Which {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Web, Self::Hawkbit];

    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Hawkbit => "hawkbit",
        }
    }
}

/// How a device reaches the servers.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Bytes in a second.
    pub rate: u64,
    /// Of a thousand requests, how many have no answer.
    pub loss: u64,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was answered.
    Answered,
    /// The work was done, and the answer was lost.
    AnswerLost,
    /// It never came, or the server is away.
    Lost,
}

/// What the fleet has reported.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    /// Who told that a bundle did not prove itself there.
    pub fell_back: BTreeMap<String, BTreeSet<String>>,
    /// Reports that came.
    pub reports: u64,
}

/// The servers.
pub struct Servers {
    /// Who signs.
    pub vendor: Vendor,
    /// The document that is there.
    pub document: Rc<Document>,
    /// The one before, and until when some copies still give it.
    pub stale: Option<(Rc<Document>, Duration)>,
    /// What the original contract's answer names.
    pub original: Version,
    /// When the servers are away.
    pub away: Option<Range<Duration>>,
    /// What the fleet told.
    pub inbox: Inbox,
    /// Of hawkBit's devices, by their number.
    pub books: BTreeMap<u32, Book>,
    web: Meter,
    hawkbit: Meter,
}

impl Servers {
    /// With this document.
    #[must_use]
    pub fn new(vendor: Vendor, document: Document) -> Self {
        let original = document.what.version;
        Self {
            vendor,
            document: Rc::new(document),
            stale: None,
            original,
            away: None,
            inbox: Inbox::default(),
            books: BTreeMap::new(),
            web: Meter::default(),
            hawkbit: Meter::default(),
        }
    }

    /// The counts of a server.
    #[must_use]
    pub const fn meter(&self, which: Which) -> &Meter {
        match which {
            Which::Web => &self.web,
            Which::Hawkbit => &self.hawkbit,
        }
    }

    fn meter_mut(&mut self, which: Which) -> &mut Meter {
        match which {
            Which::Web => &mut self.web,
            Which::Hawkbit => &mut self.hawkbit,
        }
    }

    /// A request sets out.
    pub fn request(
        &mut self,
        (which, what): (Which, Request),
        at: Duration,
        (link, random): (&Link, &mut Random),
    ) -> Fate {
        self.meter_mut(which).count(at, what);
        let away = self.away.as_ref().is_some_and(|away| away.contains(&at));
        match (away, random.happens(link.loss), random.happens(500)) {
            (true, ..) | (false, true, true) => Fate::Lost,
            (false, true, false) => Fate::AnswerLost,
            (false, false, _) => Fate::Answered,
        }
    }

    /// Bytes go out.
    pub fn send(&mut self, which: Which, bytes: u64) {
        self.meter_mut(which).bytes += bytes;
    }

    /// The document that a device gets: for some minutes after a new one, perhaps the one before.
    pub fn document(&mut self, at: Duration, random: &mut Random) -> Rc<Document> {
        let document = match &self.stale {
            Some((stale, end)) if at < *end && random.happens(STALE_MILLE) => stale,
            Some(_) | None => &self.document,
        };
        let document = Rc::clone(document);
        self.send(Which::Web, document.bytes());
        document
    }

    /// The answer of the original contract.
    pub fn original(&mut self) -> Vec<u8> {
        let url = format!("{WEB}/{}", self.original.file());
        let answer = serde_json::json!({ "version": self.original.text(), "bundle_url": url });
        let body = answer.to_string().into_bytes();
        self.send(Which::Web, body.len() as u64);
        body
    }

    /// Takes a report in. What is none is passed over.
    pub fn report(&mut self, bytes: &[u8]) {
        let Ok(report) = Report::parse(bytes) else { return };
        self.inbox.reports += 1;
        let Some(update) = report.last_update else { return };
        if let (UpdateResult::FellBack, Some(bundle)) = (update.result, update.bundle) {
            self.inbox.fell_back.entry(bundle).or_default().insert(report.device.id);
        }
    }

    /// How many devices have told, in either way, that this bundle did not prove itself.
    #[must_use]
    pub fn told_failed(&self, version: Version) -> usize {
        let reported = self.inbox.fell_back.get(&version.id().to_string()).map_or(0, BTreeSet::len);
        let actions = self.books.values().flat_map(|book| &book.actions);
        let failed = |open: Open| open == Open::Failed;
        let closed = actions
            .filter(|action| failed(action.open) && action.bundle.version == version.text())
            .count();
        reported + closed
    }
}
