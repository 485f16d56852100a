// SPDX-License-Identifier: MIT OR Apache-2.0
//! The description that is checked in is the one that is served, and says something of every route.

#![cfg(feature = "server")]

use config_api::http::openapi_json;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn description() -> Value {
    serde_json::from_str(&openapi_json()).unwrap()
}

/// Every operation with its path and method.
fn operations() -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in description()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((path.clone(), method.clone(), operation.clone()));
        }
    }
    operations
}

#[test]
fn the_checked_in_description_is_the_served_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    if std::env::var_os("ATOMIX_WRITE_OPENAPI").is_some() {
        fs::write(&path, openapi_json()).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == openapi_json(),
        "docs/openapi.json is old: ATOMIX_WRITE_OPENAPI=1 cargo test -p config-api openapi::"
    );
}

#[test]
fn every_route_of_the_contract_is_there_under_its_name() {
    let found: BTreeSet<String> = operations()
        .iter()
        .map(|(path, method, operation)| {
            format!("{method} {path} {}", operation["operationId"].as_str().unwrap_or_default())
        })
        .collect();
    let expected = [
        "get /api/health systemHealth",
        "get /api/nonce authIssueNonce",
        "post /api/config configSubmit",
        "get /api/config/export configExport",
        "get /api/config/current configCurrent",
        "put /api/config/users/{name} configUsersPut",
        "delete /api/config/users/{name} configUsersDelete",
        "patch /api/config/network configNetworkPatch",
        "put /api/config/firewall configFirewallPut",
        "put /api/config/containers/{name} configContainersPut",
        "delete /api/config/containers/{name} configContainersDelete",
        "put /api/config/container-networks/{name} configContainerNetworksPut",
        "delete /api/config/container-networks/{name} configContainerNetworksDelete",
        "put /api/config/container-volumes/{name} configContainerVolumesPut",
        "delete /api/config/container-volumes/{name} configContainerVolumesDelete",
        "post /api/validate configValidate",
        "get /api/jobs/{job_id} jobsGet",
        "get /api/jobs/{job_id}/events jobsEvents",
        "post /api/jobs/{job_id}/confirm jobsConfirm",
        "get /schema/openapi.json openapi",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
    assert_eq!(description()["openapi"], "3.1.0");
}

#[test]
fn every_answer_has_a_schema_and_every_error_the_same() {
    for (path, method, operation) in operations() {
        let at = format!("{method} {path}");
        assert!(operation["tags"].is_array() && operation["summary"].is_string(), "{at}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(!responses.is_empty(), "{at}");
        for (status, response) in responses {
            let (kind, content) = response["content"].as_object().unwrap().iter().next().unwrap();
            let schema = &content["schema"];
            let meaning = response["description"].as_str().unwrap_or_default();
            assert!(!meaning.is_empty(), "{at} {status} says nothing");
            assert!(schema.is_object(), "{at} {status} has no schema");
            if status.starts_with(['4', '5']) {
                assert_eq!(schema["$ref"], "#/components/schemas/ErrorBody", "{at} {status}");
                assert_eq!(kind, "application/json");
            }
        }
        let takes_body = ["put", "patch"].contains(&method.as_str());
        assert!(!takes_body || operation["requestBody"]["content"].is_object(), "{at}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_object_is_closed() {
    let description = description();
    let text = openapi_json();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(description["components"]["schemas"][name].is_object(), "{name}");
    }
    for (name, schema) in description["components"]["schemas"].as_object().unwrap() {
        if schema["properties"].is_object() {
            assert_eq!(schema["additionalProperties"], false, "{name}");
        }
    }
}
