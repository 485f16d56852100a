// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was uploaded, taken apart: the text of its `config.toml`, and the contents of its `files/`
//! in a file without a name that only the helper holds.

use super::in_force::broken;
use super::spool::own_file;
use super::{Input as Asked, PipelineError};
use crate::input::{Discard, Input, InputError, Limits, Origin, Spool, read_input};
use crate::jobs::ReportedFault;
use crate::promote::Members;
use crate::protocol::Origin as Asker;
use openssl::sha::Sha256;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use storage::{Digest, chain};

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

/// The digest of what the first boot found, as it came; that of anything else is nobody's matter.
pub(super) fn found_digest(input: &Asked, origin: &Asker) -> Result<Option<Digest>, PipelineError> {
    let (Asked::Upload { file, .. }, Asker::FirstBoot { .. }) = (input, origin) else {
        return Ok(None);
    };
    let mut file: &File = file;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut chunk).map_err(|error| broken(&error))?;
        let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else { break };
        hash.update(part);
    }
    file.rewind().map_err(|error| broken(&error))?;
    Ok(Some(Digest::from_bytes(hash.finish())))
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
