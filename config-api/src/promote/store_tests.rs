// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configurations on a real file system. What cuts do is the power-cut harness' matter.

use super::*;
use crate::promote::layout::CURRENT;
use nix::unistd::{getegid, geteuid};
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use storage::tree::{HostTrees, MemoryTrees, Node, scan};

fn owners() -> Owners {
    let me = (geteuid().as_raw(), getegid().as_raw());
    Owners { root: me, app_service: me }
}

struct Given<'a>(&'a [(&'a str, &'a str)]);

impl Source for Given<'_> {
    fn each(
        &mut self,
        put: &mut dyn FnMut(Item<'_>) -> Result<(), PromoteError>,
    ) -> Result<(), PromoteError> {
        for (path, text) in self.0 {
            let content = Content::Payload(&mut text.as_bytes());
            put(Item { path: Path::new(path), owner: Owner::Root, mode: 0o600, content })?;
        }
        Ok(())
    }
}

fn recover(dir: &Path, boot: &str, now: u64) -> Recovered {
    let trees = Box::new(HostTrees::open(dir).unwrap());
    Store::recover(trees, owners(), &BootId(boot.to_owned()), Moment(now)).unwrap()
}

fn promote(store: &mut Store, files: &[(&str, &str)]) -> Next {
    let to = store.write(&mut Given(files)).unwrap();
    let boot = BootId("one".to_owned());
    store
        .apply(&Command::Promote { to, window_secs: 60, confirm_secs: None, boot, now: Moment(0) })
        .unwrap()
}

const HEALTHY: Command = Command::Healthy { confirm_until: None };

#[test]
fn a_promotion_is_seen_through_the_names_and_replaces_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    fs::create_dir_all(config.join("quadlet")).unwrap();
    fs::write(config.join("ssh-wan-enabled"), "yes").unwrap();
    let mut store = recover(dir.path(), "one", 0).store;
    let next = promote(&mut store, &[("config.toml", "first"), ("quadlet/a.container", "a")]);
    assert_eq!(next, Next::Activate { generation: Generation::FIRST, until: Moment(60) });
    assert_eq!(fs::read_to_string(config.join("config.toml")).unwrap(), "first");
    assert_eq!(fs::read_to_string(config.join("quadlet/a.container")).unwrap(), "a");
    store.apply(&HEALTHY).unwrap();
    promote(&mut store, &[("config.toml", "second")]);
    assert!(!config.join("quadlet").exists(), "it has none");
    store.apply(&HEALTHY).unwrap();
    let left: Vec<_> = fs::read_dir(config.join("generations")).unwrap().collect();
    assert_eq!(left.len(), 1, "the one before is deleted: {left:?}");
    assert_eq!(fs::read_to_string(config.join("ssh-wan-enabled")).unwrap(), "yes");
}

#[test]
fn a_failed_one_goes_back_and_stays_until_its_services_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    let mut store = recover(dir.path(), "one", 0).store;
    promote(&mut store, &[("config.toml", "first")]);
    store.apply(&HEALTHY).unwrap();
    promote(&mut store, &[("config.toml", "second"), ("files/x", "payload")]);
    let next = store.apply(&Command::Fail).unwrap();
    assert_eq!(next, Next::Reapply { generation: Generation::FIRST });
    assert_eq!(fs::read_to_string(config.join("config.toml")).unwrap(), "first");
    assert!(config.join("generations/gen-2/files/x").exists(), "containers may hold it");
    let mut store = recover(dir.path(), "one", 5).store;
    assert_eq!(store.state().next(), Next::Reapply { generation: Generation::FIRST });
    store.apply(&Command::Reapplied { rollback: Rollback::Completed }).unwrap();
    assert!(!config.join("generations/gen-2").exists());
}

#[test]
fn a_source_that_breaks_leaves_nothing_and_changes_nothing() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    struct BrokenSource;
    impl Source for BrokenSource {
        fn each(
            &mut self,
            put: &mut dyn FnMut(Item<'_>) -> Result<(), PromoteError>,
        ) -> Result<(), PromoteError> {
            let path = Path::new("files/big");
            let content = Content::Payload(&mut Broken);
            put(Item { path, owner: Owner::AppService, mode: 0o600, content })
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut store = recover(dir.path(), "one", 0).store;
    promote(&mut store, &[("config.toml", "first")]);
    store.apply(&HEALTHY).unwrap();
    let before = scan(store.trees()).unwrap();
    let failed = store.write(&mut BrokenSource).unwrap_err();
    assert!(matches!(failed, PromoteError::Source { .. }), "{failed}");
    assert_eq!(scan(store.trees()).unwrap(), before);
}

#[test]
fn a_path_that_leads_out_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = recover(dir.path(), "one", 0).store;
    for path in ["../x", "/etc/x", "", "files/../../x"] {
        let refused = store.write(&mut Given(&[(path, "x")])).unwrap_err();
        assert!(matches!(refused, PromoteError::Path { .. }), "{path}: {refused}");
    }
}

#[test]
fn a_corrupt_record_keeps_what_the_link_says_and_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = recover(dir.path(), "one", 0).store;
    promote(&mut store, &[("config.toml", "first")]);
    store.apply(&HEALTHY).unwrap();
    fs::write(dir.path().join(RECORD), "{").unwrap();
    let found = recover(dir.path(), "two", 0);
    assert!(found.warning.unwrap().contains("gen-1 counts"));
    assert!(found.store.state().is_provisioned());
    assert!(recover(dir.path(), "two", 0).warning.is_none(), "the record is whole again");
}

#[test]
fn with_neither_record_nor_link_the_device_is_not_given_away() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = recover(dir.path(), "one", 0).store;
    promote(&mut store, &[("config.toml", "first")]);
    fs::write(dir.path().join(RECORD), "").unwrap();
    fs::remove_file(dir.path().join(CURRENT)).unwrap();
    let trees = Box::new(HostTrees::open(dir.path()).unwrap());
    let failed = Store::recover(trees, owners(), &BootId("two".to_owned()), Moment(0));
    assert!(matches!(failed, Err(PromoteError::CorruptRecord { .. })));
}

#[test]
fn the_old_programs_table_holds_but_for_its_two_faults() {
    use Completeness::{Input, Nothing, Whole};
    let table = [
        // A marker and a whole rollback tree: the new one was not proved.
        ((true, Whole, Whole), Some(Origin::Rollback)),
        ((true, Nothing, Whole), Some(Origin::Rollback)),
        // B1: the rollback tree was being deleted, so the new one had been proved.
        ((true, Whole, Input), Some(Origin::Active)),
        ((true, Whole, Nothing), Some(Origin::Active)),
        ((true, Input, Nothing), Some(Origin::Active)),
        ((true, Nothing, Nothing), None),
        ((true, Nothing, Input), Some(Origin::Rollback)),
        ((false, Whole, Whole), Some(Origin::Active)),
        ((false, Input, Whole), Some(Origin::Active)),
        // B7: at once, not at the second call.
        ((false, Nothing, Whole), Some(Origin::Rollback)),
        ((false, Nothing, Nothing), None),
    ];
    for ((marker, active, rollback), wanted) in table {
        let old = OldTrees { active, rollback, marker };
        assert_eq!(choose(old), wanted, "{old:?}");
    }
}

#[test]
fn what_a_container_planted_among_its_files_is_not_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    fs::create_dir_all(config.join("files/site")).unwrap();
    fs::write(config.join("config.toml"), "version = 1").unwrap();
    fs::write(config.join("files/site/a"), "a").unwrap();
    std::os::unix::fs::symlink("/etc/shadow", config.join("files/stolen")).unwrap();
    nix::unistd::mkfifo(&config.join("files/pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let store = recover(dir.path(), "one", 0).store;
    let image = scan(store.trees()).unwrap();
    let taken: Vec<_> = image
        .keys()
        .filter_map(|path| path.strip_prefix("config/generations/gen-1").ok())
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(taken, ["", "config.toml", "files", "files/site", "files/site/a"]);
    assert!(!image.keys().any(|path| path.starts_with("config/.replaced-files")));
}

#[test]
fn a_medium_that_gives_back_something_else_is_found_before_it_counts() {
    let lying = Lying(MemoryTrees::default());
    let boot = BootId("one".to_owned());
    let recovered = Store::recover(Box::new(lying), owners(), &boot, Moment(0)).unwrap();
    let mut store = recovered.store;
    let failed = store.write(&mut Given(&[("config.toml", "first")])).unwrap_err();
    assert!(matches!(failed, PromoteError::ReadBack { .. }), "{failed}");
}

/// Loses the last byte of what is read.
struct Lying(MemoryTrees);

impl storage::tree::Trees for Lying {
    fn entry(&self, path: &Path) -> Result<Option<storage::tree::Entry>, storage::FilesError> {
        self.0.entry(path)
    }
    fn list(&self, dir: &Path) -> Result<Vec<std::ffi::OsString>, storage::FilesError> {
        self.0.list(dir)
    }
    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, storage::FilesError> {
        match self.0.image().get(path) {
            Some(Node::File(_, content)) => {
                let short = content.split_last().map_or(&[][..], |(_, short)| short).to_vec();
                Ok(Box::new(io::Cursor::new(short)))
            }
            Some(Node::Dir(_) | Node::Link(_)) | None => self.0.open(path),
        }
    }
    fn link_target(&self, path: &Path) -> Result<std::path::PathBuf, storage::FilesError> {
        self.0.link_target(path)
    }
    fn make_dir(
        &mut self,
        path: &Path,
        meta: storage::tree::Meta,
    ) -> Result<(), storage::FilesError> {
        self.0.make_dir(path, meta)
    }
    fn write(
        &mut self,
        path: &Path,
        content: &mut dyn Read,
        meta: storage::tree::Meta,
    ) -> Result<(), storage::FilesError> {
        self.0.write(path, content, meta)
    }
    fn append(
        &mut self,
        path: &Path,
        bytes: &[u8],
        meta: storage::tree::Meta,
    ) -> Result<(), storage::FilesError> {
        self.0.append(path, bytes, meta)
    }
    fn link(&mut self, path: &Path, target: &Path) -> Result<(), storage::FilesError> {
        self.0.link(path, target)
    }
    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), storage::FilesError> {
        self.0.rename(from, to)
    }
    fn remove(&mut self, path: &Path) -> Result<(), storage::FilesError> {
        self.0.remove(path)
    }
    fn give(&mut self, path: &Path, meta: storage::tree::Meta) -> Result<(), storage::FilesError> {
        self.0.give(path, meta)
    }
    fn sync_dir(&mut self, dir: &Path) -> Result<(), storage::FilesError> {
        self.0.sync_dir(dir)
    }
}

/// The contents of a bundle, by their numbers.
struct Spool(Vec<&'static str>);

impl Members for Spool {
    fn open(&mut self, member: usize) -> io::Result<Box<dyn Read + '_>> {
        let text = self.0.get(member).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(text.as_bytes()))
    }
}

#[test]
fn a_rendered_tree_is_promoted_with_its_payload_and_its_exact_length() {
    use crate::tree::{Content as Held, Tree};
    let tree = |len| {
        let mut tree = Tree::default();
        tree.file("config.toml", 0o600, "version = 1\n");
        tree.directory("quadlet", 0o755);
        tree.file("quadlet/web.container", 0o644, "[Container]\n");
        tree.payload("files", Held::Directory);
        tree.payload("files/page", Held::Payload { member: 0, len });
        tree
    };
    let dir = tempfile::tempdir().unwrap();
    let mut store = recover(dir.path(), "one", 0).store;
    for len in [3, 5] {
        let members = &mut Spool(vec!["page"]);
        let refused = store.write(&mut Rendered { tree: &tree(len), members }).unwrap_err();
        assert!(matches!(refused, PromoteError::Source { .. }), "{len}: {refused}");
    }
    let missing = store.write(&mut Rendered { tree: &tree(4), members: &mut NoMembers });
    assert!(matches!(missing, Err(PromoteError::Source { .. })));
    let members = &mut Spool(vec!["page"]);
    let to = store.write(&mut Rendered { tree: &tree(4), members }).unwrap();
    let boot = BootId("one".to_owned());
    store
        .apply(&Command::Promote { to, window_secs: 60, confirm_secs: None, boot, now: Moment(0) })
        .unwrap();
    let config = dir.path().join("config");
    assert_eq!(fs::read_to_string(config.join("files/page")).unwrap(), "page");
    let image = scan(store.trees()).unwrap();
    let mode = |path: &str| match image.get(&to.path().join(path)) {
        Some(Node::Dir(meta) | Node::File(meta, _)) => Some(meta.mode),
        Some(Node::Link(_)) | None => None,
    };
    let modes = ["config.toml", "quadlet", "quadlet/web.container", "files", "files/page"];
    assert_eq!(modes.map(mode), [0o600, 0o700, 0o644, 0o700, 0o600].map(Some));
}
