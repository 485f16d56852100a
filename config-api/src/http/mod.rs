// SPDX-License-Identifier: MIT OR Apache-2.0
//! The door: HTTP on port 8080, in a process without any right but to ask the helper.
//!
//! A request's head is judged whole before a byte of its body is read: host, origin, nonce,
//! signature, length. Bodies go to a spool on disk, a few at once; nothing that a stranger sends
//! is kept in memory beyond a head. Every error has one form ([`ErrorBody`]).

mod admit;
mod app;
mod current;
mod denials;
mod described;
mod description;
mod error;
mod events;
mod helper_client;
mod host_rule;
mod job_task;
mod listen;
mod pages;
mod routes;
mod routes_change;
mod routes_config;
mod routes_jobs;
mod upload;

pub use app::{App, Settings, StartError};
pub use description::openapi_json;
pub use error::{ApiError, ErrorBody};
pub use helper_client::{HelperClient, HelperError};
pub use host_rule::{HostRule, Refused};
pub use listen::{ListenError, Listener, serve, serve_following};
pub use routes::router;
