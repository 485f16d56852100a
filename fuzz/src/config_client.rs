// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an operator's side reads of a device that may be any web server.

use crate::text::lossy;
use config_api::auth::DeviceId;
use config_api::client::{
    Call, DeviceAddress, Refusal, SignedHeaders, parse_accepted, parse_job, parse_nonce,
    parse_request_file,
};

/// An address, an answer, or the lines that one machine hands the other. What is read is read again
/// as the same, a target is sent as it was signed, and every refusal has a way out. A device's name
/// as it was typed is one that a device can have.
pub fn config_client(data: &[u8]) {
    let text = lossy(data);
    if let Ok(address) = DeviceAddress::parse(&text) {
        let again = DeviceAddress::parse(&address.to_string());
        assert_eq!(again.as_ref(), Ok(&address));
        let url = address.url(&Call::export().target).expect("a plain target");
        assert_eq!(url.without_user(), format!("{address}/api/config/export"));
    }
    if let Some(id) = DeviceId::typed(&text) {
        assert_eq!(DeviceId::typed(id.as_str()).as_ref(), Some(&id));
        assert_eq!(DeviceId::new(id.as_str()).as_ref(), Some(&id), "a device can be called so");
    }
    if let Ok(headers) = SignedHeaders::parse(&text) {
        assert_eq!(SignedHeaders::parse(&headers.to_string()), Ok(headers));
    }
    if let Ok(issued) = parse_request_file(&text) {
        let message = Call::export().message(&issued.device, &issued.nonce);
        assert!(message.is_some(), "whatever was read can be signed");
    }
    if let Some(issued) = parse_nonce(data) {
        assert!(Call::export().message(&issued.device, &issued.nonce).is_some());
    }
    if let Some(accepted) = parse_accepted(data) {
        assert_eq!(Call::job(&accepted.job).target, format!("/api/jobs/{}", accepted.job));
    }
    let _ = parse_job(data);
    for status in [400, 401, 409, 500] {
        assert!(
            !Refusal::of_answer(status, str::from_utf8(data).ok(), data).advice().hint.is_empty()
        );
    }
}
