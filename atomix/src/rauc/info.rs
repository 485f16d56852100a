// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rauc info`.

use crate::rauc::error::RaucError;
use crate::rauc::info_view::{InfoFormat, InfoView, chain_text, render};
use crate::rauc::machine::system;
use crate::rauc::opening::{Judging, Place, open, resolve};
use crate::rauc::output::Streams;
use crate::rauc::request::exactly;
use crate::rauc::serving::log;
use crate::rauc::session::Session;
use crate::rauc::system_engine::{StoreAccess, told_of};
use crate::rauc::trust::Expiry;
use bundle::http::HttpOptions;
use bundle::{RecipientFacts, RecipientKind, RecipientName};
use std::fmt::Write as _;

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
    let given = &request.given;
    let keys = session.keys();
    // A system that is named may want to be known by the server; one that was found may not.
    let info_headers = match &place {
        Place::Remote(_) if given.last("conf").is_some() => {
            let store = StoreAccess::default().options();
            let system = system(session, store, &mut |event| log(&told_of(event)), &|| None)?;
            system.info_headers(None)
        }
        Place::Remote(_) | Place::Local(_) => Vec::new(),
    };
    let judging = Judging {
        key: given.text("key"),
        http: HttpOptions { info_headers, ..session.http(&session.access()) },
        expiry: if given.has("no-check-time") { Expiry::Ignored } else { Expiry::Judged },
        ..session.judging(&keys)
    };
    let opened = open(&place, &judging, &mut |notice| out.warn(&notice.to_string()))?;
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
        out.print(&recipients_text(&opened.recipients));
    }
    if format == InfoFormat::Readable {
        match opened.chain() {
            Some(chain) => out.print(&chain_text(chain)),
            None => out.print("Signature unverified"),
        }
    }
    Ok(())
}

/// For whom a signature was encrypted, as RAUC lists it.
fn recipients_text(recipients: &[RecipientFacts]) -> String {
    if recipients.is_empty() {
        return "No recipient data to dump (bundle is not encrypted)\n".to_owned();
    }
    let mut to = format!("{} Recipients:\n", recipients.len());
    for (number, recipient) in recipients.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = match &recipient.name {
            RecipientName::Certificate { issuer, serial } => writeln!(
                to,
                "{number:3}   Issuer:    {issuer}\n      Serial:    {serial}\n      \
                 Algorithm: {}",
                match recipient.kind {
                    RecipientKind::KeyTransport => "rsaEncryption",
                    RecipientKind::KeyAgreement => "dhSinglePass-stdDH-sha1kdf-scheme",
                    RecipientKind::Other => "unknown",
                }
            ),
            RecipientName::KeyId(id) => writeln!(to, "{number:3}   <keyid> {id}"),
            RecipientName::Unnamed => writeln!(to, "{number:3}   <unknown>"),
        };
    }
    to
}
