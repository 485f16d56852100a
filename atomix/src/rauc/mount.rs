// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rauc mount`: where is the content of a bundle to be seen by other programs?
//!
//! A plain bundle that nobody but the administrator can change is mounted as it lies there: rights
//! that a mount option made up, or a server or another program vouches for, say nothing. Of all
//! others a copy in memory is: hash tree and signature are checked by this program and not by the
//! kernel, so the kernel must not read the file behind its back. The copy is bounded by its size.

use crate::rauc::error::RaucError;
use crate::rauc::opening::{Content, Place, open, resolve};
use crate::rauc::output::Streams;
use crate::rauc::request::exactly;
use crate::rauc::session::Session;
use bundle::{BundleFormat, SquashfsEntry, VerifiedBundle};
#[cfg(target_os = "linux")]
use nix::sys::statfs::{EXT4_SUPER_MAGIC, FsType, TMPFS_MAGIC};
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files, HostFiles, parse_mountinfo};
use updater::system::memory_available;
use updater::{HostMachine, InstallLock, Machine, ProgramCall};

/// What is mounted, by the kernel.
const MOUNT_TABLE: &str = "/proc/self/mountinfo";

/// More mounts than this are no board's.
const MAX_MOUNT_TABLE: ByteLen = ByteLen::mib(1);

/// File systems of this machine's own that keep owner and mode themselves. Not among them: FAT and
/// the like, which are told by an option of their mount, those of servers and programs (NFS, SMB,
/// 9p, FUSE), and overlays, which may lie above any of these.
#[cfg(target_os = "linux")]
const KEEPING: [FsType; 8] = [
    // ext2, ext3 and ext4.
    EXT4_SUPER_MAGIC,
    TMPFS_MAGIC,
    // Not every C library has names for these: Btrfs, F2FS, ramfs, SquashFS, UBIFS, XFS.
    FsType(0x9123_683e),
    FsType(0xf2f5_2010),
    FsType(0x8584_58f6),
    FsType(0x7371_7368),
    FsType(0x2405_1905),
    FsType(0x5846_5342),
];

/// What a file system in memory takes per entry at least: a page.
const PAGE_BYTES: u64 = 4096;

/// Runs a program to its end.
type Run<'a> = &'a mut dyn FnMut(&str, &[&OsStr]) -> Result<(), RaucError>;

/// `rauc mount`.
///
/// # Errors
/// [`RaucError`] in RAUC's words.
pub fn mount(session: &Session, out: &mut Streams<'_>) -> Result<(), RaucError> {
    let [name] = exactly(&session.request.words, ["A bundle path or URL must be provided"])
        .map_err(RaucError::Refused)?;
    let place = resolve(&name)?;
    let keys = session.keys();
    let judging = session.judging(&keys);
    let opened = open(&place, &judging, &mut |notice| out.warn(&notice.to_string()))?;
    let Content::Verified(bundle) = &opened.content else {
        return Err(RaucError::refused("the bundle was not verified"));
    };
    let target = session.loaded.config.system.mountprefix.join("bundle");
    let mut machine = HostMachine::new();
    let mut run = |program: &str, arguments: &[&OsStr]| {
        let call = ProgramCall::new(program).args(arguments);
        let ended = machine.run(call, &|| None).and_then(|end| end.check(program));
        ended.map(drop).map_err(RaucError::act("failed to mount bundle"))
    };
    mount_at(Path::new("/"), (&place, bundle), &target, &mut run)?;
    let target = target.display();
    out.print(&format!("Mounted bundle at {target}. Use 'umount {target}' to unmount."));
    Ok(())
}

/// Mounts a bundle at `target`, on the system whose files are below `root`.
fn mount_at(
    root: &Path,
    (place, bundle): (&Place, &VerifiedBundle),
    target: &Path,
    run: Run<'_>,
) -> Result<(), RaucError> {
    // An install has its bundle in the same place.
    let _lock = InstallLock::acquire(root, std::process::id()).map_err(RaucError::below)?;
    make_dir(target)?;
    demand_free(root, target)?;
    match place {
        Place::Local(path) if bundle.format() == BundleFormat::Plain && is_kept(path) => {
            mount_image(path, bundle.payload_len(), target, run)
        }
        Place::Local(_) | Place::Remote(_) => mount_copy(bundle, target, run),
    }
}

fn make_dir(dir: &Path) -> Result<(), RaucError> {
    HostMachine::new().make_dir(dir).map_err(RaucError::act("Failed creating mount point"))
}

/// Refuses a place where something is mounted: the one mount would hide the other.
fn demand_free(root: &Path, target: &Path) -> Result<(), RaucError> {
    let table = HostFiles::new(root).read(Path::new(MOUNT_TABLE), MAX_MOUNT_TABLE);
    let table = table.map_err(RaucError::below)?.unwrap_or_default();
    let real = target.canonicalize().map_err(RaucError::act("failed to mount bundle"))?;
    if parse_mountinfo(&table).iter().any(|mount| mount.place == real) {
        let target = target.display();
        return Err(RaucError::refused(format!("something is mounted at {target} already")));
    }
    Ok(())
}

/// Whether nobody but the administrator can change a file that was verified, or put another one in
/// its place: neither it nor a directory on the way to it.
fn is_kept(path: &Path) -> bool {
    let is_roots = |path: &Path| {
        path.symlink_metadata().is_ok_and(|found| found.uid() == 0 && found.mode() & 0o022 == 0)
    };
    // Links on the way are whoever's they are.
    path.canonicalize().is_ok_and(|real| real == path && real.ancestors().all(is_roots))
        && keeps_rights(path)
}

/// Whether a file lies on a file system of this machine's own that keeps owner and mode itself.
#[cfg(target_os = "linux")]
fn keeps_rights(path: &Path) -> bool {
    nix::sys::statfs::statfs(path).is_ok_and(|system| KEEPING.contains(&system.filesystem_type()))
}

/// Nothing is mounted there.
#[cfg(not(target_os = "linux"))]
fn keeps_rights(_path: &Path) -> bool {
    false
}

/// Mounts the file system of a plain bundle as it lies there.
fn mount_image(
    bundle: &Path,
    payload: ByteLen,
    target: &Path,
    run: Run<'_>,
) -> Result<(), RaucError> {
    let options = format!("ro,nosuid,nodev,loop,sizelimit={}", payload.get());
    let words: [&OsStr; 6] = [
        "-t".as_ref(),
        "squashfs".as_ref(),
        "-o".as_ref(),
        options.as_ref(),
        bundle.as_os_str(),
        target.as_os_str(),
    ];
    run("mount", &words)
}

/// What the copy of a bundle's content takes, and of how many files and directories.
fn needed(bundle: &VerifiedBundle) -> Result<(u64, u64), RaucError> {
    let files = bundle.files().map_err(RaucError::below)?;
    // The directory itself, and the one above.
    let (mut bytes, mut entries) = (2 * PAGE_BYTES, 2_u64);
    for (_, entry) in files.entries() {
        let len = match entry {
            SquashfsEntry::File { size } => size.get(),
            SquashfsEntry::Directory | SquashfsEntry::Symlink { .. } | SquashfsEntry::Special => 0,
        };
        let pages = len.div_ceil(PAGE_BYTES).max(1);
        bytes = bytes.saturating_add(pages.saturating_mul(PAGE_BYTES));
        entries = entries.saturating_add(1);
    }
    Ok((bytes, entries))
}

/// Mounts the content of any bundle as a copy in memory.
fn mount_copy(bundle: &VerifiedBundle, target: &Path, run: Run<'_>) -> Result<(), RaucError> {
    let (bytes, entries) = needed(bundle)?;
    if memory_available().is_none_or(|free| free < bytes) {
        return Err(RaucError::refused(format!(
            "failed to mount bundle: its content takes {bytes} bytes of memory, which are not free"
        )));
    }
    let above = target.parent().unwrap_or(target);
    let stage: PathBuf = above.join(format!(".bundle-{}", std::process::id()));
    make_dir(&stage)?;
    // A tmpfs that ran full would take the memory of the system with it.
    let options = format!("nosuid,nodev,mode=0755,size={bytes},nr_inodes={entries}");
    let options = OsString::from(options);
    let memory = ["-t", "tmpfs", "-o"].map(OsStr::new);
    let memory = [&memory[..], &[&options, OsStr::new("rauc-bundle"), stage.as_os_str()]].concat();
    let result = run("mount", &memory).and_then(|()| {
        let content = stage.join("content");
        let copied = bundle::extract_bundle(bundle, &content)
            .map_err(RaucError::act("failed to mount bundle"));
        let bound = copied.and_then(|()| {
            run("mount", &["--bind".as_ref(), content.as_os_str(), target.as_os_str()])?;
            let read_only = ["-o".as_ref(), "remount,bind,ro,nosuid,nodev".as_ref()];
            run("mount", &[&read_only[..], &[target.as_os_str()]].concat())
        });
        // What is bound keeps the copy alive until it is unmounted.
        let freed = run("umount", &["-l".as_ref(), stage.as_os_str()]);
        bound.and(freed)
    });
    HostMachine::new().remove_dir(&stage);
    result
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests")]
#[path = "mount_tests.rs"]
mod tests;
