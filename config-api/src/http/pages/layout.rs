// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all pages have around them, and the headers that keep them to themselves.

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use maud::{DOCTYPE, Markup, html};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::OwnedSemaphorePermit;

/// Nothing but our own files; no inline script or style; nobody's frame.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What htmx must not do: keep pages (and the secrets in them) in the browser's storage, write
/// styles or run scripts that the rule above refuses. Errors are pages like any other.
const HTMX: &str = r#"{"historyCacheSize":0,"refreshOnHistoryMiss":true,"includeIndicatorStyles":false,"allowEval":false,"allowScriptTags":false,"selfRequestsOnly":true,"timeout":180000,"responseHandling":[{"code":".*","swap":true}]}"#;

/// How often a page that waits asks again where there are no scripts.
const REFRESH_SECS: u8 = 3;

/// Whether a page is asked for again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    Never,
    UntilOver,
}

/// How htmx takes an answer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swap {
    /// The whole page, under its own address.
    Page,
    /// The whole page; the address stays.
    PageInPlace,
    /// The notice alone: what was entered stays.
    Notice,
}

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) title: String,
    pub(super) refresh: Refresh,
    pub(super) swap: Swap,
    pub(super) main: Markup,
    /// Kept until the page is read.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

impl Page {
    pub(super) fn new(status: StatusCode, title: impl Into<String>, main: Markup) -> Self {
        let (refresh, swap) = (Refresh::Never, Swap::Page);
        Self { status, title: title.into(), refresh, swap, main, place: None }
    }
}

/// What a script says where it finds nobody at the other end. Its place is empty without one: text
/// browsers show what is hidden.
pub(super) fn lost(text: &str) -> Markup {
    html! { div #lost .bad hidden role="alert" data-text=(text) {} }
}

fn document(page: &Page) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX);
                title { (page.title) " – AtomixOS" }
                link rel="icon" href="/assets/icon.svg";
                link rel="stylesheet" href="/assets/boot.css";
                @if page.refresh == Refresh::UntilOver {
                    noscript { meta http-equiv="refresh" content=(REFRESH_SECS); }
                }
                script src="/assets/htmx.min.js" defer {}
                script src="/assets/htmx-ext-sse.min.js" defer {}
                script src="/assets/boot.js" defer {}
            }
            body {
                header { p { "AtomixOS" } }
                main { (page.main) }
            }
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let rest = Bytes::from(document(&self).into_string());
        let mut response = Response::new(Body::new(Slices { rest, _place: self.place }));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        let swap: &[(&'static str, &'static str)] = match self.swap {
            Swap::Page => &[],
            Swap::PageInPlace => &[("hx-push-url", "false")],
            Swap::Notice => &[
                ("hx-push-url", "false"),
                ("hx-retarget", "#notice"),
                ("hx-reselect", "#notice"),
                ("hx-reswap", "outerHTML show:#notice:top"),
            ],
        };
        for (name, value) in swap {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
        // With `no-referrer` a browser sends the form with an origin of `null`, which is nobody's.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        response
    }
}

/// So much of a page is handed to its connection at once: as long as more is left, its reader has
/// not read it.
const SLICE_BYTES: usize = 16 * 1024;

/// A page on its way; the place that it takes is free when the last slice went.
struct Slices {
    rest: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

impl hyper::body::Body for Slices {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.rest.len().min(SLICE_BYTES);
        let slice = self.rest.split_to(length);
        Poll::Ready((length > 0).then_some(Ok(Frame::data(slice))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
