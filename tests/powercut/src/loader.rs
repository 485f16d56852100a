// SPDX-License-Identifier: MIT OR Apache-2.0
//! A boot loader that is not ours: U-Boot with the script of RAUC's manual, which tries the names of
//! `BOOT_ORDER` that have boots left, and spends one. Its variables are a small file; Linux changes
//! them by `fw_printenv` and `fw_setenv`, one variable a call, so that a cut falls between two.

use crate::board::Board;
use crate::shared_files::SharedFiles;
use crate::violation::Invariant::I1;
use crate::violation::{OrBreaks, Violation};
use anyhow::Result;
use bootctl::SlotId;
use bootctl::named::{
    NamedAttempts, NamedBoot, NamedHost, NamedLoader, NamedSlot, PartitionDevice, ProgramEnd,
    ProgramOutput, named_backend,
};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files};

/// Where the variables are kept.
pub const VARIABLES: &str = "/boot/uboot.env";

const ORDER: &str = "BOOT_ORDER";
const ATTEMPTS: NamedAttempts = NamedAttempts { good: 3, primary: 3 };
const LIMIT: ByteLen = ByteLen::kib(64);

/// The variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

fn left(slot: SlotId) -> String {
    format!("BOOT_{}_LEFT", slot.boot_name())
}

impl Variables {
    /// Both slots have all their boots; A comes first.
    pub fn of_two_good_slots() -> Self {
        let all = [("BOOT_ORDER", "A B"), ("BOOT_A_LEFT", "3"), ("BOOT_B_LEFT", "3")];
        Self(all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn parse(content: &[u8]) -> Self {
        let text = String::from_utf8_lossy(content);
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// As they are kept.
    pub fn encode(&self) -> Vec<u8> {
        let line = |(name, value): (&String, &String)| format!("{name}={value}\n");
        self.0.iter().map(line).collect::<String>().into_bytes()
    }

    /// Those of a board.
    pub fn of(board: &Board) -> Self {
        Self::parse(board.tree().get(Path::new(VARIABLES)).map_or(&[][..], Vec::as_slice))
    }

    fn boots_left(&self, slot: SlotId) -> u64 {
        let value = self.0.get(&left(slot)).map_or("0", String::as_str);
        u64::from_str_radix(value, 16).unwrap_or(0)
    }

    /// The slots that the script would start, first tried first.
    pub fn candidates(&self) -> Vec<SlotId> {
        let order = self.0.get(ORDER).map_or("", String::as_str);
        let known = order.split(' ').filter_map(|name| name.parse().ok());
        known.filter(|slot| self.boots_left(*slot) > 0).collect()
    }

    /// Without what each boot changes: whether a slot has boots left, not how many.
    pub fn without_counters(mut self) -> Self {
        for slot in SlotId::ALL {
            let some = if self.boots_left(slot) > 0 { "some" } else { "none" };
            self.0.insert(left(slot), some.to_owned());
        }
        self
    }
}

/// Turns the power on: the first candidate is started, and a boot of it is spent and saved.
pub fn turn_on(board: &mut Board) -> Result<SlotId, Violation> {
    let mut variables = Variables::of(board);
    let Some(slot) = variables.candidates().first().copied() else {
        return Err(Violation::new(I1, "no slot has boots left"));
    };
    let boots = variables.boots_left(slot) - 1;
    variables.0.insert(left(slot), format!("{boots:x}"));
    let save = |files: &mut dyn Files, _: &Board| {
        Ok(files.replace(Path::new(VARIABLES), &variables.encode())?)
    };
    board.with_files(save).or_breaks(I1, "save the variables")?;
    Ok(slot)
}

/// RAUC's backend on these variables.
pub fn backend(files: &SharedFiles) -> Box<dyn NamedBoot> {
    let slot = |slot: SlotId| NamedSlot {
        bootname: slot.boot_name().to_owned(),
        device: PathBuf::new(),
        efi_loader: None,
        efi_cmdline: None,
    };
    let slots = SlotId::ALL.into_iter().map(slot).collect();
    named_backend(NamedLoader::Uboot(ATTEMPTS), slots, Box::new(Programs(files.clone())))
}

/// `fw_printenv` and `fw_setenv`.
struct Programs(SharedFiles);

impl NamedHost for Programs {
    fn run(&mut self, program: &OsStr, arguments: &[&str]) -> std::io::Result<ProgramOutput> {
        let path = Path::new(VARIABLES);
        let content = self.0.read(path, LIMIT).map_err(Error::other)?.unwrap_or_default();
        let mut variables = Variables::parse(&content);
        let stdout = match (program.to_str(), arguments) {
            (Some("fw_printenv"), [name]) => match variables.0.get(*name) {
                Some(value) => format!("{name}={value}\n").into_bytes(),
                None => return Err(ErrorKind::NotFound.into()),
            },
            (Some("fw_setenv"), [name, value]) => {
                variables.0.insert((*name).to_owned(), (*value).to_owned());
                self.0.replace(path, &variables.encode()).map_err(Error::other)?;
                Vec::new()
            }
            _ => return Err(ErrorKind::Unsupported.into()),
        };
        Ok(ProgramOutput { end: ProgramEnd::Exited(0), stdout, stderr: String::new() })
    }

    fn partition(&self, _: &Path) -> std::io::Result<PartitionDevice> {
        Err(ErrorKind::Unsupported.into())
    }
}
