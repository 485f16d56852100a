// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an operator hands over: configurations, bundles, sticks and public keys.

use crate::sparse_disk::SparseDisk;
use crate::text::lossy;
use config_api::first_boot::{Found, NAMES, look};
use config_api::input::{
    FormError, FormPiece, FormReader, InputError, Limits, Origin, Spool, read_input,
};
use config_api::model::{MAX_FAULTS, SshPublicKey, faults_text, validate};
use config_api::render::render;
use config_api::tree::Content;
use std::io::Read;
use std::time::{Duration, Instant};

/// A `config.toml`: what is valid renders to lines that stay lines; what is not has faults that can
/// be told within 80 columns.
pub fn config_toml(data: &[u8]) {
    let checked = match validate(data) {
        Ok(checked) => checked,
        Err(faults) => {
            assert!((1..=MAX_FAULTS).contains(&faults.list().len()));
            let text = faults_text(&faults, "config.toml", data);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            return;
        }
    };
    let tree = render(&checked.config, data, &Default::default(), "/data/config");
    assert_eq!(tree, render(&checked.config, data, &Default::default(), "/data/config"));
    let keys = checked.config.admin_keys().count();
    assert!(keys > 0, "somebody can log in");
    for unit in &checked.config.units {
        let path = format!("quadlet/{}", unit.file_name());
        let text = String::from_utf8(tree.bytes(&path).expect("it is rendered").to_vec());
        let text = text.expect("units are text");
        let values: usize =
            unit.sections.iter().flat_map(|s| &s.directives).map(|d| d.values.len()).sum();
        let blank = unit.sections.len().saturating_sub(1);
        assert_eq!(text.lines().count(), values + unit.sections.len() + blank, "{text}");
        assert!(text.lines().all(|line| !line.trim_end().ends_with('\\')), "{text}");
    }
}

/// A bundle, under small limits, once as it is and once packed by us: nothing leads out of
/// `files/`, and what is told of lengths is what was kept.
pub fn config_bundle(data: &[u8]) {
    let limits = Limits { upload: 1 << 20, expanded: 1 << 20, members: 64, member: 1 << 18 };
    read_one("a.bin", data, &limits);
    read_one("a.tgz", data, &limits);
    let packed = zstd::encode_all(data, 1).expect("memory can be packed");
    read_one("a.tzst", &packed, &limits);
}

/// The `Content-Type` of a form, a NUL, and its body: what is read is the same however it arrives, and
/// no more than was sent.
pub fn config_form(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (kind, body) = data.split_at(end);
    let body = body.get(1..).unwrap_or_default();
    let Ok(reader) = FormReader::new(&lossy(kind)) else { return };
    let whole = read_form(reader.clone(), body, usize::MAX);
    for cut in [1, 7, 4096] {
        assert_eq!(read_form(reader.clone(), body, cut), whole, "in pieces of {cut}");
    }
    if let Ok(fields) = whole {
        let length: usize = fields.iter().map(|(_, content)| content.len()).sum();
        assert!(length < body.len(), "more than was sent");
    }
}

type Fields = Vec<(FormPiece, Vec<u8>)>;

fn read_form(mut reader: FormReader, body: &[u8], cut: usize) -> Result<Fields, FormError> {
    let mut fields = Fields::new();
    for piece in body.chunks(cut) {
        for piece in reader.push(piece)? {
            match (piece, fields.last_mut()) {
                (FormPiece::Content(content), Some((_, whole))) => whole.extend(content),
                (FormPiece::Content(_), None) => panic!("content of no field"),
                (field, _) => fields.push((field, Vec::new())),
            }
        }
    }
    reader.finish().map(|()| fields)
}

fn read_one(name: &str, data: &[u8], limits: &Limits) {
    let mut spool = Spool::new(tempfile::tempfile().expect("a file without a name"));
    let input = match read_input(Origin::Upload(name), data, limits, &mut spool) {
        Ok(input) => input,
        Err(InputError::Read(error) | InputError::Spool(error)) => panic!("memory fails: {error}"),
        Err(_) => return,
    };
    let config = validate(include_bytes!("../corpus/config_toml/every-key")).expect("it is valid");
    let tree = render(&config.config, b"", &input.payload, "/data/config");
    for (path, entry) in tree.iter() {
        assert!(
            !path.starts_with('/') && !path.split('/').any(|part| matches!(part, "" | "." | ".."))
        );
        if let Content::Payload { member, len } = entry.content {
            assert!(path.starts_with("files/") && len <= limits.member);
            let mut bytes = Vec::new();
            spool.open(member).expect("it was kept").read_to_end(&mut bytes).expect("it is there");
            assert_eq!(bytes.len() as u64, len);
        }
    }
}

/// A line that is a key is one line, and the same key when it is read again.
pub fn ssh_key(data: &[u8]) {
    let Ok(key) = SshPublicKey::parse(&lossy(data)) else { return };
    assert!(!key.as_str().contains(['\n', '\r']) && key.blob().len() > 32);
    assert_eq!(SshPublicKey::parse(key.as_str()).as_ref(), Ok(&key));
}

/// A stick (in the form of [`SparseDisk`]): what is found has a name of ours and a bounded length,
/// and is judged as on a device.
pub fn stick(data: &[u8]) {
    let until = Instant::now() + Duration::from_secs(5);
    let disk = Box::new(SparseDisk::parse(data, 512));
    let _ = look(disk, until, &mut |name, content| {
        assert!(NAMES.contains(&name));
        if let Ok(content) = content {
            assert!(content.len() <= 32 << 20);
            let _ = Found::judge(name, &content);
        }
    });
}
