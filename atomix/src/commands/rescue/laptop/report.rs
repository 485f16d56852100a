// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was found and done, for people and as JSON, version 1.

use super::found::{Found, REQUESTS};
use crate::commands::boot::{StateView, render_state};
use serde::Serialize;
use std::io::{self, Write};

/// The outcome.
#[derive(Serialize)]
pub struct Report {
    version: u32,
    /// What was asked for.
    pub action: &'static str,
    /// `ours`, `lost` or `foreign-disk`, as the selector sees it.
    pub environment: &'static str,
    /// As `atomix boot state` shows it.
    pub state: StateView,
    /// Requests that wait in the environment.
    pub requests: Vec<&'static str>,
    /// What the selector would boot before anything was changed.
    pub next_slot: Option<String>,
    /// Why.
    pub next_why: String,
    /// What was odd.
    pub warnings: Vec<String>,
    /// Variables that were changed, with their values before and after.
    pub changes: Vec<String>,
    /// What was done, and what happens next.
    pub outcome: String,
}

impl Report {
    /// What was found, with nothing done.
    #[must_use]
    pub fn new(action: &'static str, found: &Found) -> Self {
        let (state, warnings) = found.state();
        let (next, next_why) = found.next();
        let is_foreign = found.is_foreign();
        let environment = match (found.is_ours(), is_foreign) {
            (false, _) => "lost",
            (true, true) => "foreign-disk",
            (true, false) => "ours",
        };
        Self {
            version: 1,
            action,
            environment,
            state: StateView::new(&state, None),
            requests: REQUESTS.into_iter().filter(|name| found.env.get(name).is_some()).collect(),
            next_slot: next.map(|slot| slot.to_string()),
            next_why,
            warnings,
            changes: Vec::new(),
            outcome: String::new(),
        }
    }

    /// For people.
    ///
    /// # Errors
    /// The writer's.
    pub fn render(to: &mut dyn Write, report: &Self) -> io::Result<()> {
        render_state(to, &report.state)?;
        for request in &report.requests {
            writeln!(to, "asked   {request}")?;
        }
        let next = report.next_slot.as_deref().unwrap_or("-");
        crate::output::wrap(to, "next    ", &format!("{next}: {}", report.next_why))?;
        for change in &report.changes {
            writeln!(to, "set     {}", crate::terminal::one_line(change))?;
        }
        crate::output::wrap(to, "done    ", &report.outcome)
    }
}
