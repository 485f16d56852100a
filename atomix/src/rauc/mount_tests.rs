// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `rauc mount` runs, and when it refuses; the programs are played.

use super::*;
use crate::rauc::poller_hands::tests::{PKI, make};
use bundle::{CheckTime, FileSource, Keyring, KeyringOptions, Limits, UntrustedBundle};
use std::fs;

struct Board {
    dir: tempfile::TempDir,
    ran: Vec<String>,
    fails: &'static str,
}

impl Board {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/self")).unwrap();
        fs::create_dir_all(dir.path().join("run")).unwrap();
        Self { dir, ran: Vec::new(), fails: "no program" }
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("mnt/bundle")
    }

    fn mount(&mut self, format: BundleFormat) -> Result<(), String> {
        let path = self.dir.path().join("x.raucb");
        fs::write(&path, make(&PKI, format)).unwrap();
        let source = FileSource::open(&path).unwrap();
        let keyring = Keyring::from_pem(&PKI.ca_cert_pem, KeyringOptions::default());
        let bundle =
            UntrustedBundle::open(std::sync::Arc::new(source), &Limits::default()).unwrap();
        let bundle = bundle.verify(&keyring.unwrap(), CheckTime::Skip).unwrap();
        let (target, fails) = (self.target(), self.fails);
        let mut ran = Vec::new();
        let mut run = |program: &str, arguments: &[&OsStr]| {
            let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
            ran.push(format!("{program} {}", words.join(" ")));
            match ran.last().is_some_and(|line| line.contains(fails)) {
                true => Err(RaucError::refused("it failed")),
                false => Ok(()),
            }
        };
        let place = Place::Local(path);
        let done = mount_at(self.dir.path(), (&place, &bundle), &target, &mut run);
        self.ran = ran;
        done.map_err(|error| error.chain())
    }

    fn stages(&self) -> usize {
        let names = fs::read_dir(self.dir.path().join("mnt")).unwrap();
        names.filter(|name| name.as_ref().unwrap().file_name() != "bundle").count()
    }
}

#[test]
fn a_copy_is_bounded_by_what_it_takes() {
    let mut board = Board::new();
    board.mount(BundleFormat::Verity).unwrap();
    let [memory, bind, read_only, free] = board.ran.as_slice() else { panic!("{:?}", board.ran) };
    // An image of 1 MiB, the manifest, the root and the directories of the copy.
    let (_, size) = memory.split_once("size=").unwrap();
    let (size, rest) = size.split_once(',').unwrap();
    let size: u64 = size.parse().unwrap();
    assert!((1 << 20..(1 << 20) + 6 * PAGE_BYTES).contains(&size), "{memory}");
    assert!(rest.starts_with("nr_inodes="), "{memory}");
    assert!(memory.contains("nosuid,nodev"), "{memory}");
    assert!(bind.starts_with("mount --bind ") && read_only.contains("remount,bind,ro"));
    assert!(free.starts_with("umount -l "), "{free}");
}

#[test]
fn what_failed_is_taken_down_again() {
    for (fails, count) in [("tmpfs", 1), ("--bind", 3), ("remount", 4)] {
        let mut board = Board { fails, ..Board::new() };
        assert!(board.mount(BundleFormat::Verity).unwrap_err().contains("it failed"));
        assert_eq!(board.ran.len(), count, "{:?}", board.ran);
        assert_eq!(fails == "tmpfs", !board.ran.iter().any(|line| line.starts_with("umount")));
        // The directory of the copy, where nothing was really mounted, keeps what was copied.
        assert!(board.stages() <= 1);
    }
}

#[test]
fn it_is_refused_during_an_install_and_over_another_mount() {
    let mut board = Board::new();
    let lock = InstallLock::acquire(board.dir.path(), 1).unwrap();
    let refused = board.mount(BundleFormat::Plain).unwrap_err();
    assert!(board.ran.is_empty(), "{refused}: {:?}", board.ran);
    drop(lock);
    let target = board.target();
    fs::create_dir_all(&target).unwrap();
    let line = format!("1 2 0:3 / {} rw - tmpfs x rw\n", target.display());
    fs::write(board.dir.path().join("proc/self/mountinfo"), line).unwrap();
    let refused = board.mount(BundleFormat::Verity).unwrap_err();
    assert!(refused.contains("something is mounted at"), "{refused}");
    assert!(board.ran.is_empty());
    fs::write(board.dir.path().join("proc/self/mountinfo"), "").unwrap();
    board.mount(BundleFormat::Verity).unwrap();
}

/// Others may change a file in their directory after it was verified.
#[test]
fn a_plain_bundle_that_others_can_change_is_copied() {
    use std::os::unix::fs::PermissionsExt;
    let mut board = Board::new();
    fs::set_permissions(board.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    board.mount(BundleFormat::Plain).unwrap();
    assert!(board.ran.first().unwrap().contains("tmpfs"), "{:?}", board.ran);
}

/// Fails when a stick, a server or a program that calls its files root's is taken for the
/// administrator: the kernel's own tables stand for them, whose rights are as made up.
#[test]
fn rights_that_a_mount_made_up_say_nothing() {
    let made_up = Path::new("/proc/version");
    let facts = made_up.symlink_metadata().unwrap();
    assert_eq!((facts.uid(), facts.mode() & 0o022), (0, 0));
    assert!(!is_kept(made_up));
    // FAT, NFS, FUSE, 9p, overlay.
    for kind in [0x4d44, 0x6969, 0x6573_5546, 0x0102_1997, 0x794c_7630] {
        assert!(!KEEPING.contains(&FsType(kind)), "{kind:x}");
    }
}
