// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rauc info`.

use crate::rauc::error::RaucError;
use crate::rauc::info_view::{InfoFormat, InfoView, chain_text, render};
use crate::rauc::opening::{Judging, Verify, open, resolve};
use crate::rauc::output::Streams;
use crate::rauc::request::exactly;
use crate::rauc::run::Session;
use crate::rauc::trust::Expiry;

/// Shows a bundle.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn run(session: &Session, out: &mut Streams<'_>) -> Result<(), RaucError> {
    let request = &session.request;
    let [name] = exactly(&request.words, ["A bundle path or URL must be provided"])
        .map_err(RaucError::Refused)?;
    let asked = request.given.text("output-format");
    let name_of_format = asked.as_deref().unwrap_or("readable");
    let format = InfoFormat::from_name(name_of_format).ok_or_else(|| {
        RaucError::refused(format!(
            "Unknown output format: '{name_of_format}'.\n\
             Supported formats are: readable, json, json-pretty, json-2."
        ))
    })?;
    let place = resolve(&name)?;
    let keyring = request.path("keyring");
    let given = &request.given;
    let judging = Judging {
        config: &session.loaded.config,
        keyring: keyring.as_deref(),
        verify: if given.has("no-verify") { Verify::No } else { Verify::Yes },
        expiry: if given.has("no-check-time") { Expiry::Ignored } else { Expiry::Judged },
        now: session.now,
    };
    let opened = open(&place, &judging)?;
    let view = InfoView {
        manifest: opened.manifest(),
        digest: opened.digest(),
        secrecy: opened.secrecy(),
    };
    out.print(&render(&view, format));
    if given.has("dump-cert") {
        out.print(&bundle::certificates_text(&opened.cms).map_err(RaucError::below)?);
    }
    if given.has("dump-recipients") {
        out.print("No recipient data to dump (bundle is not encrypted)\n");
    }
    if format == InfoFormat::Readable {
        match opened.chain() {
            Some(chain) => out.print(&chain_text(chain)),
            None => out.print("Signature unverified"),
        }
    }
    Ok(())
}
