// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages that are no form: the device has its configuration, is about to, or cannot say.

use super::layout::{Page, Refresh};
use super::words::sentence;
use crate::http::ApiError;
use axum::http::StatusCode;
use maud::html;

/// There is nothing to claim any more.
pub(super) fn configured(device: &str) -> Page {
    let main = html! {
        h1 { "This device has a configuration" }
        p { "Device " code { (device) } " belongs to its administrators. This page sets up new devices only." }
        p {
            "Administrators change the configuration with their SSH keys: "
            code { "atomix config apply" } ", or the interface that "
            a href="/schema/openapi.json" { "its description" } " tells of."
        }
    };
    Page::new(StatusCode::NOT_FOUND, "This device has a configuration", main)
}

/// Somebody else's change is under way; only who sent it knows its page.
pub(super) fn busy(device: &str) -> Page {
    let main = html! {
        h1 { "A configuration is being applied" }
        p { "Device " code { (device) } " has received a configuration, and is putting it in force." }
        p { "Was it yours? Its page is in your browser's history. " a href="/" { "Look again" } "." }
    };
    let mut page = Page::new(StatusCode::OK, "A configuration is being applied", main);
    page.refresh = Refresh::UntilOver;
    page
}

/// The request cannot be answered.
pub(super) fn failure(error: &ApiError) -> Page {
    let main = html! {
        h1 { "That does not work" }
        p { b { (sentence(&error.body().error)) } }
        p { a href="/" { "To the first page" } }
    };
    Page::new(error.status(), "That does not work", main)
}
