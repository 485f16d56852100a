// SPDX-License-Identifier: MIT OR Apache-2.0
//! A store on an HTTP(S) server: the same files below a URL.

use super::store::COMPRESSED_SUFFIX;
use super::{CasyncError, ChunkStore, WantedChunk};
use crate::http::{HttpFiles, HttpOptions};
use std::ops::ControlFlow;
use storage::ByteLen;

/// A store below a URL.
#[derive(Debug)]
pub struct HttpStore {
    files: HttpFiles,
    name: String,
}

impl HttpStore {
    /// The store at `url`; nothing is asked for yet. `name` is what messages call it: the URL
    /// without secrets.
    ///
    /// # Errors
    /// [`CasyncError::Store`].
    pub fn open(url: &str, name: &str, options: &HttpOptions) -> Result<Self, CasyncError> {
        let base = if url.ends_with('/') { url.to_owned() } else { format!("{url}/") };
        let name = name.to_owned();
        match HttpFiles::open(&base, options) {
            Ok(files) => Ok(Self { files, name }),
            Err(source) => Err(CasyncError::Store { store: name, source: Box::new(source) }),
        }
    }

    /// Fetches one form of each chunk that is not there yet.
    fn fill(
        &self,
        wanted: &[WantedChunk],
        suffix: &str,
        found: &mut [Option<Vec<u8>>],
    ) -> Result<(), CasyncError> {
        let missing: Vec<usize> =
            found.iter().enumerate().filter(|(_, it)| it.is_none()).map(|(at, _)| at).collect();
        let chunks = missing.iter().filter_map(|at| wanted.get(*at));
        let paths: Vec<(String, ByteLen)> = chunks
            .map(|chunk| (chunk.id.store_path(suffix), ByteLen::new(chunk.stored_limit())))
            .collect();
        let mut outcome = Ok(());
        self.files.get_many(&paths, &mut |number, fetched| {
            let slot = missing.get(number).and_then(|at| found.get_mut(*at));
            match (fetched, slot) {
                (Ok(bytes), Some(slot)) => {
                    *slot = bytes;
                    ControlFlow::Continue(())
                }
                (Ok(_), None) => ControlFlow::Break(()),
                (Err(source), _) => {
                    let store = self.name.clone();
                    outcome = Err(CasyncError::Store { store, source: Box::new(source) });
                    ControlFlow::Break(())
                }
            }
        });
        outcome
    }
}

impl ChunkStore for HttpStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn fetch(&self, wanted: &[WantedChunk]) -> Result<Vec<Option<Vec<u8>>>, CasyncError> {
        let mut found = vec![None; wanted.len()];
        self.fill(wanted, COMPRESSED_SUFFIX, &mut found)?;
        if found.iter().any(Option::is_none) {
            // desync keeps chunks without compression under names without suffix.
            self.fill(wanted, "", &mut found)?;
        }
        Ok(found)
    }
}
