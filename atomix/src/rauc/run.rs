// SPDX-License-Identifier: MIT OR Apache-2.0
//! From arguments to a command of `rauc`, and from its end to an exit code: 0 done, 1 failed; for
//! `install` also 2 (no service, or it is gone) and 3 (Ctrl-C, while the service goes on).

use crate::rauc::commands::Verb;
use crate::rauc::conf::load;
use crate::rauc::env::RaucEnv;
use crate::rauc::error::RaucError;
use crate::rauc::hint::{hint_of, shown};
use crate::rauc::output::Streams;
use crate::rauc::patience::usable;
use crate::rauc::request::{Asked, Request, read};
use crate::rauc::session::Session;
use crate::rauc::{info, install, making, mount, serving, status};
use bundle::UnixTime;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// The release of RAUC whose behaviour this is; scripts compare it.
pub const RAUC_VERSION: &str = "1.15.2";

/// Runs the words behind the program's name.
pub fn run(
    words: &[OsString],
    env: RaucEnv,
    now: UnixTime,
    (data, people): (&mut dyn Write, &mut dyn Write),
) -> ExitCode {
    let mut out = Streams::new(data, people);
    let version = format!("rauc {RAUC_VERSION}");
    let request = match read(words, &version, env.is_utf8) {
        Asked::Run(request) => *request,
        Asked::Print { complaint, text, code } => {
            if let Some(complaint) = complaint {
                out.complain(&complaint);
            }
            out.print_raw(&text);
            return ExitCode::from(code);
        }
    };
    ExitCode::from(match session(request, env, now, &mut out) {
        Ok(code) => code,
        Err(error) => {
            out.complain(&error.chain());
            if let Some(hint) = hint_of(&error) {
                out.complain(&shown(hint));
            }
            1
        }
    })
}

fn session(
    request: Request,
    env: RaucEnv,
    now: UnixTime,
    out: &mut Streams<'_>,
) -> Result<u8, RaucError> {
    let env = usable(env, request.command.verb, &mut |text| out.warn(text))?;
    let loaded = load(Path::new("/"), &request)?;
    if let Some(path) = &loaded.path {
        out.note(&format!("Using system config file {}", path.display()));
        for oddity in &loaded.oddities {
            out.warn(&format!("{}: {oddity}; read as by RAUC", path.display()));
        }
    }
    let session = Session { request, loaded, env, now };
    match session.request.command.verb {
        Verb::Help => {}
        Verb::Info => info::run(&session, out)?,
        Verb::Install => return install::run(&session, out),
        Verb::Status => status::run(&session, out)?,
        Verb::Bundle => making::bundle(&session, out)?,
        Verb::Resign => making::resign(&session, out)?,
        Verb::Convert => making::convert(&session, out)?,
        Verb::Encrypt => making::encrypt(&session, out)?,
        Verb::ReplaceSignature => making::replace_signature(&session, out)?,
        Verb::ExtractSignature => making::extract_signature(&session, out)?,
        Verb::Extract => making::extract(&session, out)?,
        Verb::WriteSlot => serving::write_slot(&session, out)?,
        Verb::Service => serving::service(&session)?,
        Verb::Mount => mount::mount(&session, out)?,
    }
    Ok(0)
}
