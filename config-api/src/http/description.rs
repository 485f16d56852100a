// SPDX-License-Identifier: MIT OR Apache-2.0
//! The description of this interface in OpenAPI 3.1: made of the routes and their types, served
//! live and checked in as `docs/openapi.json`.

use super::routes::described;
use utoipa::openapi::{ContactBuilder, InfoBuilder, LicenseBuilder};

/// What the interface is for.
const ABOUT: &str = "One `config.toml` from upload to healthy services, with rollback. Requests \
    to a device with a configuration are signed by an administrator's SSH key; \
    docs/config-api.md says what is signed.";

/// The description, as the program serves it.
#[must_use]
pub fn openapi_json() -> String {
    let (_, mut description) = described();
    description.info = InfoBuilder::new()
        .title("AtomixOS config API")
        .version("1.0.0")
        .description(Some(ABOUT))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").build()))
        .contact(Some(ContactBuilder::new().name(Some("the atomix maintainers")).build()))
        .build();
    // Every type here can be written as JSON; an empty text would fail the test of the file.
    let mut text = description.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
