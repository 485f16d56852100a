// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was uploaded, taken apart: the text of its `config.toml`, and the contents of its `files/`
//! in a file without a name that only the helper holds.

use super::PipelineError;
use super::in_force::broken;
use super::spool::own_file;
use crate::input::{Discard, Input, InputError, Limits, Origin, Spool, read_input};
use crate::jobs::ReportedFault;
use crate::promote::Members;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use storage::chain;

/// Contents that wait for their promotion.
pub(super) struct Kept(Spool);

impl Members for Kept {
    fn open(&mut self, member: usize) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.0.open(member)?))
    }
}

/// Takes an upload apart; the contents are kept below `own`.
pub(super) fn receive(name: &str, file: File, own: &Path) -> Result<(Input, Kept), PipelineError> {
    let place = own_file(own).map_err(|error| broken(&error))?;
    let mut spool = Spool::new(place);
    let input = read_input(Origin::Upload(name), file, &Limits::default(), &mut spool);
    Ok((input.map_err(refusal)?, Kept(spool)))
}

/// Takes an upload apart and forgets its contents, for validation.
pub(super) fn look_into(name: &str, file: File) -> Result<Input, PipelineError> {
    let input = read_input(Origin::Upload(name), file, &Limits::default(), &mut Discard::default());
    input.map_err(refusal)
}

fn refusal(error: InputError) -> PipelineError {
    if error.is_ours() {
        return broken(&error);
    }
    PipelineError::Invalid(vec![ReportedFault {
        problem: chain(&error),
        hint: Some(error.hint().to_owned()),
        ..ReportedFault::default()
    }])
}
