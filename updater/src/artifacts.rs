// SPDX-License-Identifier: MIT OR Apache-2.0
//! How do files and trees of a bundle get into a repository beside the slots?
//!
//! Layout of a repository, as RAUC has it:
//!
//! ```text
//! <repo>/.artifact-<name>-<sha256>       data, a file or a directory; whole or absent
//! <repo>/.artifact-<name>-<sha256>.tmp   data under way; removed by the next pruning
//! <repo>/<name>                          link to the data that is active
//! ```
//!
//! Data get their name when they are durable, a link is switched by a rename, and data are removed
//! when no durable link names them: after a cut each link names whole data, the old or the new.

mod content;
mod disk;
mod error;
mod in_use;
mod links;
mod repository;

pub use content::{ArtifactContent, ArtifactImage};
pub use disk::{HostDisk, RepositoryDisk, RepositoryEntry, RepositoryFile};
pub use error::ArtifactError;
pub(crate) use links::replace_link;
pub use repository::{
    ArtifactInstance, ArtifactOutcome, ArtifactRepository, ArtifactStatus, RepositoryStatus,
};
