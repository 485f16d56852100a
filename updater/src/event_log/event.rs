// SPDX-License-Identifier: MIT OR Apache-2.0
//! The events and their fields. Message ids are RAUC's: collectors look for them.

use crate::{Slot, SlotName};
use storage::Digest;

/// What sort of event; files choose by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A boot was noticed.
    Boot,
    /// A slot was marked.
    Mark,
    /// An install began or ended.
    Install,
    /// The service began.
    Service,
    /// A slot or artifact is written.
    WriteSlot,
}

impl EventKind {
    /// RAUC's word, in `[log.NAME] events` and in the field `RAUC_EVENT_TYPE`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Mark => "mark",
            Self::Install => "install",
            Self::Service => "service",
            Self::WriteSlot => "writeslot",
        }
    }
}

/// How an install ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallEnd<'a> {
    /// It is done.
    Succeeded,
    /// The bundle was turned down.
    Rejected(&'a str),
    /// It failed.
    Failed(&'a str),
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its kind.
    pub kind: EventKind,
    /// For people.
    pub message: String,
    fields: Vec<(&'static str, String)>,
}

const BOOTED: &str = "e60e0addd3454cb8b796eae0d497af96";
const BOOTED_EXTERNAL: &str = "dd237efdad1945d9b1e471bc2b994532";
const MARKED_ACTIVE: &str = "8b5e7435e1054d86858278e7544fe6da";
const MARKED_GOOD: &str = "3304e15a7a9a447885eb208ba7ae3a05";
const MARKED_BAD: &str = "ccb0e584a47043d7a5316994bce77ae5";
const INSTALL_STARTED: &str = "b05410e8a93345389cd061aab1e9516d";
const INSTALL_SUCCEEDED: &str = "0163db5468ac4237b090d28490c301ed";
const INSTALL_FAILED: &str = "c48141f7fd49443aafff862b4809168f";
const INSTALL_REJECTED: &str = "60bea7e4fea549ccad68af457308b13a";

/// So much of a transaction's identity stands in messages.
const SHORT_TRANSACTION: usize = 8;

impl Event {
    /// An event without fields of its own.
    #[must_use]
    pub fn plain(kind: EventKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), fields: Vec::new() }
    }

    fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((key, value.into()));
        self
    }

    fn of_slot(self, slot: &Slot) -> Self {
        self.with("SLOT_NAME", slot.name.to_string())
            .with("SLOT_BOOTNAME", slot.bootname.clone().unwrap_or_default())
    }

    /// The system was booted from a slot since the last start.
    #[must_use]
    pub fn booted(slot: &Slot, boot_id: &str, bundle: Option<Digest>) -> Self {
        let bootname = slot.bootname.as_deref().unwrap_or_default();
        Self::plain(EventKind::Boot, format!("Booted into {} ({bootname})", slot.name))
            .with("MESSAGE_ID", BOOTED)
            .of_slot(slot)
            .with("BOOT_ID", boot_id)
            .with("BUNDLE_HASH", bundle.map_or_else(|| "unknown".to_owned(), |d| d.to_string()))
    }

    /// The system was booted from something that is no slot.
    #[must_use]
    pub fn booted_external(boot_id: &str) -> Self {
        Self::plain(EventKind::Boot, "Booted from external source")
            .with("MESSAGE_ID", BOOTED_EXTERNAL)
            .with("BOOT_ID", boot_id)
    }

    /// A slot boots next.
    #[must_use]
    pub fn marked_active(slot: &Slot, bundle: Option<Digest>) -> Self {
        Self::plain(EventKind::Mark, format!("Marked slot {} as active", slot.name))
            .with("MESSAGE_ID", MARKED_ACTIVE)
            .of_slot(slot)
            .with("BUNDLE_HASH", bundle.map(|digest| digest.to_string()).unwrap_or_default())
    }

    /// A slot was marked good.
    #[must_use]
    pub fn marked_good(slot: &Slot) -> Self {
        Self::plain(EventKind::Mark, format!("Marked slot {} as good", slot.name))
            .with("MESSAGE_ID", MARKED_GOOD)
            .of_slot(slot)
    }

    /// A slot was marked bad.
    #[must_use]
    pub fn marked_bad(slot: &Slot) -> Self {
        Self::plain(EventKind::Mark, format!("Marked slot {} as bad", slot.name))
            .with("MESSAGE_ID", MARKED_BAD)
            .of_slot(slot)
    }

    /// An install began.
    #[must_use]
    pub fn install_started(transaction: &str) -> Self {
        let short = short(transaction);
        Self::plain(EventKind::Install, format!("Installation {short} started"))
            .with("MESSAGE_ID", INSTALL_STARTED)
            .with("TRANSACTION_ID", transaction)
    }

    /// An install ended; the bundle's facts are given once they are known.
    #[must_use]
    pub fn install_ended(
        transaction: &str,
        end: InstallEnd<'_>,
        bundle: Option<(Digest, &bundle::Update)>,
    ) -> Self {
        let short = short(transaction);
        let (id, message) = match end {
            InstallEnd::Succeeded => (INSTALL_SUCCEEDED, format!("Installation {short} succeeded")),
            InstallEnd::Failed(why) => {
                (INSTALL_FAILED, format!("Installation {short} failed: {why}"))
            }
            InstallEnd::Rejected(why) => {
                (INSTALL_REJECTED, format!("Installation {short} rejected: {why}"))
            }
        };
        let text = |value: Option<&String>| value.cloned().unwrap_or_default();
        let update = bundle.map(|(_, update)| update);
        Self::plain(EventKind::Install, message)
            .with("MESSAGE_ID", id)
            .with("BUNDLE_HASH", bundle.map(|(hash, _)| hash.to_string()).unwrap_or_default())
            .with("BUNDLE_DESCRIPTION", text(update.and_then(|u| u.description.as_ref())))
            .with("BUNDLE_VERSION", text(update.and_then(|u| u.version.as_ref())))
            .with("TRANSACTION_ID", transaction)
    }

    /// A slot is written.
    #[must_use]
    pub fn updating_slot(slot: &SlotName) -> Self {
        Self::plain(EventKind::WriteSlot, format!("Updating slot {slot}"))
    }

    /// An artifact is written.
    #[must_use]
    pub fn updating_artifact(artifact: &str, repository: &str) -> Self {
        let message = format!("Updating artifact '{artifact}' in repo '{repository}'");
        Self::plain(EventKind::WriteSlot, message)
    }

    /// Every field, the message first, in RAUC's order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let head = [
            ("MESSAGE", self.message.as_str()),
            ("PRIORITY", "5"),
            ("GLIB_DOMAIN", "rauc-event"),
            ("RAUC_EVENT_TYPE", self.kind.name()),
        ];
        head.into_iter().chain(self.fields.iter().map(|(key, value)| (*key, value.as_str())))
    }
}

fn short(transaction: &str) -> &str {
    transaction.get(..SHORT_TRANSACTION).unwrap_or(transaction)
}
