// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the config API reads of people whom it does not know yet, and what its helper reads of a
//! process that may have been taken over.

use crate::text::lossy;
use config_api::auth::{AdminSigners, DIGEST_HEADER, Nonce, SIGNATURE_HEADER, parse_armored};
use config_api::helper::apply_change;
use config_api::jobs::JobId;
use config_api::protocol::{
    Change, Grounds, MAX_FRAME_BYTES, Request, RequestFrame, Source, decode_length, encode_frame,
    parse_frame,
};

/// Two texts with NUL between: the file of the administrators' keys, and an armored signature. A
/// signature of nobody's hand verifies under no key.
pub fn ssh_signature(data: &[u8]) {
    let text = lossy(data);
    let (file, armored) = text.split_once('\0').unwrap_or(("", &text));
    let signers = AdminSigners::parse(file);
    if let Some(nonce) = Nonce::parse(armored) {
        assert_eq!(nonce.to_string(), armored);
    }
    let Ok(signature) = parse_armored(armored) else { return };
    if let Some(key) = signers.find(signature.public_key()) {
        assert_eq!(key.blob(), signature.public_key());
        // The names of two headers, which nobody has ever signed.
        let message = [DIGEST_HEADER, SIGNATURE_HEADER].concat();
        assert!(key.verify(&signature, message.as_bytes()).is_err(), "a forgery");
    }
}

/// A frame of the helper's socket, and behind a NUL the configuration that a change is made in: what is
/// read is written and read again as the same, and a change leaves TOML behind.
pub fn helper_request(data: &[u8]) {
    if let Some((header, _)) = data.split_first_chunk::<4>()
        && let Ok(length) = decode_length(*header)
    {
        assert!((1..=MAX_FRAME_BYTES).contains(&length));
    }
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (content, config) = data.split_at(end);
    if let Some(id) = JobId::parse(&lossy(content)) {
        assert_eq!(id.to_string(), lossy(content));
    }
    let Ok(frame) = parse_frame::<RequestFrame>(content) else { return };
    let again = encode_frame(&frame).expect("what was read fits");
    let same: RequestFrame = parse_frame(&again[4..]).expect("what was written is read");
    assert_eq!(same, frame);
    let change = match frame.request {
        Request::Check { change, .. } => Some(change),
        // Which change it is stands in what was signed; that nobody signed it is another matter.
        Request::Apply {
            source: Source::Change { body },
            grounds: Grounds::Signed { proof },
            ..
        } => Change::of_request(&proof.method, &proof.target, body.as_bytes()),
        _ => None,
    };
    let Some(change) = &change else { return };
    let text = lossy(config.get(1..).unwrap_or_default());
    if let Ok(edited) = apply_change(&text, change) {
        apply_change(&edited, change).map_or_else(
            |error| {
                let removed = matches!(error, config_api::helper::EditError::Missing { .. });
                assert!(removed, "{error}: {edited}");
            },
            |twice| assert_eq!(twice, edited, "a change made twice is the change"),
        );
    }
}
