// SPDX-License-Identifier: MIT OR Apache-2.0
//! May this file be used as a secret, or as certificates? A secret that somebody else could have read
//! or written is none: it is refused with its path, owner and mode, and its content is in no message.

use openssl::x509::X509;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use storage::FilesError;
use storage::tree::{Kind, Trees};

/// Longer than any token of hawkBit's, and than any header should be.
const MAX_TOKEN_BYTES: u64 = 1024;

/// All authorities that a distribution ships are less.
const MAX_CERTIFICATES_BYTES: u64 = 4 * 1024 * 1024;

/// What others may have of a secret: nothing.
const OTHERS: u32 = 0o077;

/// Why a file is no secret that may be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("cannot read a secret of the update agent")]
    Files {
        /// Cause, which names the path.
        #[from]
        source: FilesError,
    },
    /// There is none.
    #[error("there is no file {path}")]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// It is a directory, a link, or no file at all.
    #[error("{path} is no plain file")]
    NoFile {
        /// Where.
        path: PathBuf,
    },
    /// Others may read or write it.
    #[error("{path} is user {uid}'s with mode {mode:04o}, and is to be user {owner}'s with 0600")]
    Exposed {
        /// Where.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Its mode.
        mode: u32,
        /// Whose it is to be.
        owner: u32,
    },
    /// Its content is no certificate.
    #[error("{path} holds no certificates")]
    NoCertificates {
        /// Where.
        path: PathBuf,
    },
    /// Its content is no token.
    #[error("{path} holds no token: one line of visible ASCII, at most {MAX_TOKEN_BYTES} bytes")]
    NoToken {
        /// Where.
        path: PathBuf,
    },
}

impl SecretError {
    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Files { .. } => "look at the medium",
            Self::Missing { .. } | Self::NoFile { .. } => {
                "put the file there (install -m 0600 FILE PATH, as root) or correct the settings"
            }
            Self::Exposed { .. } => {
                "chown it to root and chmod it to 0600; it may be known to others: take a new one"
            }
            Self::NoCertificates { .. } => {
                "write them into it in PEM, each with its BEGIN and END line"
            }
            Self::NoToken { .. } => "write the token alone into it, without name or quotes",
        }
    }
}

/// A token. It shows itself to nobody but [`Token::as_str`].
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token, for the one header that it belongs into.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Whether only `owner` (root, 0, on a device) may read and write this file. `root` is the whole
/// system's tree, and follows no link.
///
/// # Errors
/// [`SecretError`].
pub fn check_secret(root: &dyn Trees, path: &Path, owner: u32) -> Result<(), SecretError> {
    let entry = root.entry(below(path))?;
    let path = path.to_owned();
    let Some(entry) = entry else { return Err(SecretError::Missing { path }) };
    let Kind::File(_) = entry.kind else { return Err(SecretError::NoFile { path }) };
    let (mode, uid) = (entry.meta.mode & 0o7777, entry.meta.uid);
    if mode & OTHERS != 0 || uid != owner {
        return Err(SecretError::Exposed { path, uid, mode, owner });
    }
    Ok(())
}

/// Whether certificates are there, in PEM. Of a file that is lost or junk a TLS library says only that
/// no connection can be had, and people look for the fault at the server. Anybody may read it.
///
/// # Errors
/// [`SecretError`].
pub fn check_certificates(root: &dyn Trees, path: &Path) -> Result<(), SecretError> {
    let entry = root.entry(below(path))?;
    let path = path.to_owned();
    let Some(entry) = entry else { return Err(SecretError::Missing { path }) };
    let Kind::File(_) = entry.kind else { return Err(SecretError::NoFile { path }) };
    let mut pem = Vec::new();
    let read = root.open(below(&path))?.take(MAX_CERTIFICATES_BYTES).read_to_end(&mut pem);
    read.map_err(|source| FilesError::Read { path: path.clone(), source })?;
    match X509::stack_from_pem(&pem) {
        Ok(found) if !found.is_empty() => Ok(()),
        Ok(_) | Err(_) => Err(SecretError::NoCertificates { path }),
    }
}

/// Reads a token from a file that only `owner` may read and write.
///
/// # Errors
/// [`SecretError`].
pub fn read_token(root: &dyn Trees, path: &Path, owner: u32) -> Result<Token, SecretError> {
    check_secret(root, path, owner)?;
    let mut bytes = Vec::new();
    let file = root.open(below(path))?;
    let read = file.take(MAX_TOKEN_BYTES + 2).read_to_end(&mut bytes);
    read.map_err(|source| FilesError::Read { path: path.to_owned(), source })?;
    let no_token = || SecretError::NoToken { path: path.to_owned() };
    let text = std::str::from_utf8(&bytes).map_err(|_| no_token())?;
    let token = text.strip_suffix('\n').unwrap_or(text);
    let token = token.strip_suffix('\r').unwrap_or(token);
    let is_one = token.len() as u64 <= MAX_TOKEN_BYTES
        && !token.is_empty()
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_one { Ok(Token(token.to_owned())) } else { Err(no_token()) }
}

/// The path as [`Trees`] has it.
fn below(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use storage::tree::{MemoryTrees, Meta, Node, TreeImage};

    const PATH: &str = "/data/config/hawkbit/token";

    fn with(node: Node) -> MemoryTrees {
        let mut image = TreeImage::new();
        for dir in ["data", "data/config", "data/config/hawkbit"] {
            image.insert(dir.into(), Node::Dir(Meta { mode: 0o700, uid: 0, gid: 0 }));
        }
        image.insert("data/config/hawkbit/token".into(), node);
        image.into()
    }

    fn file(mode: u32, uid: u32, content: &[u8]) -> MemoryTrees {
        with(Node::File(Meta { mode, uid, gid: 0 }, Arc::from(content)))
    }

    fn read(trees: &MemoryTrees) -> Result<Token, SecretError> {
        read_token(trees, Path::new(PATH), 0)
    }

    #[test]
    fn a_token_of_roots_own_is_read_without_its_line_end() {
        for content in ["t0ken", "t0ken\n", "t0ken\r\n"] {
            assert_eq!(read(&file(0o600, 0, content.as_bytes())).unwrap().as_str(), "t0ken");
        }
        let longest = "x".repeat(1024);
        assert_eq!(read(&file(0o400, 0, format!("{longest}\n").as_bytes())).unwrap().0, longest);
    }

    #[test]
    fn what_others_may_read_or_write_is_no_secret() {
        for (mode, uid) in [(0o640, 0), (0o604, 0), (0o620, 0), (0o601, 0), (0o600, 970)] {
            let error = read(&file(mode, uid, b"t0ken")).unwrap_err();
            assert!(matches!(error, SecretError::Exposed { .. }), "{mode:o} {uid}: {error}");
            assert!(!format!("{error:?} {error}").contains("t0ken"));
        }
    }

    #[test]
    fn what_is_no_file_or_no_token_is_told_apart_and_never_shown() {
        let missing = read_token(&MemoryTrees::default(), Path::new(PATH), 0).unwrap_err();
        assert!(matches!(missing, SecretError::Missing { .. }), "{missing}");
        let link = read(&with(Node::Link("/etc/shadow".into()))).unwrap_err();
        assert!(matches!(link, SecretError::NoFile { .. }), "{link}");
        let long = "s3cret".repeat(200);
        for content in ["", "\n", "s3cret\n\n", "s3cret s3cret", "s3cret\nX: y", "s3crèt", &long] {
            let error = read(&file(0o600, 0, content.as_bytes())).unwrap_err();
            assert!(matches!(error, SecretError::NoToken { .. }), "{content:?}: {error}");
            assert!(!format!("{error:?} {error}").contains("s3cr"), "{error:?}");
        }
        let binary = read(&file(0o600, 0, b"\xff\xfe")).unwrap_err();
        assert!(matches!(binary, SecretError::NoToken { .. }), "{binary}");
        let token = read(&file(0o600, 0, b"s3cret")).unwrap();
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
