// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix config export`: the configuration in force, byte for byte, and what it becomes.

use super::files::write_new;
use super::remote::{Credential, Remote};
use crate::commands::config::{spool, tree_failure};
use crate::config_cli::SomeDeviceArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Output, Style};
use crate::terminal::one_line;
use config_api::client::Call;
use config_api::input::Payload;
use config_api::model::{MAX_CONFIG_BYTES, validate};
use config_api::render::render;
use config_api::tree::Tree;
use config_api::{CONFIG_DIR, write_new_directory};
use serde_json::json;
use std::path::Path;
use storage::{ByteLen, Files};

/// Where it goes.
pub(super) struct Places<'p> {
    pub(super) file: Option<&'p Path>,
    pub(super) tree: Option<&'p Path>,
}

/// A configuration in force, with its tag where one is known.
pub(super) struct InForce {
    pub(super) text: Vec<u8>,
    pub(super) etag: Option<String>,
}

/// Asks a device for what is in force.
pub(super) fn fetch(remote: &Remote, out: &mut Output) -> Result<InForce, Failure> {
    let answer = remote.ask(&Call::export(), 200, out.people)?;
    // A page of a router's would be written down, or compared, as the configuration in force.
    if answer.header("content-type") != Some("application/toml") {
        return Err(remote.stranger("a configuration", &answer).into());
    }
    let etag = answer.header("etag").map(|tag| tag.trim_matches('"').to_owned());
    Ok(InForce { text: answer.body, etag })
}

/// What is in force on the device this runs on.
pub(super) fn here(context: &Context) -> Result<Vec<u8>, Failure> {
    let path = Path::new(CONFIG_DIR).join("config.toml");
    let limit = ByteLen::new(MAX_CONFIG_BYTES as u64 + 1);
    context.files.read(&path, limit)?.ok_or_else(|| Failure::FileAbsent {
        path,
        hint: "this device has no configuration; on a laptop, name a device with --device",
    })
}

pub(super) fn from_device(
    address: &str,
    args: &SomeDeviceArgs,
    places: &Places<'_>,
    out: &mut Output,
) -> Result<(), Failure> {
    let credential = Credential::of(&args.who)?;
    let remote = Remote::new(address, args.device_id.as_deref(), credential)?;
    let in_force = fetch(&remote, out)?;
    put(&in_force, places, out)
}

pub(super) fn from_here(
    context: &Context,
    places: &Places<'_>,
    out: &mut Output,
) -> Result<(), Failure> {
    let in_force = InForce { text: here(context)?, etag: None };
    put(&in_force, places, out)
}

fn put(in_force: &InForce, places: &Places<'_>, out: &mut Output) -> Result<(), Failure> {
    let mut made = Vec::new();
    if let Some(dir) = places.tree {
        let tree = tree_of(&in_force.text)?;
        write_new_directory(&tree, &mut spool()?, dir).map_err(tree_failure)?;
        made.push(dir);
    }
    if let Some(file) = places.file {
        // What a device gives out may hold secrets.
        write_new(file, &in_force.text, 0o600)?;
        made.push(file);
    }
    if made.is_empty() {
        return print(in_force, out);
    }
    let made: Vec<String> = made.iter().map(|path| path.display().to_string()).collect();
    let view = json!({ "version": 1, "etag": in_force.etag, "made": made });
    out.answer(&view, |lines, _| writeln!(lines, "written: {}", made.join(", ")))
}

/// Our output is made harmless for terminals; a configuration that this would change is not the
/// configuration any more.
fn print(in_force: &InForce, out: &mut Output) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(&in_force.text);
    let flat = text.replace(['\t', '\n'], " ");
    let harmless = one_line(&flat) == flat;
    if out.style == Style::Lines && !harmless {
        return Err(Failure::Refused {
            what: "the configuration has characters that steer a terminal".to_owned(),
            hint: "write it into a file with --out FILE",
        });
    }
    let view = json!({ "version": 1, "etag": in_force.etag, "config_toml": text });
    out.answer(&view, |lines, _| lines.write_all(&in_force.text))
}

/// What a configuration in force becomes, without its `files/`.
pub(super) fn tree_of(text: &[u8]) -> Result<Tree, Failure> {
    let checked = validate(text).map_err(|faults| Failure::Refused {
        what: one_line(&format!(
            "what is in force does not hold by this program's rules: {faults}"
        )),
        hint: "export it with --out and look with `config validate`; use the device's version",
    })?;
    Ok(render(&checked.config, text, &Payload::default(), CONFIG_DIR))
}
