// SPDX-License-Identifier: MIT OR Apache-2.0
//! The description of this interface in OpenAPI 3.1: made of the routes and their types, served
//! live and checked in as `docs/openapi.json`.

use super::routes::described;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContactBuilder, InfoBuilder, LicenseBuilder, RefOr};

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
    for item in description.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            say_what_answers_mean(operation);
        }
    }
    // Every type here can be written as JSON; an empty text would fail the test of the file.
    let mut text = description.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The specification wants a description of every answer; what one means is the same everywhere.
fn say_what_answers_mean(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            meaning(status).clone_into(&mut response.description);
        }
    }
}

fn meaning(status: &str) -> &'static str {
    match status {
        "200" => "Done",
        "202" => "Accepted; the job tells what becomes of it",
        "400" => "The request is not well-formed, or its body not the one that was signed",
        "401" => "Not signed by an administrator, for this request, with a pending nonce",
        "403" => "For another device's name, or from another site's page",
        "404" => "There is no such thing",
        "408" => "The body came too slowly",
        "409" => "Another change is under way, or the device is in another phase",
        "411" => "Content-Length is missing",
        "412" => "The configuration is another one by now",
        "413" => "The body is too large",
        "415" => "Not application/json",
        "422" => "The configuration would not be valid; all faults are told",
        "429" => "Too many at once; come again",
        "503" => "The helper cannot be asked",
        _ => "The device could not do it",
    }
}
