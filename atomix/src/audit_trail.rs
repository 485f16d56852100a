// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who installed what, and who marked which slot? Written to the device's audit log, beside the
//! changes of its configuration.
//!
//! An update must not depend on its memory: a log that cannot be written is told, and nothing is
//! refused for it. A system without `/data` keeps none.

use bundle::UnixTime;
use config_api::audit::{self, AuditError, AuditEvent, AuditLog, Text};
use config_api::lock::{AUDIT_LOCK, LockError, wait_for_lock};
use nix::unistd::{getegid, geteuid};
use std::path::{Path, PathBuf};
use storage::tree::HostTrees;
use storage::{ByteLen, Files, FilesError, HostFiles, chain};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A boot's name has 36 letters.
const MAX_BOOT_ID: ByteLen = ByteLen::new(64);

/// The log of the device below a root.
#[derive(Clone, Debug)]
pub struct AuditTrail {
    root: PathBuf,
}

/// An install, as it is remembered.
#[derive(Clone, Copy, Debug)]
pub struct InstallNote<'a> {
    /// The digest of its manifest, or what it was called.
    pub bundle: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The slot, or what is known of it.
    pub slot: &'a str,
    /// Why not.
    pub failure: Option<&'a str>,
}

#[derive(Debug, thiserror::Error)]
enum TrailError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Log(#[from] AuditError),
}

impl AuditTrail {
    /// The log of the device below `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Remembers an install; gives a warning when that failed.
    #[must_use]
    pub fn installed(&self, now: UnixTime, note: &InstallNote<'_>) -> Option<String> {
        self.note(now, || AuditEvent::Installed {
            bundle: Text::new(note.bundle),
            bundle_version: Text::new(note.version),
            slot: Text::new(note.slot),
            failure: note.failure.map(Text::new),
        })
    }

    /// Remembers a mark; gives a warning when that failed.
    #[must_use]
    pub fn marked(&self, now: UnixTime, (slot, mark): (&str, &str), by: &str) -> Option<String> {
        self.note(now, || AuditEvent::Marked {
            slot: Text::new(slot),
            mark: Text::new(mark),
            by: Text::new(by),
        })
    }

    fn note(&self, now: UnixTime, event: impl FnOnce() -> AuditEvent) -> Option<String> {
        let data = self.root.join("data");
        if !data.is_dir() {
            return None;
        }
        let written = self.write(&data, now, event());
        written.err().map(|error| format!("the audit log does not know of this: {}", chain(&error)))
    }

    fn write(&self, data: &Path, now: UnixTime, event: AuditEvent) -> Result<(), TrailError> {
        // The helper of the config API writes there too; each record is its own act.
        let _lock = wait_for_lock(&self.root, AUDIT_LOCK)?;
        let boot = HostFiles::new(&self.root).read(Path::new(BOOT_ID), MAX_BOOT_ID).ok().flatten();
        let boot = boot.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let owner = (geteuid().as_raw(), getegid().as_raw());
        let trees = Box::new(HostTrees::open(data)?);
        let time = audit::UnixTime(u64::try_from(now.0).unwrap_or(0));
        Ok(AuditLog::new(trees, owner, boot.trim()).record(time, event)?)
    }
}

/// Who asks at the command line, as far as the system tells.
#[must_use]
pub fn who(what: &str) -> String {
    format!("{what}, user {}", nix::unistd::getuid())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests")]
mod tests {
    use super::*;
    use config_api::audit::read_audit;
    use std::fs;

    fn install(failure: Option<&str>) -> InstallNote<'_> {
        InstallNote { bundle: "abc", version: "1.2", slot: "B", failure }
    }

    #[test]
    fn what_is_noted_hangs_together_with_what_was_there() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        let trail = AuditTrail::below(root.path());
        assert_eq!(trail.installed(UnixTime(5), &install(None)), None);
        assert_eq!(trail.installed(UnixTime(6), &install(Some("no space"))), None);
        assert_eq!(trail.marked(UnixTime(7), ("B", "good"), &who("here")), None);
        let report = read_audit(&HostTrees::open(&root.path().join("data")).unwrap()).unwrap();
        assert_eq!((report.faults.len(), report.lines.len()), (0, 3));
        assert_eq!(report.lines[2].seq, 3, "one chain");
    }

    #[test]
    fn a_log_that_cannot_be_written_is_told_and_no_data_is_no_log() {
        let root = tempfile::tempdir().unwrap();
        let trail = AuditTrail::below(root.path());
        assert_eq!(trail.installed(UnixTime(5), &install(None)), None);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "nothing is made");
        fs::create_dir_all(root.path().join("data/atomix")).unwrap();
        fs::write(root.path().join("data/atomix/audit"), "in the way").unwrap();
        let told = trail.marked(UnixTime(5), ("A", "bad"), "x").unwrap();
        assert!(told.starts_with("the audit log does not know of this: "), "{told}");
    }
}
