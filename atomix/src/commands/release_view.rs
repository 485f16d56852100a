// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `atomix release` prints: on 24 lines of 80 columns, or as JSON, version 1.

use super::bundle::{SignerView, date, render_signer};
use crate::output::fold;
use agents::{Urgency, VerifiedRelease};
use serde::Serialize;
use std::io::{self, Write};
use storage::ByteLen;

/// Places that people are shown; JSON has all.
const SHOWN_PLACES: usize = 3;

/// A verified release.
#[derive(Serialize)]
pub(super) struct ReleaseView {
    version: u32,
    product: String,
    bundle_version: String,
    sequence: u64,
    issued: String,
    expires: String,
    expired: bool,
    manifest: String,
    sha256: String,
    bytes: u64,
    urls: Vec<String>,
    min_version: Option<String>,
    rollout: Option<RolloutView>,
    forced: bool,
    signer: SignerView,
}

#[derive(Serialize)]
struct RolloutView {
    begins: String,
    ends: String,
    percent: u8,
}

/// A release that was just published.
#[derive(Serialize)]
pub(super) struct PublishedView {
    pub version: u32,
    pub document: String,
    pub bundle: Option<String>,
    pub release: ReleaseView,
}

impl ReleaseView {
    pub fn new(verified: &VerifiedRelease, expired: bool) -> Self {
        let release = verified.release();
        Self {
            version: 1,
            product: release.product.clone(),
            bundle_version: release.version.clone(),
            sequence: release.sequence.get(),
            issued: date(release.issued.0),
            expires: date(release.expires.0),
            expired,
            manifest: release.manifest.to_string(),
            sha256: release.file.to_string(),
            bytes: release.size.get(),
            urls: release.urls.clone(),
            min_version: release.min_version.clone(),
            rollout: release.rollout.map(|rollout| RolloutView {
                begins: date(rollout.begins.0),
                ends: date(rollout.ends.0),
                percent: rollout.percent,
            }),
            forced: release.urgency == Urgency::Forced,
            signer: SignerView::new(verified.signer()),
        }
    }
}

pub(super) fn render(to: &mut dyn Write, view: &ReleaseView) -> io::Result<()> {
    fold(to, "product      ", &view.product)?;
    fold(to, "version      ", &view.bundle_version)?;
    writeln!(to, "sequence     {}", view.sequence)?;
    writeln!(to, "issued       {}", view.issued)?;
    let expired = if view.expired { " (expired)" } else { "" };
    writeln!(to, "expires      {}{expired}", view.expires)?;
    if let Some(version) = &view.min_version {
        fold(to, "from         ", &format!("{version} or newer"))?;
    }
    if let Some(RolloutView { begins, ends, percent }) = &view.rollout {
        writeln!(to, "rollout      up to {percent} % from {begins},")?;
        writeln!(to, "             all from {ends}")?;
    }
    if view.forced {
        writeln!(to, "forced       also where it failed before")?;
    }
    writeln!(to, "manifest     {}", view.manifest)?;
    writeln!(to, "bundle       {}", view.sha256)?;
    writeln!(to, "size         {}", ByteLen::new(view.bytes))?;
    for url in view.urls.iter().take(SHOWN_PLACES) {
        fold(to, "place        ", url)?;
    }
    match view.urls.len().saturating_sub(SHOWN_PLACES) {
        0 => {}
        more => writeln!(to, "             and {more} more (--json shows them)")?,
    }
    render_signer(to, &view.signer)
}

pub(super) fn render_published(to: &mut dyn Write, view: &PublishedView) -> io::Result<()> {
    fold(to, "published    ", &view.document)?;
    render(to, &view.release)
}
