// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where is the record kept? On `/data`, and where that cannot be written in `/run` until it can:
//! updating must not need `/data`.

use super::{Heard, Memory};
use serde::{Deserialize, Serialize};
use std::path::Path;
use storage::{ByteLen, Files, FilesError, chain};

/// Where the record is.
pub const MEMORY_PATH: &str = "/data/atomix/agent/state.json";
/// Where it is while its place cannot be written: lost at the next boot.
pub const MEMORY_FALLBACK_PATH: &str = "/run/atomix/agent/state.json";

/// Longest record. Stops a file that something else has filled from taking the memory; what a course
/// of hawkBit's keeps at its longest (words that wait for the server) is a third of it.
const MAX_RECORD: ByteLen = ByteLen::mib(1);
const VERSION: u32 = 1;

/// What becomes of a record that cannot be used, and the way out.
const ANEW: &str = "the agent starts anew";
const AGAIN: &str = "it is written anew at its next question, and nothing else is to be done";

/// What tells a later form of the record, whatever else is in it.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    memory: &'a Memory,
}

#[derive(Deserialize)]
struct Read {
    memory: Memory,
}

/// Why the record is not kept.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// It cannot be made.
    #[error("cannot encode the agent's record")]
    Encode {
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The next load would put it aside.
    #[error("the agent's record has {len}, more than {MAX_RECORD}")]
    TooLarge {
        /// So long it would be.
        len: ByteLen,
    },
    /// The disk kept something else.
    #[error("{path} does not read back as it was written")]
    Differs {
        /// The file.
        path: &'static str,
    },
    /// The disk says no.
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// Why a file is no record.
#[derive(Debug, thiserror::Error)]
enum ParseMemoryError {
    #[error("it is of version {version}, made by a later atomix")]
    Later { version: u32 },
    #[error("it is no record of version {VERSION}")]
    Damaged(#[source] serde_json::Error),
}

/// How long what was stored lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Until it is stored again.
    Durably,
    /// Until the next boot.
    UntilReboot {
        /// Why, in words.
        why: String,
    },
}

/// What was found at a place.
enum Found {
    Nothing,
    Record(Box<Memory>),
    /// It is no record, and may be written over.
    Useless,
    /// It may be a record, and nobody writes over it.
    Unreadable,
}

/// Keeps the record.
#[derive(Debug)]
pub struct MemoryStore {
    place_is_unreadable: bool,
    has_fallback: bool,
    /// What was stored last, so that nothing is written twice: flash wears.
    last: Option<(Vec<u8>, Stored)>,
}

impl MemoryStore {
    /// Reads the record. Where there is none that can be used, the agent starts anew; what could not
    /// be used, and why, is told.
    pub fn load(files: &dyn Files) -> (Self, Memory, Vec<String>) {
        let mut told = Vec::new();
        let place = read(files, MEMORY_PATH, &mut told);
        let fallback = read(files, MEMORY_FALLBACK_PATH, &mut told);
        let store = Self {
            place_is_unreadable: matches!(place, Found::Unreadable),
            has_fallback: !matches!(fallback, Found::Nothing),
            last: None,
        };
        // Whoever can write the record in its place removes the other, so that one is newer.
        let mut memory = match (place, fallback) {
            (Found::Record(older), Found::Record(newer)) => newer.above(*older),
            (Found::Record(memory), _) | (_, Found::Record(memory)) => *memory,
            _ => Memory::default(),
        };
        memory.heard = Heard::load(files);
        (store, memory, told)
    }

    /// Keeps the record, and reads it back. A cut at any point leaves the record before or this one.
    ///
    /// # Errors
    /// [`MemoryError`] when neither place takes it.
    pub fn store(&mut self, files: &mut dyn Files, memory: &Memory) -> Result<Stored, MemoryError> {
        let content = encode(memory)?;
        if let Some((before, stored)) = &self.last
            && *before == content
            && *stored == Stored::Durably
        {
            return Ok(Stored::Durably);
        }
        let stored = self.write(files, &content)?;
        self.last = Some((content, stored.clone()));
        Ok(stored)
    }

    fn write(&mut self, files: &mut dyn Files, content: &[u8]) -> Result<Stored, MemoryError> {
        let why = if self.place_is_unreadable {
            format!("{MEMORY_PATH} could not be read, and is not written over")
        } else {
            match write_and_read_back(files, MEMORY_PATH, content) {
                Ok(()) => {
                    if self.has_fallback {
                        // What is left there would count as newer.
                        files.remove(Path::new(MEMORY_FALLBACK_PATH))?;
                        self.has_fallback = false;
                    }
                    return Ok(Stored::Durably);
                }
                Err(error) => chain(&error),
            }
        };
        self.has_fallback = true;
        write_and_read_back(files, MEMORY_FALLBACK_PATH, content)?;
        Ok(Stored::UntilReboot { why })
    }
}

fn read(files: &dyn Files, path: &'static str, told: &mut Vec<String>) -> Found {
    match files.read(Path::new(path), MAX_RECORD) {
        Ok(None) => Found::Nothing,
        Ok(Some(content)) => match parse(&content) {
            Ok(memory) => Found::Record(Box::new(memory)),
            Err(error) => {
                told.push(format!("{ANEW}: cannot use {path}: {}; {AGAIN}", chain(&error)));
                Found::Useless
            }
        },
        Err(error @ FilesError::TooLarge { .. }) => {
            told.push(format!("{ANEW}: {}; {AGAIN}", chain(&error)));
            Found::Useless
        }
        Err(error) => {
            told.push(format!("{ANEW}: {}; look at the medium", chain(&error)));
            Found::Unreadable
        }
    }
}

fn parse(content: &[u8]) -> Result<Memory, ParseMemoryError> {
    let head: Head = serde_json::from_slice(content).map_err(ParseMemoryError::Damaged)?;
    if head.version > VERSION {
        return Err(ParseMemoryError::Later { version: head.version });
    }
    let read: Read = serde_json::from_slice(content).map_err(ParseMemoryError::Damaged)?;
    Ok(read.memory.bounded())
}

fn encode(memory: &Memory) -> Result<Vec<u8>, MemoryError> {
    let bounded = memory.bounded();
    let content = serde_json::to_vec_pretty(&Written { version: VERSION, memory: &bounded })
        .map_err(|source| MemoryError::Encode { source })?;
    let len = ByteLen::new(content.len() as u64);
    if len > MAX_RECORD { Err(MemoryError::TooLarge { len }) } else { Ok(content) }
}

fn write_and_read_back(
    files: &mut dyn Files,
    path: &'static str,
    content: &[u8],
) -> Result<(), MemoryError> {
    files.replace(Path::new(path), content)?;
    let found = files.read(Path::new(path), MAX_RECORD)?;
    if found.as_deref() == Some(content) { Ok(()) } else { Err(MemoryError::Differs { path }) }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
