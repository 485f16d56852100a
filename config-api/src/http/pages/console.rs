// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first page: the form, and what is wrong with what was sent.

use super::fault_views::{Remedy, places, summary};
use super::layout::{Page, Swap, lost};
use super::words::{count, sentence};
use crate::http::ApiError;
use crate::jobs::ReportedFault;
use axum::http::StatusCode;
use maud::{Markup, html};

/// What somebody sent that is not valid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rejected<'s> {
    /// What is wrong.
    pub(super) faults: &'s [ReportedFault],
    /// The text that the places are in.
    pub(super) text: &'s str,
    /// The file that it came in, and whether it is more than that text.
    pub(super) came: Came<'s>,
}

/// How a text came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came<'s> {
    Pasted,
    File(&'s str),
    /// The text alone would lose the rest.
    Bundle(&'s str),
}

/// The form as a device shows it first.
pub(super) fn start(device: &str) -> Page {
    let main = html! {
        h1 { "Set up this device" }
        (introduction(device))
        (notice(None))
        (form("", Described::Plain))
    };
    Page::new(StatusCode::OK, "Set up this device", main)
}

/// The form with every fault of what was sent.
pub(super) fn rejected(device: &str, rejected: Rejected<'_>) -> Page {
    let remedy = match rejected.came {
        Came::Pasted | Came::File(_) => Remedy::Edit,
        Came::Bundle(_) => Remedy::SendAgain,
    };
    let text = if remedy == Remedy::Edit { rejected.text } else { "" };
    let main = html! {
        h1 { "Set up this device" }
        (summary(rejected.faults))
        @match rejected.came {
            Came::Pasted => {}
            Came::File(name) => {
                p { "The text of " b { (name) } " stands in the form below: correct it there, or choose the corrected file." }
            }
            Came::Bundle(name) => {
                p { "Correct " b { (name) } " and choose it again. Lines are those of its " code { "config.toml" } "." }
            }
        }
        (places(rejected.faults, rejected.text, remedy))
        h2 { "Correct it and send it again" }
        (introduction(device))
        (notice(None))
        (form(text, if remedy == Remedy::Edit { Described::Faulty } else { Described::Plain }))
    };
    let title = format!("{} – Set up this device", count(rejected.faults.len(), "fault"));
    let mut page = Page::new(StatusCode::UNPROCESSABLE_ENTITY, title, main);
    page.swap = Swap::PageInPlace;
    page
}

/// The form, what was entered still in it, and why it was not taken.
pub(super) fn refused(device: &str, error: &ApiError, text: &str) -> Page {
    let main = html! {
        h1 { "Set up this device" }
        (introduction(device))
        (notice(Some(&error.body().error)))
        (form(text, Described::Plain))
    };
    let mut page = Page::new(error.status(), "Not sent – Set up this device", main);
    page.swap = Swap::Notice;
    page
}

/// Whether the text in the form is the one with the faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Described {
    Plain,
    Faulty,
}

fn introduction(device: &str) -> Markup {
    html! {
        p {
            "Device " code { (device) } " has no configuration yet. Compare this number with its label. "
            "Whoever sends a configuration first owns the device, and it is sent in clear: use a cable."
        }
    }
}

/// The place of a message about the request, which htmx replaces alone.
fn notice(message: Option<&str>) -> Markup {
    html! {
        @if let Some(message) = message {
            div #notice .bad tabindex="-1" autofocus {
                p { b { (sentence(message)) } " Nothing was changed. Send it again." }
            }
        } @else {
            div #notice {}
        }
        (lost("The device does not answer. Is the cable in? What you entered is still here: send it again."))
    }
}

fn form(text: &str, described: Described) -> Markup {
    let faulty = described == Described::Faulty;
    html! {
        form action="/apply" method="post" enctype="multipart/form-data" hx-boost="true"
            hx-disabled-elt="find button" {
            p {
                label for="config" { "Paste your " code { "config.toml" } }
                // A line feed right behind the tag is not part of the text: without it, one that
                // the text begins with would be lost.
                textarea #config name="config" rows="14" spellcheck="false" autocapitalize="off"
                    autocomplete="off" autocorrect="off" wrap="off"
                    aria-invalid=[faulty.then_some("true")]
                    aria-describedby=(if faulty { "config-hint faults-title" } else { "config-hint" })
                    { "\n" (text) }
                span #config-hint .quiet { "At most 256 KiB." }
            }
            p {
                label for="file" { "Or choose a file" }
                input #file name="file" type="file" aria-describedby="file-hint";
                span #file-hint .quiet {
                    "A " code { "config.toml" } ", or a bundle with its files (" code { ".tar.gz" } ", "
                    code { ".tar.zst" } "), at most 32 MiB. A chosen file is taken instead of the text."
                }
            }
            p {
                button type="submit" { "Apply" }
                span .sending data-text="Sending and checking…" {}
            }
        }
    }
}
