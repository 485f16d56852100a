// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this bundle true?

mod dev_pki;
mod squashfs;
mod squashfs_limits;
mod squashfs_read_ahead;
mod squashfs_write;

pub use dev_pki::{
    DevelopmentPki, DevelopmentPkiError, DevelopmentPkiOptions, Extended, Intermediate,
};
pub use squashfs::{SquashfsEntry, SquashfsError, SquashfsFile, SquashfsFiles};
pub use squashfs_limits::SquashfsLimits;
pub use squashfs_write::{SquashfsCompression, SquashfsTree, WriteSquashfsError, write_squashfs};
