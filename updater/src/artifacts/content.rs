// SPDX-License-Identifier: MIT OR Apache-2.0
//! An artifact's data on their way into a repository, under a name that counts for nothing.

use super::disk::RepositoryDisk;
use super::error::ArtifactError;
use crate::{Machine, ProgramCall, ProgramError, StopQuestion, TreeContent, archive};
use openssl::sha::Sha256;
use std::io::{self, Read};
use std::path::Path;
use storage::{ByteLen, Digest};

/// Bytes moved at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// The image of an artifact, as the manifest describes it.
#[derive(Clone, Debug)]
pub struct ArtifactImage {
    /// Name of the artifact.
    pub name: String,
    /// Bytes of the image's file, before any conversion.
    pub size: ByteLen,
    /// SHA-256 of the image's file: the identity of the data.
    pub digest: Digest,
}

/// Where an artifact's data come from.
pub enum ArtifactContent<'a> {
    /// The image's file: the artifact of a `files` repository, an archive for a `trees` one.
    Stream(&'a mut dyn Read),
    /// A directory that `convert=tar-extract` made, unpacked by the bundle's reader.
    Tree(&'a mut dyn TreeContent),
}

/// One artifact under way.
pub(super) struct Incoming<'a, D> {
    pub disk: &'a mut D,
    pub repo: &'a str,
    pub image: &'a ArtifactImage,
    pub temporary: &'a Path,
    pub machine: &'a mut dyn Machine,
    pub stop: StopQuestion<'a>,
    pub tell: &'a mut dyn FnMut(u64),
}

impl<D: RepositoryDisk> Incoming<'_, D> {
    pub fn failed(&self, act: &'static str, source: io::Error) -> ArtifactError {
        ArtifactError::Repository {
            act,
            repo: self.repo.to_owned(),
            path: self.temporary.to_owned(),
            source,
        }
    }

    fn go_on(&self) -> Result<(), ArtifactError> {
        (self.stop)().map_or(Ok(()), |by| Err(ArtifactError::Stopped { by }))
    }

    /// A single file, synced, read back and compared.
    pub fn put_file(&mut self, source: &mut dyn Read) -> Result<(), ArtifactError> {
        let created = self.disk.create(self.temporary);
        let mut file = created.map_err(|source| self.failed("create", source))?;
        let (mut chunk, mut len) = (vec![0; CHUNK_BYTES], 0_u64);
        loop {
            self.go_on()?;
            let read = source.read(&mut chunk).map_err(|source| self.unread(source))?;
            if read == 0 {
                break;
            }
            len = len.saturating_add(read as u64);
            if len > self.image.size.get() {
                return Err(self.wrong_length(len));
            }
            let bytes = chunk.get(..read).unwrap_or_default();
            file.write_all(bytes).map_err(|source| self.failed("write", source))?;
            (self.tell)(read as u64);
        }
        if len != self.image.size.get() {
            return Err(self.wrong_length(len));
        }
        file.sync().map_err(|source| self.failed("sync", source))?;
        self.prove_file()
    }

    /// Reads the whole file back.
    fn prove_file(&mut self) -> Result<(), ArtifactError> {
        let found =
            digest_of(self.disk, self.temporary, self.stop).map_err(|source| {
                match (self.stop)() {
                    Some(by) => ArtifactError::Stopped { by },
                    None => self.failed("read back", source),
                }
            })?;
        self.go_on()?;
        self.compare(found)
    }

    fn compare(&self, found: Digest) -> Result<(), ArtifactError> {
        let (artifact, expected) = (self.image.name.clone(), self.image.digest);
        if found == expected {
            return Ok(());
        }
        Err(ArtifactError::Mismatch { artifact, expected, found })
    }

    fn unread(&self, source: io::Error) -> ArtifactError {
        match (self.stop)() {
            Some(by) => ArtifactError::Stopped { by },
            None => ArtifactError::ReadImage { artifact: self.image.name.clone(), source },
        }
    }

    fn wrong_length(&self, found: u64) -> ArtifactError {
        let (artifact, expected) = (self.image.name.clone(), self.image.size.get());
        ArtifactError::Length { artifact, expected, found }
    }

    fn program(&mut self, act: &'static str, call: ProgramCall<'_>) -> Result<(), ArtifactError> {
        let program = call.name();
        let ended = self.machine.run(call, self.stop).and_then(|end| end.check(&program));
        ended.map(drop).map_err(|source| match source {
            ProgramError::Stopped { by } => ArtifactError::Stopped { by },
            ProgramError::Input { source, .. } => self.unread(source),
            ProgramError::Start { .. }
            | ProgramError::Talk { .. }
            | ProgramError::TimedOut { .. }
            | ProgramError::Failed { .. } => ArtifactError::Program { act, source },
        })
    }

    /// An archive, unpacked by `tar` with RAUC's arguments; what passes is counted and hashed.
    pub fn put_archive(&mut self, source: &mut dyn Read) -> Result<(), ArtifactError> {
        self.make_dir()?;
        let looked = archive::look(source);
        let (flag, mut whole) = looked.map_err(|source| self.unread(source))?;
        let mut passing = Passing { inner: &mut whole, hash: Sha256::new(), len: 0 };
        let call = ProgramCall::new("tar");
        let call = call.args(["--numeric-owner", "--acl", "--selinux", "--xattrs"]).args(flag);
        let call = call.args(["-xf", "-", "-C"]).arg(self.temporary).input(&mut passing);
        self.program("Failed to extract archive (tar -xf)", call)?;
        // Behind an archive's end there may be more, which was signed as well.
        let limit = self.image.size.get().saturating_add(1);
        let rest = io::copy(&mut (&mut passing).take(limit), &mut io::sink());
        rest.map_err(|source| self.unread(source))?;
        let Passing { hash, len, .. } = passing;
        (self.tell)(len);
        if len != self.image.size.get() {
            return Err(self.wrong_length(len));
        }
        self.compare(Digest::from_bytes(hash.finish()))
    }

    pub fn put_tree(&mut self, tree: &mut dyn TreeContent) -> Result<(), ArtifactError> {
        self.make_dir()?;
        let unpacked = tree.extract_into(self.temporary, self.stop);
        unpacked.map_err(|source| match (self.stop)() {
            Some(by) => ArtifactError::Stopped { by },
            None => ArtifactError::Unpack { artifact: self.image.name.clone(), source },
        })?;
        (self.tell)(self.image.size.get());
        Ok(())
    }

    fn make_dir(&mut self) -> Result<(), ArtifactError> {
        let made = self.disk.make_dir(self.temporary);
        made.map_err(|source| self.failed("make", source))
    }

    /// What a failure or a cut left.
    pub fn clear(&mut self) -> Result<(), ArtifactError> {
        let removed = self.disk.remove(self.temporary);
        removed.map_err(|source| self.failed("remove", source))
    }
}

/// SHA-256 of a file; ends early, with some error, when somebody wants that.
pub(super) fn digest_of(
    disk: &impl RepositoryDisk,
    path: &Path,
    stop: StopQuestion<'_>,
) -> io::Result<Digest> {
    let mut file = disk.open(path)?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        if stop().is_some() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match file.read(&mut chunk)? {
            0 => return Ok(Digest::from_bytes(hash.finish())),
            read => hash.update(chunk.get(..read).unwrap_or_default()),
        }
    }
}

/// Hashes what is read through it.
struct Passing<'a> {
    inner: &'a mut dyn Read,
    hash: Sha256,
    len: u64,
}

impl Read for Passing<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.hash.update(buf.get(..read).unwrap_or_default());
        self.len = self.len.saturating_add(read as u64);
        Ok(read)
    }
}
