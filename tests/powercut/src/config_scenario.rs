// SPDX-License-Identifier: MIT OR Apache-2.0
//! Promotions of a configuration, on `/data` alone: the same code as on a board, on a tree in
//! memory whose every act is logged.

use anyhow::{Context, Result, bail};
use config_api::promote::{
    BootId, Command, Content, Item, Moment, Next, Owner, Owners, PromoteError, Rollback, Seed,
    Source, State, Store,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::Digest;
use storage::tree::{MemoryTrees, Meta, Node, TreeImage, TreeStep, scan};

pub const OWNERS: Owners = Owners { root: (0, 0), app_service: (970, 970) };

const NOW: Moment = Moment(20);

const ROOT_DIR: Meta = Meta { mode: 0o755, uid: 0, gid: 0 };
const SECRET: Meta = Meta { mode: 0o600, uid: 0, gid: 0 };
const APP_DIR: Meta = Meta { mode: 0o700, uid: 970, gid: 970 };
const APP_FILE: Meta = Meta { mode: 0o600, uid: 970, gid: 970 };

/// What happens to a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigAct {
    /// It is promoted and its services are healthy.
    Promote,
    /// The same, and the operator confirms.
    Confirm,
    /// It is promoted, its services fail, and the one before comes back.
    RollBack,
    /// There is none before it, and its services fail.
    Discard,
    /// The service starts.
    Recover,
}

/// Which configuration is seen, by its tag; `None` is a device that nobody owns.
pub type Seen = Option<u8>;

/// A promotion with its device.
pub struct ConfigScenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What `/data` holds before.
    pub before: TreeImage,
    /// What is done.
    pub act: ConfigAct,
    /// What is seen before.
    pub old: Seen,
    /// What is seen after.
    pub new: Seen,
    /// The configurations that may be seen.
    pub tags: &'static [u8],
    /// The operator's entries, which stay whatever happens.
    pub operators: Vec<PathBuf>,
    /// Where the configuration comes from.
    pub origin: Origin,
}

/// Where a configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody uploads it.
    Upload,
    /// The device found it, and remembers that it took it.
    Seed,
}

/// The digest of the seed.
pub const SEED: Digest = Digest::from_bytes([7; 32]);

/// From this many acts on only these configurations may be seen.
pub type Promise = (usize, Vec<Seen>);

/// A promotion that was done, undisturbed.
pub struct ConfigRecord {
    /// Its acts.
    pub steps: Vec<TreeStep>,
    /// What it promised, oldest first.
    pub promises: Vec<Promise>,
    /// What `/data` holds after it.
    pub end: TreeImage,
}

/// The boots that matter: the one of the promotion, and the one after the cut.
pub fn boot(number: u8) -> BootId {
    BootId(format!("boot-{number}"))
}

/// Configuration `tag`, as its relative paths and nodes.
pub fn configuration(tag: u8) -> BTreeMap<PathBuf, Node> {
    let text = |lines: usize| -> Arc<[u8]> {
        let line = format!("{:031}{tag}\n", lines);
        line.repeat(lines).into_bytes().into()
    };
    let json = |text: &str| -> Arc<[u8]> { Arc::from(text.as_bytes()) };
    let unit = format!("web{tag}.container");
    let runtime = format!("{{\"units\": [{{\"filename\": \"{unit}\"}}]}}");
    let mut all: Vec<(String, Node)> = vec![
        ("config.toml".to_owned(), Node::File(SECRET, text(40))),
        ("users.json".to_owned(), Node::File(SECRET, json("{\"ann\": {\"ssh_key\": \"k\"}}"))),
        ("ssh-authorized-keys".to_owned(), Node::Dir(ROOT_DIR)),
        ("ssh-authorized-keys/ann".to_owned(), Node::File(SECRET, text(2))),
        ("quadlet".to_owned(), Node::Dir(ROOT_DIR)),
        (format!("quadlet/{unit}"), Node::File(SECRET, text(3))),
        ("quadlet-runtime.json".to_owned(), Node::File(SECRET, json(&runtime))),
    ];
    let small = ["admin-signers", "firewall-inbound.json", "lan-settings.json"];
    let more = ["host-network.json", "health-required.json", "activation-policy.json"];
    for name in small.into_iter().chain(more) {
        all.push((name.to_owned(), Node::File(SECRET, text(1))));
    }
    // Every second configuration has a payload and a server of updates.
    if tag.is_multiple_of(2) {
        all.push(("files".to_owned(), Node::Dir(APP_DIR)));
        all.push(("files/site".to_owned(), Node::Dir(APP_DIR)));
        all.push(("files/site/index.html".to_owned(), Node::File(APP_FILE, text(50))));
        all.push(("os-upgrade.json".to_owned(), Node::File(SECRET, text(1))));
    }
    all.into_iter().map(|(path, node)| (PathBuf::from(path), node)).collect()
}

/// A configuration as it comes to be promoted.
struct Given(u8);

impl Source for Given {
    fn each(
        &mut self,
        put: &mut dyn FnMut(Item<'_>) -> Result<(), PromoteError>,
    ) -> Result<(), PromoteError> {
        for (path, node) in &configuration(self.0) {
            let owner = |meta: &Meta| if meta.uid == 0 { Owner::Root } else { Owner::AppService };
            let (meta, content) = match node {
                Node::Dir(meta) => (meta, Content::Dir),
                Node::File(meta, bytes) => (meta, Content::Bytes(bytes)),
                Node::Link(_) => return Err(PromoteError::Path { path: path.clone() }),
            };
            put(Item { path, owner: owner(meta), mode: meta.mode, content })?;
        }
        Ok(())
    }
}

/// The operator's own entries below a directory.
fn operators_in(dir: &str, image: &mut TreeImage) -> Vec<PathBuf> {
    let file = |text: &str| Node::File(SECRET, Arc::from(text.as_bytes()));
    let entries = [
        ("ssh-wan-enabled", file("")),
        ("openvpn", Node::Dir(Meta { mode: 0o700, uid: 0, gid: 0 })),
        ("openvpn/client.conf", file("remote vpn.example\n")),
        ("openvpn/newest.conf", Node::Link("client.conf".into())),
        ("notes", Node::Link("openvpn".into())),
        ("hawkbit", Node::Dir(Meta { mode: 0o700, uid: 0, gid: 0 })),
        ("hawkbit/token", file("a secret of the update agent\n")),
    ];
    for (name, node) in &entries {
        image.insert(Path::new(dir).join(name), node.clone());
    }
    entries.iter().map(|(name, _)| Path::new("config").join(name)).collect()
}

fn put(image: &mut TreeImage, dir: &str, tag: u8) {
    image.insert(dir.into(), Node::Dir(ROOT_DIR));
    for (path, node) in configuration(tag) {
        image.insert(Path::new(dir).join(path), node);
    }
}

fn store(trees: MemoryTrees, boot: &BootId) -> Result<Store> {
    Ok(Store::recover(Box::new(trees), OWNERS, boot, Moment(10))?.store)
}

/// Promotes configuration `tag` up to where `act` ends, telling after each command.
fn promote(
    store: &mut Store,
    tag: u8,
    (act, origin): (ConfigAct, Origin),
    told: &mut dyn FnMut(&Store),
) -> Result<()> {
    let to = store.write(&mut Given(tag))?;
    let begin =
        Command::Promote { to, window_secs: 300, confirm_secs: None, boot: boot(1), now: NOW };
    match origin {
        Origin::Upload => store.apply(&begin)?,
        Origin::Seed => store.take_seed(&begin, Seed::new(SEED, "/boot config.toml", 0, to))?,
    };
    told(store);
    for command in verdict(act)? {
        store.apply(&command)?;
        told(store);
    }
    Ok(())
}

/// What follows a promotion.
fn verdict(act: ConfigAct) -> Result<Vec<Command>> {
    let until = Moment(100);
    Ok(match act {
        ConfigAct::Promote => vec![Command::Healthy { confirm_until: None }],
        ConfigAct::Confirm => {
            vec![Command::Healthy { confirm_until: Some(until) }, Command::Confirm { now: NOW }]
        }
        ConfigAct::RollBack => {
            vec![Command::Fail, Command::Reapplied { rollback: Rollback::Completed }]
        }
        ConfigAct::Discard => vec![Command::Fail],
        ConfigAct::Recover => bail!("a recovery promotes nothing"),
    })
}

/// A device that runs configuration 2 of a promotion, with the operator's entries.
fn provisioned() -> Result<(TreeImage, Vec<PathBuf>)> {
    let mut image = TreeImage::new();
    image.insert("config".into(), Node::Dir(ROOT_DIR));
    let operators = operators_in("config", &mut image);
    let mut store = store(image.into(), &boot(0))?;
    promote(&mut store, 2, (ConfigAct::Promote, Origin::Upload), &mut |_| {})?;
    Ok((scan(store.trees())?, operators))
}

impl ConfigScenario {
    /// Every one.
    ///
    /// # Errors
    /// When a device cannot be made.
    pub fn all() -> Result<Vec<Self>> {
        let (image, operators) = provisioned()?;
        let on = |name, act, new| Self {
            name,
            before: image.clone(),
            act,
            old: Some(2),
            new,
            tags: &[2, 3],
            operators: operators.clone(),
            origin: Origin::Upload,
        };
        let mut all = vec![
            on("config-promote", ConfigAct::Promote, Some(3)),
            on("config-confirm", ConfigAct::Confirm, Some(3)),
            on("config-rollback", ConfigAct::RollBack, Some(2)),
        ];
        all.extend(first_ones());
        all.extend(old_devices());
        Ok(all)
    }

    /// Does it once, undisturbed.
    ///
    /// # Errors
    /// When it fails: that is no matter of power cuts.
    pub fn record(&self) -> Result<ConfigRecord> {
        let (trees, log) = MemoryTrees::recorded(self.before.clone());
        let mut promises = vec![(0, vec![self.old, self.new])];
        let mut store = store(trees, &boot(1))?;
        if self.act != ConfigAct::Recover {
            promote(&mut store, self.tag()?, (self.act, self.origin), &mut |store| {
                if !matches!(store.state(), State::Pending { .. }) {
                    promises.push((log.steps().len(), vec![self.new]));
                }
            })?;
        }
        let steps = log.steps();
        promises.push((steps.len(), vec![self.new]));
        Ok(ConfigRecord { end: scan(store.trees())?, steps, promises })
    }

    fn tag(&self) -> Result<u8> {
        self.tags.last().copied().context("no configuration to promote")
    }

    /// Does it again on what a cut and the recovery left, in the boot after the cut; what came too
    /// far to be done again is left alone.
    ///
    /// # Errors
    /// Those of the production code.
    pub fn again(&self, image: &TreeImage) -> Result<TreeImage> {
        let mut store = store(image.clone().into(), &boot(2))?;
        if self.origin == Origin::Seed && store.seeds().find(&SEED).is_some() {
            // It was taken: the boot tries it again, and nobody takes it anew.
            if let Next::Activate { .. } = store.state().next() {
                for command in verdict(self.act)? {
                    store.apply(&command)?;
                }
            }
            return Ok(scan(store.trees())?);
        }
        // What the boot does with a first configuration that is tried again.
        if let Next::Activate { .. } = store.state().next() {
            store.apply(&Command::Fail)?;
        }
        if self.act != ConfigAct::Recover {
            promote(&mut store, self.tag()?, (self.act, self.origin), &mut |_| {})?;
        }
        Ok(scan(store.trees())?)
    }
}

/// Devices that nobody owns yet.
fn first_ones() -> Vec<ConfigScenario> {
    let mut image = TreeImage::new();
    // What the first boot makes.
    for dir in ["config", "config/quadlet", "config/ssh-authorized-keys"] {
        image.insert(dir.into(), Node::Dir(ROOT_DIR));
    }
    let operators = operators_in("config", &mut image);
    let on = |name, act, new, origin| ConfigScenario {
        name,
        before: image.clone(),
        act,
        old: None,
        new,
        tags: &[2],
        operators: operators.clone(),
        origin,
    };
    vec![
        on("config-initial", ConfigAct::Promote, Some(2), Origin::Upload),
        on("config-discard", ConfigAct::Discard, None, Origin::Upload),
        on("config-seed", ConfigAct::Promote, Some(2), Origin::Seed),
        on("config-seed-discard", ConfigAct::Discard, None, Origin::Seed),
    ]
}

/// Devices of the program before us.
fn old_devices() -> Vec<ConfigScenario> {
    let marker = Node::File(SECRET, Arc::from(&b"pending\n"[..]));
    let mut plain = TreeImage::new();
    put(&mut plain, "config", 2);
    let kept = operators_in("config", &mut plain);
    plain.insert("config/managed-users.json".into(), Node::File(SECRET, (*b"[\"ann\"]").into()));
    // Its promotion moved the operator's entries away with the tree before.
    let mut pending = TreeImage::new();
    put(&mut pending, "config", 3);
    put(&mut pending, "config-rollback", 2);
    let _away = operators_in("config-rollback", &mut pending);
    pending.insert("config.atomixos-promotion-pending".into(), marker);
    let on = |name, before: &TreeImage, operators| ConfigScenario {
        name,
        before: before.clone(),
        act: ConfigAct::Recover,
        old: Some(2),
        new: Some(2),
        tags: &[2, 3],
        operators,
        origin: Origin::Upload,
    };
    vec![
        on("config-migrate", &plain, kept),
        // Where they lie before is not where they are looked for; the end says that they came.
        on("config-migrate-pending", &pending, Vec::new()),
    ]
}
