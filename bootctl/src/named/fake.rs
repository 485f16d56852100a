// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine whose programs are a function, for the tests of the backends.

use super::{NamedHost, NamedSlot, PartitionDevice};
use crate::boot_programs::{ProgramEnd, ProgramOutput};
use std::ffi::OsStr;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

type Answer = Box<dyn FnMut(&str, &[&str]) -> ProgramOutput + Send>;

/// Remembers what was run.
#[derive(Clone)]
pub(super) struct Fake {
    calls: Arc<Mutex<Vec<String>>>,
    answer: Arc<Mutex<Answer>>,
}

impl Fake {
    pub(super) fn new(answer: impl FnMut(&str, &[&str]) -> ProgramOutput + Send + 'static) -> Self {
        Self { calls: Arc::default(), answer: Arc::new(Mutex::new(Box::new(answer))) }
    }

    pub(super) fn host(&self) -> Box<dyn NamedHost> {
        Box::new(self.clone())
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl NamedHost for Fake {
    fn run(&mut self, program: &OsStr, arguments: &[&str]) -> Result<ProgramOutput> {
        let program = program.to_string_lossy();
        self.calls.lock().unwrap().push(format!("{program} {}", arguments.join(" ")));
        Ok((self.answer.lock().unwrap())(&program, arguments))
    }

    fn partition(&self, device: &Path) -> Result<PartitionDevice> {
        Ok(PartitionDevice { device: device.to_owned(), number: 7 })
    }
}

/// What a program says.
pub(super) struct Said;

impl Said {
    pub(super) fn out(text: String) -> ProgramOutput {
        let stdout = text.into_bytes();
        ProgramOutput { end: ProgramEnd::Exited(0), stdout, stderr: String::new() }
    }

    pub(super) fn fails(code: i32, stderr: String) -> ProgramOutput {
        ProgramOutput { end: ProgramEnd::Exited(code), stdout: Vec::new(), stderr }
    }
}

pub(super) fn slots(names: &[&str]) -> Vec<NamedSlot> {
    let slot = |name: &&str| NamedSlot {
        bootname: (*name).to_owned(),
        device: PathBuf::from(format!("/dev/{name}")),
        efi_loader: None,
        efi_cmdline: None,
    };
    names.iter().map(slot).collect()
}
