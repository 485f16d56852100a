// SPDX-License-Identifier: MIT OR Apache-2.0
//! How are disk and card attached? Plainly, with every write logged, or with places that fail:
//! the emulator's arguments for each, and nothing run.
//!
//! A log is kept of disk and card together, as one file behind two devices, so that the order
//! between an install's writes and the environment's commits is the order in the log.

use std::path::{Path, PathBuf};

/// Size of a sector, the unit of the emulator's logs and faults.
pub const SECTOR_BYTES: u64 = 512;

/// What fails at a place of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailingAct {
    /// Reading.
    Read,
    /// Writing.
    Write,
}

/// When it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// The first so many times; then the disk has found another sector for it.
    Times(u8),
    /// As long as the board is on.
    Always,
}

/// A sector of the disk that gives an input/output error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What fails.
    pub act: FailingAct,
    /// The sector of the disk.
    pub sector: u64,
    /// When.
    pub failing: Failing,
}

/// How disk and card are attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wiring {
    /// Two files.
    #[default]
    Plain,
    /// One file, the disk and behind it the card, whose writes are logged.
    Logged {
        /// Disk and card.
        joined: PathBuf,
        /// Size of the disk in it.
        disk_bytes: u64,
        /// Size of the card.
        card_bytes: u64,
        /// The log; it must exist.
        log: PathBuf,
    },
    /// Two files, and places of the disk that fail.
    Faulty(Vec<Fault>),
}

impl Wiring {
    /// Arguments that attach the disk, and the card where there is one.
    #[must_use]
    pub fn arguments(&self, disk: &Path, card: Option<&Path>) -> Vec<String> {
        match self {
            Self::Plain => {
                let mut all = card_file(card);
                all.push("-drive".to_owned());
                all.push(format!(
                    "if=virtio,format=raw,cache=writeback,discard=unmap,file={}",
                    escaped(disk)
                ));
                all
            }
            Self::Logged { joined, disk_bytes, card_bytes, log } => {
                let file = format!("driver=file,discard=unmap,filename={}", escaped(joined));
                // Each entry counts at once: nobody closes the log of a board that is cut off.
                let logged = "driver=blklogwrites,file=joined,log=log,discard=unmap,\
                              log-super-update-interval=1";
                let part = |offset, size| {
                    format!("driver=raw,file=logged,discard=unmap,offset={offset},size={size}")
                };
                let mut all = Vec::new();
                block_node(&mut all, "joined", &file);
                block_node(&mut all, "log", &format!("driver=file,filename={}", escaped(log)));
                block_node(&mut all, "logged", logged);
                block_node(&mut all, "disk", &part(0, *disk_bytes));
                block_node(&mut all, "card", &part(*disk_bytes, *card_bytes));
                all.extend(["-device", "sd-card,drive=card"].map(str::to_owned));
                // Two devices write to one file, each to its own part of it.
                disk_device(&mut all, ",share-rw=on");
                all
            }
            Self::Faulty(faults) => {
                let mut all = card_file(card);
                let file = format!("driver=file,discard=unmap,filename={}", escaped(disk));
                block_node(&mut all, "file", &file);
                let mut debug = "driver=blkdebug,image=file,discard=unmap".to_owned();
                for (number, rule) in faults.iter().flat_map(|fault| fault.rules()).enumerate() {
                    for option in rule {
                        debug.push_str(&format!(",inject-error.{number}.{option}"));
                    }
                }
                block_node(&mut all, "faulty", &debug);
                block_node(&mut all, "disk", "driver=raw,file=faulty,discard=unmap");
                disk_device(&mut all, "");
                all
            }
        }
    }
}

impl Fault {
    /// Rules of the emulator: one that stays, or one for each time.
    fn rules(&self) -> Vec<[String; 5]> {
        let act = match self.act {
            FailingAct::Read => "read",
            FailingAct::Write => "write",
        };
        let (count, once) = match self.failing {
            Failing::Times(count) => (count, "on"),
            Failing::Always => (1, "off"),
        };
        let rule = || {
            // Active from the start, and not from an event of an image format on.
            [
                "event=none".to_owned(),
                format!("iotype={act}"),
                format!("sector={}", self.sector),
                format!("once={once}"),
                "errno=5".to_owned(),
            ]
        };
        (0..count).map(|_| rule()).collect()
    }
}

fn card_file(card: Option<&Path>) -> Vec<String> {
    let Some(card) = card else { return Vec::new() };
    let file = format!("if=none,id=card,format=raw,file={}", escaped(card));
    ["-device", "sd-card,drive=card", "-drive", &file].map(str::to_owned).into()
}

fn block_node(all: &mut Vec<String>, name: &str, options: &str) {
    all.push("-blockdev".to_owned());
    all.push(format!("node-name={name},{options}"));
}

fn disk_device(all: &mut Vec<String>, options: &str) {
    all.push("-device".to_owned());
    all.push(format!("virtio-blk-pci,drive=disk,write-cache=on{options}"));
}

/// A comma separates options.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_fails_a_few_times_has_a_rule_for_each_time() {
        let fault = |failing| Fault { act: FailingAct::Read, sector: 9, failing };
        let faults = vec![fault(Failing::Times(2)), fault(Failing::Always)];
        let all = Wiring::Faulty(faults).arguments(Path::new("a,b"), None).join(" ");
        assert!(all.contains("filename=a,,b "), "{all}");
        for (number, once) in [(0, "on"), (1, "on"), (2, "off")] {
            let rule = format!(
                ",inject-error.{number}.event=none,inject-error.{number}.iotype=read,\
                 inject-error.{number}.sector=9,inject-error.{number}.once={once}"
            );
            assert!(all.contains(&rule), "{rule}: {all}");
        }
    }

    #[test]
    fn disk_and_card_are_logged_as_parts_of_one_file() {
        let wiring = Wiring::Logged {
            joined: PathBuf::from("joined"),
            disk_bytes: 1024,
            card_bytes: 512,
            log: PathBuf::from("log"),
        };
        let all = wiring.arguments(Path::new("unused"), Some(Path::new("unused"))).join(" ");
        assert!(!all.contains("unused"), "{all}");
        assert!(
            all.contains(
                "node-name=card,driver=raw,file=logged,discard=unmap,offset=1024,size=512"
            )
        );
        assert!(
            all.contains("node-name=disk,driver=raw,file=logged,discard=unmap,offset=0,size=1024")
        );
    }
}
