// SPDX-License-Identifier: MIT OR Apache-2.0
//! The accounts: which are made, which are locked, and in which order, so that whoever lost his
//! account is locked out first and a cut in between is gone on from.

use super::error::ApplierError;
use super::settings::{Shell, UserName, Users};
use std::collections::{BTreeMap, BTreeSet};

/// Groups of those who administer the device, as far as the system has them.
const ADMIN_GROUPS: [&str; 2] = ["wheel", "podman"];

/// Never made, changed or locked by a configuration.
const PROTECTED: [&str; 2] = ["root", "appsvc"];

/// What the system knows of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The groups that it is in, beside its own.
    pub groups: BTreeSet<String>,
}

/// One thing to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserStep {
    /// Keep these names as ours, before any of them exists: a cut must not make strangers of them.
    Remember(Vec<UserName>),
    /// Run a program with these arguments.
    Run(Vec<String>),
    /// Give the key file of the generation to its account.
    GiveKey(UserName),
}

fn run(words: &[&str]) -> UserStep {
    UserStep::Run(words.iter().map(|word| (*word).to_owned()).collect())
}

/// What to do so that the accounts are those of the configuration. `ours` were made for one before,
/// `accounts` are those of the system, `groups` its groups, `shells` the directory of the shells.
///
/// # Errors
/// [`ApplierError::ForeignAccount`], before anything is done.
pub fn plan_users(
    wanted: &Users,
    ours: &BTreeSet<UserName>,
    accounts: &BTreeMap<UserName, Account>,
    groups: &BTreeSet<String>,
    shells: &str,
) -> Result<Vec<UserStep>, ApplierError> {
    for name in wanted.keys() {
        let is_foreign = accounts.contains_key(name) && !ours.contains(name);
        if is_foreign || PROTECTED.contains(&name.as_str()) {
            return Err(ApplierError::ForeignAccount { name: name.as_str().to_owned() });
        }
    }
    let mut steps = Vec::new();
    let gone = ours.iter().filter(|name| !wanted.contains_key(*name));
    for name in gone.filter(|name| accounts.contains_key(*name)) {
        if !PROTECTED.contains(&name.as_str()) {
            steps.push(run(&[
                "usermod",
                "--lock",
                "--expiredate=1",
                "--shell=/sbin/nologin",
                "--",
                name.as_str(),
            ]));
        }
    }
    let all: BTreeSet<UserName> = ours.iter().chain(wanted.keys()).cloned().collect();
    steps.push(UserStep::Remember(all.into_iter().collect()));
    for (name, user) in wanted {
        let account = accounts.get(name);
        if account.is_none() {
            let kind = if user.is_admin { "--create-home" } else { "--system" };
            let shell = shell(user.shell, user.is_admin);
            let shell = format!("--shell={shells}/{shell}");
            steps.push(run(&["useradd", kind, &shell, "--", name.as_str()]));
        }
        // An account that was locked by its removal comes back; its password never does.
        steps.push(run(&["usermod", "--expiredate=", "--lock", "--", name.as_str()]));
        let nothing = BTreeSet::new();
        let has = account.map_or(&nothing, |account| &account.groups);
        for group in ADMIN_GROUPS.iter().filter(|group| groups.contains(**group)) {
            match (user.is_admin, has.contains(*group)) {
                (true, false) => {
                    steps.push(run(&["gpasswd", "--add", name.as_str(), group]));
                }
                (false, true) => {
                    steps.push(run(&["gpasswd", "--delete", name.as_str(), group]));
                }
                (true, true) | (false, false) => {}
            }
        }
        if !user.ssh_key.is_empty() {
            steps.push(UserStep::GiveKey(name.clone()));
        }
    }
    steps.push(UserStep::Remember(wanted.keys().cloned().collect()));
    Ok(steps)
}

const fn shell(chosen: Option<Shell>, is_admin: bool) -> &'static str {
    match (chosen, is_admin) {
        (Some(Shell::Bash), _) | (None, false) => "bash",
        (Some(Shell::Sh), _) => "sh",
        (Some(Shell::Zsh), _) | (None, true) => "zsh",
    }
}
