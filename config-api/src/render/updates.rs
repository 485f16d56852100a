// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the update agent read? `os-upgrade.json`. A configuration of the former contract gives
//! the file of that contract, `{server_url}` alone, to the byte; what else is said stands beside it,
//! and only what is said.

use super::json::Json;
use crate::model::{
    ClientIdentity, Hawkbit, HawkbitLogin, OperatorFile, OsUpgrade, Poll, TlsFiles, UpdatePolicy,
    UpdateSource, Window,
};

/// The members of an object in their order.
struct Fields<'d> {
    config_dir: &'d str,
    list: Vec<(String, Json)>,
}

impl<'d> Fields<'d> {
    const fn new(config_dir: &'d str) -> Self {
        Self { config_dir, list: Vec::new() }
    }

    fn put(&mut self, key: &str, value: Json) {
        self.list.push((key.to_owned(), value));
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        self.list.extend(value.map(|value| (key.to_owned(), Json::text(value))));
    }

    fn number(&mut self, key: &str, value: Option<u32>) {
        let value = value.map(|value| Json::Number(u64::from(value)));
        self.list.extend(value.map(|value| (key.to_owned(), value)));
    }

    fn truth(&mut self, key: &str, value: Option<bool>) {
        self.list.extend(value.map(|value| (key.to_owned(), Json::Boolean(value))));
    }

    fn texts(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.put(key, super::texts(values));
        }
    }

    fn file(&mut self, key: &str, file: Option<&OperatorFile>) {
        let path = file.map(|file| file.path(self.config_dir));
        self.text(key, path.as_deref());
    }

    fn identity(&mut self, identity: Option<&ClientIdentity>) {
        self.file("client_cert_file", identity.map(|identity| &identity.cert_file));
        self.file("client_key_file", identity.map(|identity| &identity.key_file));
    }
}

/// The file's content.
pub(super) fn upgrade(os_upgrade: &OsUpgrade, config_dir: &str) -> Json {
    let mut fields = Fields::new(config_dir);
    match &os_upgrade.source {
        UpdateSource::Poll(poll) => put_poll(poll, &mut fields),
        UpdateSource::Hawkbit(hawkbit) => {
            fields.put("mode", Json::text("hawkbit"));
            fields.put("hawkbit", hawkbit_table(hawkbit, config_dir));
        }
    }
    fields.text("proxy", os_upgrade.proxy.as_deref());
    if let Some(policy) = &os_upgrade.policy {
        fields.put("policy", policy_table(policy));
    }
    Json::Object(fields.list)
}

/// Without `metadata` it is a file of the former contract: the model has nothing else then.
fn put_poll(poll: &Poll, fields: &mut Fields<'_>) {
    fields.text("server_url", Some(&poll.server_url));
    if let Some(metadata) = poll.metadata {
        fields.put("mode", Json::text("poll"));
        fields.put("metadata", Json::text(metadata.as_str()));
    }
    fields.number("interval_seconds", poll.interval_secs);
    fields.text("report_url", poll.report_url.as_deref());
    fields.texts("mirrors", &poll.mirrors);
    if let Some(TlsFiles { identity, ca_file }) = &poll.tls {
        let mut tls = Fields::new(fields.config_dir);
        tls.identity(identity.as_ref());
        tls.file("ca_file", ca_file.as_ref());
        fields.put("tls", Json::Object(tls.list));
    }
}

fn hawkbit_table(hawkbit: &Hawkbit, config_dir: &str) -> Json {
    let mut fields = Fields::new(config_dir);
    fields.text("url", Some(&hawkbit.url));
    fields.text("tenant", hawkbit.tenant.as_deref());
    fields.text("target_id", hawkbit.target_id.as_deref());
    fields.text("confirm", hawkbit.confirm.map(|rule| rule.as_str()));
    match &hawkbit.login {
        HawkbitLogin::TargetToken(file) => fields.file("target_token_file", Some(file)),
        HawkbitLogin::GatewayToken(file) => fields.file("gateway_token_file", Some(file)),
        HawkbitLogin::Certificate(identity) => fields.identity(Some(identity)),
    }
    fields.file("ca_file", hawkbit.ca_file.as_ref());
    Json::Object(fields.list)
}

fn policy_table(policy: &UpdatePolicy) -> Json {
    // No path is among them.
    let mut fields = Fields::new("");
    if !policy.windows.is_empty() {
        fields.put("windows", Json::List(policy.windows.iter().map(window).collect()));
    }
    fields.text("reboot", policy.reboot.map(|rule| rule.as_str()));
    fields.text("metered", policy.metered.map(|rule| rule.as_str()));
    fields.number("rate_limit_kib", policy.rate_limit_kib);
    fields.number("max_update_mib", policy.max_update_mib);
    fields.number("max_day_mib", policy.max_day_mib);
    fields.truth("allow_downgrade", policy.allow_downgrade);
    fields.number("jitter_seconds", policy.jitter_secs);
    fields.truth("keep_bundles", policy.keep_bundles);
    fields.texts("before_reboot", &policy.before_reboot);
    Json::Object(fields.list)
}

fn window(window: &Window) -> Json {
    let mut fields = Fields::new("");
    let days: Vec<String> = window.days.iter().map(|day| day.as_str().to_owned()).collect();
    fields.texts("days", &days);
    fields.text("from", Some(&window.from.to_string()));
    fields.text("to", Some(&window.to.to_string()));
    fields.text("offset", Some(&window.offset()));
    Json::Object(fields.list)
}
