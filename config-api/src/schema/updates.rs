// SPDX-License-Identifier: MIT OR Apache-2.0
//! The schema of `[os_upgrade]`: which keys there are, their kinds and bounds, and that the two ways
//! to be told of an update exclude each other.

use super::closed;
use crate::model::schema_facts as facts;
use crate::model::{ConfirmRule, Day, Metadata, MeteredRule, OPERATOR_DIRS, RebootRule};
use serde_json::{Value, json};

const POLL_ONLY: [&str; 5] = ["metadata", "interval", "report_url", "mirrors", "tls"];

pub(super) fn os_upgrade() -> Value {
    let url = || json!({ "type": "string", "pattern": "^\\s*[Hh][Tt][Tt][Pp][Ss]://" });
    let proxy = json!({ "type": "string", "pattern": "^\\s*[Hh][Tt][Tt][Pp][Ss]?://" });
    let mut table = closed(
        &[],
        json!({
            "server_url": url(),
            "mode": { "enum": facts::MODES, "default": "poll" },
            "metadata": { "enum": words(Metadata::WORDS) },
            "interval": span("1h"),
            "report_url": url(),
            "mirrors": {
                "type": "array", "minItems": 1, "maxItems": facts::MAX_MIRRORS, "items": url(),
            },
            "tls": closed(&[], tls()),
            "hawkbit": hawkbit(&url()),
            "proxy": proxy,
            "policy": policy(),
        }),
    );
    let mut of_polling = serde_json::Map::new();
    for key in ["server_url"].iter().chain(&POLL_ONLY) {
        of_polling.insert((*key).to_owned(), Value::Bool(false));
    }
    table["if"] = json!({
        "required": ["mode"], "properties": { "mode": { "const": "hawkbit" } },
    });
    table["then"] = json!({ "required": ["hawkbit"], "properties": of_polling });
    table["else"] = json!({ "required": ["server_url"], "properties": { "hawkbit": false } });
    table
}

fn words<T>(words: &[(&str, T)]) -> Vec<String> {
    words.iter().map(|(word, _)| (*word).to_owned()).collect()
}

fn span(example: &str) -> Value {
    json!({ "type": "string", "pattern": "^\\s*[0-9]+[smhd]\\s*$", "examples": [example] })
}

/// A file that the operator has put on the device.
fn file() -> Value {
    let dirs = OPERATOR_DIRS.join("|");
    let pattern = format!("^\\s*(/data/config|\\$\\{{CONFIG_DIR\\}})/({dirs})/");
    json!({ "type": "string", "pattern": pattern })
}

fn tls() -> Value {
    json!({ "client_cert_file": file(), "client_key_file": file(), "ca_file": file() })
}

fn hawkbit(url: &Value) -> Value {
    let name = |most: usize| {
        let pattern = format!("^\\s*[A-Za-z0-9][A-Za-z0-9._:-]{{0,{}}}\\s*$", most - 1);
        json!({ "type": "string", "pattern": pattern })
    };
    closed(
        &["url"],
        json!({
            "url": url,
            "tenant": name(facts::MAX_TENANT_CHARS),
            "target_id": name(facts::MAX_TARGET_CHARS),
            "confirm": { "enum": words(ConfirmRule::WORDS) },
            "target_token_file": file(),
            "gateway_token_file": file(),
            "client_cert_file": file(),
            "client_key_file": file(),
            "ca_file": file(),
        }),
    )
}

fn policy() -> Value {
    let number =
        |(least, most): (u32, u32)| json!({ "type": "integer", "minimum": least, "maximum": most });
    let time = json!({ "type": "string", "pattern": "^\\s*[0-2][0-9]:[0-5][0-9]\\s*$" });
    let days = json!({ "type": "array", "minItems": 1, "items": { "enum": words(Day::WORDS) } });
    let window = closed(
        &["from", "to"],
        json!({
            "days": days,
            "from": time,
            "to": time,
            "offset": { "type": "string", "default": "+00:00" },
        }),
    );
    closed(
        &[],
        json!({
            "windows": {
                "type": "array", "minItems": 1, "maxItems": facts::MAX_WINDOWS, "items": window,
            },
            "reboot": { "enum": words(RebootRule::WORDS) },
            "metered": { "enum": words(MeteredRule::WORDS) },
            "rate_limit_kib": number(facts::RATE_KIB),
            "max_update_mib": number(facts::SIZE_MIB),
            "max_day_mib": number(facts::SIZE_MIB),
            "allow_downgrade": { "type": "boolean" },
            "jitter": span("15m"),
            "keep_bundles": { "type": "boolean" },
            "before_reboot": {
                "type": "array",
                "minItems": 1,
                "maxItems": facts::MAX_HOOKS,
                "items": { "type": "string", "pattern": "^\\s*[a-z0-9][a-z0-9-]{0,63}\\s*$" },
                "description": format!("programs in {} of the image", facts::HOOKS_DIR),
            },
        }),
    )
}
