// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where do updates come from? `[os_upgrade]`: a server that is polled or a hawkBit, never both, so
//! that never two agents write one slot. Secrets are files of the operator's; a secret in the
//! configuration itself, or in a file that came with it, is refused, and no fault repeats one.

use super::fault::Sink;
use super::name::trim;
use super::reader::{Item, Table, closest};
use super::server_url::{check_new_url, check_proxy, check_url};
use super::update_policy::{read_duration, read_policy, read_word};
use super::updates::{
    ClientIdentity, ConfirmRule, Hawkbit, HawkbitLogin, Metadata, OperatorFile, OsUpgrade, Poll,
    TlsFiles, UpdateSource,
};

/// The keys of polling, and those of either way.
const POLL_KEYS: [&str; 6] = ["server_url", "metadata", "interval", "report_url", "mirrors", "tls"];
const KEYS: [&str; 10] = [
    "server_url",
    "mode",
    "metadata",
    "interval",
    "report_url",
    "mirrors",
    "tls",
    "hawkbit",
    "proxy",
    "policy",
];
const TLS_KEYS: [&str; 3] = ["client_cert_file", "client_key_file", "ca_file"];
const HAWKBIT_KEYS: [&str; 9] = [
    "url",
    "tenant",
    "target_id",
    "confirm",
    "target_token_file",
    "gateway_token_file",
    "client_cert_file",
    "client_key_file",
    "ca_file",
];

/// What a key is called that somebody means to hold a secret.
const SECRET_WORDS: [&str; 7] =
    ["token", "password", "passwd", "passphrase", "secret", "credential", "client_key"];

/// Seconds between two questions: a minute at least, for the server's sake.
pub(crate) const INTERVAL_SECS: (u32, u32) = (60, 7 * 24 * 3600);
/// As many places as an operator has sites.
pub(crate) const MAX_MIRRORS: usize = 8;
/// hawkBit's own limits of a tenant's name and a target's.
pub(crate) const MAX_TENANT_CHARS: usize = 40;
pub(crate) const MAX_TARGET_CHARS: usize = 128;

const ONE_AGENT: &str = "one agent runs on a device, never two that write the same slot";
const FILE_HINT: &str = "write it into a file of root's with mode 0600 on the device, for example \
                         /data/config/hawkbit/token, and name that file";

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UpdateMode {
    Poll,
    Hawkbit,
}

pub(crate) const MODES: [&str; 2] = ["poll", "hawkbit"];

pub(super) fn read_os_upgrade(root: &Table<'_, '_>, sink: &mut Sink) -> Option<OsUpgrade> {
    let table = root.table("os_upgrade", sink)?;
    only_public(&table, &KEYS, sink);
    let mode = read_mode(&table, sink);
    let poll = read_poll(&table, mode, sink);
    let hawkbit = table.get("hawkbit").and_then(|item| read_hawkbit(item, sink));
    let proxy = table.get("proxy").and_then(|item| read_url(&item, check_proxy, PROXY, sink));
    let policy = table.get("policy").and_then(|item| read_policy(item, sink));
    let source = match mode? {
        UpdateMode::Poll => UpdateSource::Poll(poll?),
        UpdateMode::Hawkbit => UpdateSource::Hawkbit(hawkbit?),
    };
    Some(OsUpgrade { source, proxy, policy })
}

/// The mode, once it and the keys beside it agree.
fn read_mode(table: &Table<'_, '_>, sink: &mut Sink) -> Option<UpdateMode> {
    let mode = match table.get("mode") {
        Some(item) => {
            let words = [(MODES[0], UpdateMode::Poll), (MODES[1], UpdateMode::Hawkbit)];
            read_word(&item, &words, sink)?
        }
        None => UpdateMode::Poll,
    };
    match mode {
        UpdateMode::Hawkbit => {
            table.require("hawkbit", sink);
            for item in POLL_KEYS.iter().filter_map(|key| table.get(key)) {
                let hint = "take it away, or write mode = \"poll\" and take [os_upgrade.hawkbit] \
                            away";
                let problem = format!("is a key of polling beside mode = \"hawkbit\": {ONE_AGENT}");
                item.fault(sink, problem, hint);
            }
        }
        UpdateMode::Poll => {
            if let Some(item) = table.get("hawkbit") {
                let hint = "write mode = \"hawkbit\" and take the keys of polling away, or take \
                            this table away";
                item.fault(sink, format!("stands beside polling: {ONE_AGENT}"), hint);
            }
        }
    }
    Some(mode)
}

/// Everything of polling. Its keys are looked at in any mode; it is missing only where it is meant.
fn read_poll(table: &Table<'_, '_>, mode: Option<UpdateMode>, sink: &mut Sink) -> Option<Poll> {
    let is_meant = mode == Some(UpdateMode::Poll) && table.get("hawkbit").is_none();
    let metadata = table.get("metadata").and_then(|item| read_word(&item, Metadata::WORDS, sink));
    let is_old = KEYS.iter().all(|key| *key == "server_url" || table.get(key).is_none());
    if is_meant && !is_old && table.get("metadata").is_none() {
        // A key that is added later must not change what a server is believed to speak.
        let hint = "\"signed\" for documents of atomix release, \"original\" for the server of the \
                    former contract; server_url alone means \"original\"";
        sink.fault(table.span, &table.path.key("metadata"), "is missing", hint);
    }
    let interval = table.get("interval").map(|item| read_duration(&item, INTERVAL_SECS, sink));
    let report_url = table.get("report_url").map(|i| read_url(&i, check_new_url, SERVER, sink));
    let mirrors = table.get("mirrors").map(|item| read_mirrors(&item, sink));
    let tls = table.get("tls").map(|item| read_tls(item, sink));
    let server_url = match (is_meant, table.get("server_url")) {
        (true, None) => table.require("server_url", sink),
        (_, found) => found,
    };
    let server_url = server_url.and_then(|item| read_url(&item, check_url, SERVER, sink))?;
    Some(Poll {
        server_url,
        metadata,
        interval_secs: interval.flatten(),
        report_url: report_url.flatten(),
        mirrors: mirrors.unwrap_or_default(),
        tls: tls.flatten(),
    })
}

const SERVER: &str = "for example https://updates.example.com";
const PROXY: &str = "for example http://proxy.example.com:3128";

fn read_url(
    item: &Item<'_, '_>,
    check: fn(&str) -> Result<(), &'static str>,
    hint: &str,
    sink: &mut Sink,
) -> Option<String> {
    let url = trim(item.text(sink)?).trim_end_matches('/');
    if let Err(problem) = check(url) {
        item.fault(sink, problem, hint);
        return None;
    }
    Some(url.to_owned())
}

fn read_mirrors(item: &Item<'_, '_>, sink: &mut Sink) -> Vec<String> {
    let Some(items) = item.filled_list(sink) else { return Vec::new() };
    if items.len() > MAX_MIRRORS {
        item.fault(sink, format!("has {} places, more than {MAX_MIRRORS}", items.len()), "");
    }
    item.texts(items, sink, |text, item, sink| {
        let url = trim(text).trim_end_matches('/');
        if let Err(problem) = check_new_url(url) {
            item.fault(sink, problem, "for example https://mirror.example.com/bundles");
            return None;
        }
        Some(url.to_owned())
    })
}

fn read_tls(item: Item<'_, '_>, sink: &mut Sink) -> Option<TlsFiles> {
    let table = item.table(sink)?;
    only_public(&table, &TLS_KEYS, sink);
    if table.entries.is_empty() {
        item.fault(sink, "is empty", "leave the table out, or name files in it");
    }
    let ca_file = read_file(&table, "ca_file", sink);
    Some(TlsFiles { identity: read_identity(&table, sink), ca_file })
}

fn read_hawkbit(item: Item<'_, '_>, sink: &mut Sink) -> Option<Hawkbit> {
    let table = item.table(sink)?;
    only_public(&table, &HAWKBIT_KEYS, sink);
    let url = table.require("url", sink).and_then(|item| {
        read_url(&item, check_new_url, "for example https://hawkbit.example.com", sink)
    });
    let name =
        |key, most, sink: &mut Sink| table.get(key).map(|item| read_server_name(&item, most, sink));
    let tenant = name("tenant", MAX_TENANT_CHARS, sink);
    let target_id = name("target_id", MAX_TARGET_CHARS, sink);
    let confirm = table.get("confirm").map(|item| read_word(&item, ConfirmRule::WORDS, sink));
    let ca_file = read_file(&table, "ca_file", sink);
    let login = read_login(&table, sink);
    Some(Hawkbit {
        url: url?,
        tenant: tenant.flatten(),
        target_id: target_id.flatten(),
        confirm: confirm.flatten(),
        login: login?,
        ca_file,
    })
}

/// A name that becomes a part of an address.
fn read_server_name(item: &Item<'_, '_>, most: usize, sink: &mut Sink) -> Option<String> {
    let name = trim(item.text(sink)?);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    let begins = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if !begins || name.len() > most || !name.bytes().all(plain) {
        let problem = format!("is no name of 1 to {most} letters, digits and . _ : -");
        item.fault(sink, problem, "it begins with a letter or digit");
        return None;
    }
    Some(name.to_owned())
}

/// One way to log in, and no more: with two nobody could say which one the server has refused.
fn read_login(table: &Table<'_, '_>, sink: &mut Sink) -> Option<HawkbitLogin> {
    let target = read_file(table, "target_token_file", sink);
    let gateway = read_file(table, "gateway_token_file", sink);
    let identity = read_identity(table, sink);
    let has = |key| table.get(key).is_some();
    let ways = [
        has("target_token_file"),
        has("gateway_token_file"),
        has("client_cert_file") || has("client_key_file"),
    ];
    let hint = "name one: target_token_file, gateway_token_file, or client_cert_file with \
                client_key_file";
    match ways.into_iter().filter(|way| *way).count() {
        0 => sink.fault(table.span, &table.path, "says not how the device logs in", hint),
        1 => {}
        _ => sink.fault(table.span, &table.path, "has more than one way to log in", hint),
    }
    let ways = [
        target.map(HawkbitLogin::TargetToken),
        gateway.map(HawkbitLogin::GatewayToken),
        identity.map(HawkbitLogin::Certificate),
    ];
    ways.into_iter().flatten().next()
}

fn read_identity(table: &Table<'_, '_>, sink: &mut Sink) -> Option<ClientIdentity> {
    let has = |key| table.get(key).is_some();
    let (cert, key) = ("client_cert_file", "client_key_file");
    for (one, other) in [(cert, key), (key, cert)] {
        if has(one) && !has(other) {
            let hint = format!("{one} and {other} go together");
            sink.fault(table.span, &table.path.key(other), "is missing", hint);
        }
    }
    let cert_file = read_file(table, cert, sink);
    let key_file = read_file(table, key, sink);
    Some(ClientIdentity { cert_file: cert_file?, key_file: key_file? })
}

/// The path of a file of the operator's. The value is not repeated: it may be the secret itself.
fn read_file(table: &Table<'_, '_>, key: &str, sink: &mut Sink) -> Option<OperatorFile> {
    let item = table.get(key)?;
    let text = trim(item.text(sink)?);
    let file = OperatorFile::parse(text);
    if file.is_none() {
        let in_files = ["${FILES_DIR}", "${CONFIG_DIR}/files", "/data/config/files"];
        let places = "/data/config/hawkbit/ or /data/config/os-upgrade/";
        if in_files.iter().any(|place| text.starts_with(place)) {
            let problem = "is a file of the bundle, which the account of the containers owns";
            item.fault(sink, problem, format!("put it below {places} on the device"));
        } else if text.starts_with(['/', '$']) {
            let problem = format!("is no file below {places}");
            let hint = "a short path of letters, digits and . _ -, no part of it hidden";
            item.fault(sink, problem, hint);
        } else {
            item.fault(
                sink,
                "is no path; should it be the secret itself: it is refused",
                FILE_HINT,
            );
        }
    }
    file
}

/// Refuses unknown keys, and those that mean to hold a secret with the way out.
fn only_public(table: &Table<'_, '_>, known: &[&str], sink: &mut Sink) {
    let is_secret = |key: &str| {
        let lower = key.to_ascii_lowercase();
        !known.contains(&key) && SECRET_WORDS.iter().any(|word| lower.contains(word))
    };
    let mut others: Vec<&str> = known.to_vec();
    for entry in table.entries.iter().filter(|entry| is_secret(&entry.key)) {
        if closest(&entry.key, known.iter().copied(), sink).is_none() {
            let path = table.path.key(&entry.key);
            let problem = "is a secret in the configuration, which many may read";
            sink.fault(&entry.key_span, &path, problem, FILE_HINT);
            others.push(&entry.key);
        }
    }
    table.only(&others, sink);
}
