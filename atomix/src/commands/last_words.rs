// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did boots that died leave behind? The kernel's last messages in pstore, where it still is or
//! where systemd moved it to, and the watchdog's word about the last reset. Read only; what cannot
//! be read is a warning, because a boot must not depend on the words of dead ones.

use crate::context::Context;
use crate::failure::chain;
use bootctl::{DEATH_TEXT_MAX, Death};
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files, FilesError};

/// Where the kernel shows what outlived the reset.
const PSTORE: &str = "/sys/fs/pstore";

/// Where systemd moves it to, with a directory for each boot.
const ARCHIVE: &str = "/var/lib/systemd/pstore";

/// Where watchdogs say why the board was reset.
const WATCHDOGS: &str = "/sys/class/watchdog";

/// Tells this boot from all others.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Files that are read at most, the last by name: an archive may have years of them.
const FILES_MAX: usize = 16;

/// Longest small file of the kernel that is read.
const MAX_WORD: ByteLen = ByteLen::kib(4);

/// What dead boots say, and what could not be read.
#[derive(Default)]
pub struct LastWords {
    /// One for each word, oldest first as far as names tell.
    pub deaths: Vec<Death>,
    /// What could not be read.
    pub warnings: Vec<String>,
}

impl LastWords {
    /// Reads what is there.
    #[must_use]
    pub fn read(context: &Context) -> Self {
        let mut words = Self::default();
        let archived = words.names(context, Path::new(ARCHIVE));
        let mut paths: Vec<PathBuf> = Vec::new();
        for name in archived {
            let path = Path::new(ARCHIVE).join(&name);
            if is_kernel_log(&name) {
                paths.push(path);
            } else if let Ok(inner) = context.files.list(&path) {
                // Not a directory: then it is nothing of ours.
                paths.extend(inner.iter().filter(|one| is_kernel_log(one)).map(|n| path.join(n)));
            }
        }
        let fresh = words.names(context, Path::new(PSTORE));
        let fresh = fresh.iter().filter(|name| is_kernel_log(name));
        paths.extend(fresh.map(|name| Path::new(PSTORE).join(name)));
        let skip = paths.len().saturating_sub(FILES_MAX);
        for path in paths.into_iter().skip(skip) {
            words.read_log(context, &path);
        }
        words.read_watchdogs(context);
        words
    }

    fn names(&mut self, context: &Context, dir: &Path) -> Vec<String> {
        context.files.list(dir).unwrap_or_else(|cause| {
            self.warnings.push(chain(&cause));
            Vec::new()
        })
    }

    fn read_log(&mut self, context: &Context, path: &Path) {
        let limit = ByteLen::new(DEATH_TEXT_MAX as u64);
        match context.files.read(path, limit) {
            Ok(Some(bytes)) => {
                let known = |death: &Death| self.deaths.iter().any(|one| one.mark == death.mark);
                let death = Death::from_kernel_log(&bytes).filter(|death| !known(death));
                self.deaths.extend(death);
            }
            Ok(None) => {}
            Err(cause) => self.warnings.push(chain(&cause)),
        }
    }

    fn read_watchdogs(&mut self, context: &Context) {
        let read = |path: &Path| -> Result<Option<String>, FilesError> {
            let bytes = context.files.read(path, MAX_WORD)?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
        };
        let Ok(Some(boot)) = read(Path::new(BOOT_ID)) else { return };
        for name in self.names(context, Path::new(WATCHDOGS)) {
            let path = Path::new(WATCHDOGS).join(name).join("bootstatus");
            // Many drivers do not know; that is no failure.
            let Ok(Some(bits)) = read(&path) else { continue };
            let death =
                bits.parse().ok().and_then(|bits| Death::from_watchdog(bits, boot.as_bytes()));
            self.deaths.extend(death);
        }
    }
}

/// `dmesg-ramoops-0`, `dmesg-efi-171…`, and systemd's joined `dmesg.txt`, which says the same again.
fn is_kernel_log(name: &str) -> bool {
    name.starts_with("dmesg-")
}
