// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command `rauc` and the service `de.pengutronix.rauc`, as RAUC has them: the same words on
//! the command line, the same output, the same names on D-Bus. What they do is done by the crates
//! below; here is only the language. `docs/rauc-compatibility.md` lists where it differs.

mod answer;
mod audited;
mod board;
mod bus_installer;
mod client;
mod commands;
mod conf;
mod convert;
mod desk;
mod dict;
mod engine;
mod env;
mod error;
mod glib_order;
mod grammar;
mod hint;
mod info;
mod info_view;
mod install;
mod json;
mod machine;
mod making;
mod mount;
mod opening;
mod output;
mod paint;
mod patience;
mod poller;
mod poller_bus;
mod poller_dict;
mod poller_hands;
mod request;
mod run;
mod service;
mod serving;
mod session;
mod shell_text;
mod status;
mod status_text;
mod status_view;
mod system_dict;
mod system_engine;
mod trust;

pub use conf::overlay;
pub use env::RaucEnv;
pub use json::Json;
pub(crate) use machine::now as clock;
pub use opening::path_of_file_url;
pub use request::{Asked, ConfOverride, Request, read as read_command};
pub use run::{RAUC_VERSION, run};
pub use session::configured_http;
pub use shell_text::quote as quote_for_shell;

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The words behind the program's name, where it was called as `rauc` or by `atomix rauc`.
pub fn words(arguments: impl IntoIterator<Item = OsString>) -> Option<Vec<OsString>> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next()?;
    let is_rauc = |word: &OsStr| word == "rauc";
    if Path::new(&program).file_name().is_some_and(is_rauc) {
        return Some(arguments.collect());
    }
    is_rauc(&arguments.next()?).then(|| arguments.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_or_the_first_word_asks_for_rauc() {
        let asked = |line: &str| words(line.split(' ').map(OsString::from));
        assert_eq!(asked("/usr/bin/rauc info x").unwrap(), ["info", "x"]);
        assert_eq!(asked("atomix rauc info").unwrap(), ["info"]);
        assert_eq!(asked("rauc").unwrap().len(), 0);
        assert_eq!(asked("atomix bundle rauc"), None);
        assert_eq!(asked("atomix"), None);
    }
}
