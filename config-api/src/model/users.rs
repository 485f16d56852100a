// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may use this device?

use super::config::{Shell, User};
use super::name::{UserName, trim};
use super::reader::{Item, Table, shortened};
use super::ssh_key::SshPublicKey;
use crate::model::fault::Sink;

/// The keys of a user.
pub(crate) const USER_KEYS: [&str; 3] = ["isAdmin", "ssh_key", "shell"];

pub(crate) fn read_users(root: &Table<'_, '_>, sink: &mut Sink) -> Vec<User> {
    let Some(table) = root.require("users", sink).and_then(|item| item.table(sink)) else {
        return Vec::new();
    };
    let before = sink.count();
    let mut users = Vec::with_capacity(table.entries.len());
    for (entry, item) in table.items() {
        let name = UserName::parse(&entry.key);
        if let Err(problem) = name {
            let hint = "a lower case letter or _, then at most 31 of a-z, 0-9, _ and -";
            sink.fault(&entry.key_span, &item.path, problem, hint);
        }
        let user = read_user(item, sink);
        if let (Ok(name), Some((is_admin, ssh_key, shell))) = (name, user) {
            users.push(User { name, is_admin, ssh_key, shell });
        }
    }
    let someone = users.iter().any(|user| user.is_admin && user.ssh_key.is_some());
    // A faulty user may be the administrator that is missed.
    if !someone && sink.count() == before {
        let hint = "without one nobody could log in or change the configuration again";
        let problem = "has no user with isAdmin = true and an ssh_key";
        sink.fault(table.span, &table.path, problem, hint);
    }
    users
}

type UserParts = (bool, Option<SshPublicKey>, Option<Shell>);

fn read_user(item: Item<'_, '_>, sink: &mut Sink) -> Option<UserParts> {
    let table = item.table(sink)?;
    table.only(&USER_KEYS, sink);
    let is_admin = match table.get("isAdmin") {
        Some(item) => item.boolean(sink),
        None => Some(false),
    };
    let key = match table.get("ssh_key") {
        Some(item) => item.text(sink).and_then(|text| read_key(&item, text, sink)),
        None => Some(None),
    };
    let shell = match table.get("shell") {
        Some(item) => item.text(sink).and_then(|text| read_shell(&item, text, sink)).map(Some),
        None => Some(None),
    };
    Some((is_admin?, key?, shell?))
}

/// Nothing but space means no key.
fn read_key(item: &Item<'_, '_>, text: &str, sink: &mut Sink) -> Option<Option<SshPublicKey>> {
    if trim(text).is_empty() {
        return Some(None);
    }
    match SshPublicKey::parse(text) {
        Ok(key) => Some(Some(key)),
        Err(fault) => {
            item.fault(sink, fault.to_string(), fault.hint());
            None
        }
    }
}

fn read_shell(item: &Item<'_, '_>, text: &str, sink: &mut Sink) -> Option<Shell> {
    let found = Shell::ALL.into_iter().find(|shell| shell.as_str() == text);
    if found.is_none() {
        let problem = format!("is no shell of this system: {:?}", shortened(text));
        item.fault(sink, problem, "bash, sh or zsh");
    }
    found
}
