// SPDX-License-Identifier: MIT OR Apache-2.0
//! The accounts of this machine.

use super::live::{Failed, LiveServices, MAX_FILE_BYTES};
use crate::activate::ServiceError;
use crate::appliers::{
    Account, ApplierError, UserName, UserStep, Users, plan_users, read_settings,
};
use crate::promote::{Generation, Moment, Owner};
use nix::unistd::{Group, User};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use storage::tree::{Meta, Trees, replace_file};

const MANAGED: &str = "config/managed-users.json";
const GROUPS: [&str; 2] = ["wheel", "podman"];

impl LiveServices {
    pub(super) fn apply_users(
        &mut self,
        generation: Generation,
        until: Moment,
    ) -> Result<(), ServiceError> {
        let wanted: Users = self.own_settings(generation, "users.json")?;
        let ours = self.managed_users().failed("cannot read which accounts are ours")?;
        let (accounts, groups) =
            accounts(wanted.keys().chain(&ours)).failed("cannot look up an account")?;
        let steps = plan_users(&wanted, &ours, &accounts, &groups, &self.parts.shells)
            .failed("cannot apply the accounts")?;
        for step in steps {
            match step {
                UserStep::Run(words) => {
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    self.run(&words, b"", until).failed("cannot change an account")?;
                }
                UserStep::Remember(names) => self.remember(&names)?,
                UserStep::GiveKey(name) => self.give_key(generation, &name)?,
            }
        }
        Ok(())
    }

    fn managed_users(&self) -> Result<BTreeSet<UserName>, ApplierError> {
        match self.parts.data.read(Path::new(MANAGED), MAX_FILE_BYTES)? {
            Some(bytes) => read_settings("managed-users.json", &bytes),
            None => Ok(BTreeSet::new()),
        }
    }

    fn remember(&mut self, names: &[UserName]) -> Result<(), ServiceError> {
        let names: Vec<&str> = names.iter().map(UserName::as_str).collect();
        let mut text = serde_json::to_string_pretty(&names).failed("cannot write names down")?;
        text.push('\n');
        let meta = self.parts.owners.meta(Owner::Root, 0o600);
        let path = Path::new(MANAGED);
        if self.parts.data.read(path, MAX_FILE_BYTES).ok().flatten().as_deref()
            == Some(text.as_bytes())
        {
            return Ok(());
        }
        replace_file(&mut self.parts.data, path, text.as_bytes(), meta)
            .failed("cannot remember which accounts are ours")
    }

    /// sshd reads the file as the account.
    fn give_key(&mut self, generation: Generation, name: &UserName) -> Result<(), ServiceError> {
        let account = User::from_name(name.as_str()).failed("cannot look up an account")?;
        let missing = || ServiceError {
            what: format!("account {} was made and is not there", name.as_str()),
            source: None,
        };
        let account = account.ok_or_else(missing)?;
        let path = generation.path().join("ssh-authorized-keys").join(name.as_str());
        let (uid, gid) = (account.uid.as_raw(), account.gid.as_raw());
        let meta = Meta { mode: 0o600, uid, gid };
        self.parts.data.give(&path, meta).failed("cannot give a key file away")
    }
}

/// What the system knows of some names, and which of the groups it has.
fn accounts<'a>(
    names: impl Iterator<Item = &'a UserName>,
) -> nix::Result<(BTreeMap<UserName, Account>, BTreeSet<String>)> {
    let mut members: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for name in GROUPS {
        if let Some(group) = Group::from_name(name)? {
            members.insert(name, group.mem);
        }
    }
    let mut accounts = BTreeMap::new();
    for name in names {
        if User::from_name(name.as_str())?.is_none() {
            continue;
        }
        let is_in = |all: &Vec<String>| all.iter().any(|member| member == name.as_str());
        let groups = members.iter().filter(|(_, all)| is_in(all));
        let groups = groups.map(|(group, _)| (*group).to_owned()).collect();
        accounts.insert(name.clone(), Account { groups });
    }
    Ok((accounts, members.keys().map(|group| (*group).to_owned()).collect()))
}
