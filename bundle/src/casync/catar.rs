// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does an archive (`.catar`) say of one file?
//!
//! An archive is a run of records, each u64 length (with this head), u64 kind, then its content;
//! numbers are little endian:
//!
//! ```text
//! tree      = ENTRY meta* body
//! body      = PAYLOAD bytes            of a regular file
//!           | SYMLINK target \0        | DEVICE major minor      | nothing, of a pipe or socket
//!           | (FILENAME name \0 tree)* GOODBYE table             of a directory, names ascending
//! ENTRY     = 64: feature flags, mode, flags, uid, gid, mtime in ns
//! meta      = USER, GROUP, XATTR, ACL_*, SELINUX, FCAPS, QUOTA_PROJID
//! GOODBYE   = items (offset, size, hash), offset of the ENTRY, length again, marker
//! ```

use super::FeatureFlags;

pub(crate) const ENTRY: u64 = 0x1396_fabc_ea5b_bb51;
pub(crate) const USER: u64 = 0xf453_131a_aeea_ccb3;
pub(crate) const GROUP: u64 = 0x25eb_6ac9_6939_6a52;
pub(crate) const XATTR: u64 = 0xb815_7091_f80b_c486;
pub(crate) const ACL_USER: u64 = 0x297d_c88b_2ef1_2faf;
pub(crate) const ACL_GROUP: u64 = 0x36f2_acb5_6cb3_dd0b;
pub(crate) const ACL_GROUP_OBJ: u64 = 0x2304_7110_441f_38f3;
pub(crate) const ACL_DEFAULT: u64 = 0xfe3e_eda6_823c_8cd0;
pub(crate) const ACL_DEFAULT_USER: u64 = 0xbdf0_3df9_bd01_0a91;
pub(crate) const ACL_DEFAULT_GROUP: u64 = 0xa0cb_1168_782d_1f51;
pub(crate) const FCAPS: u64 = 0xf726_7db0_afed_0629;
pub(crate) const QUOTA_PROJID: u64 = 0x161b_af2d_8772_a72b;
pub(crate) const SELINUX: u64 = 0x46fa_f060_2fd2_6c59;
pub(crate) const SYMLINK: u64 = 0x664a_6fb6_830e_0d6c;
pub(crate) const DEVICE: u64 = 0xac3d_ace3_69df_e643;
pub(crate) const PAYLOAD: u64 = 0x8b9e_1d93_d6dc_ffc9;
pub(crate) const FILENAME: u64 = 0x6dbb_6ebc_b316_1f0b;
pub(crate) const GOODBYE: u64 = 0xdfd3_5c5e_8327_c403;
pub(crate) const GOODBYE_TAIL: u64 = 0x5744_6fa5_3370_2943;

pub(crate) const HEAD_BYTES: u64 = 16;
pub(crate) const ENTRY_BYTES: u64 = 64;
pub(crate) const DEVICE_BYTES: u64 = 32;
pub(crate) const GOODBYE_ITEM_BYTES: u64 = 24;

/// Directories within each other. Each is an open handle while it is unpacked; no root file
/// system is nearly as deep.
pub const MAX_DEPTH: usize = 256;
/// Longest name of a file, and longest target of a link (Linux).
pub(crate) const MAX_NAME: u64 = 255;
pub(crate) const MAX_TARGET: u64 = 4095;

pub(crate) const TYPE_MASK: u64 = 0o170_000;
pub(crate) const TYPE_FIFO: u64 = 0o010_000;
pub(crate) const TYPE_CHARACTER: u64 = 0o020_000;
pub(crate) const TYPE_DIRECTORY: u64 = 0o040_000;
pub(crate) const TYPE_BLOCK: u64 = 0o060_000;
pub(crate) const TYPE_FILE: u64 = 0o100_000;
pub(crate) const TYPE_LINK: u64 = 0o120_000;
pub(crate) const TYPE_SOCKET: u64 = 0o140_000;

/// What sort of file an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatarKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its length in bytes.
        len: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points: not empty, no zero byte. Never followed by us.
        target: Vec<u8>,
    },
    /// A device node.
    Device {
        /// Block or character device.
        block: bool,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl CatarKind {
    /// The type bits of a mode.
    pub(crate) const fn type_bits(&self) -> u64 {
        match self {
            Self::Directory => TYPE_DIRECTORY,
            Self::File { .. } => TYPE_FILE,
            Self::Symlink { .. } => TYPE_LINK,
            Self::Device { block: true, .. } => TYPE_BLOCK,
            Self::Device { block: false, .. } => TYPE_CHARACTER,
            Self::Fifo => TYPE_FIFO,
            Self::Socket => TYPE_SOCKET,
        }
    }
}

/// What an archive keeps of a file besides its name and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatarEntry {
    /// What it is.
    pub kind: CatarKind,
    /// Permission bits, with set-id and sticky bits: at most `0o7777`.
    pub permissions: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last change in nanoseconds since 1970.
    pub mtime_nanos: u64,
    /// Name of the owner, where the archive keeps names.
    pub user: Option<String>,
    /// Name of the group.
    pub group: Option<String>,
    /// Extended attributes as the kernel names them; access control lists, capabilities and
    /// labels among them.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl CatarEntry {
    /// An entry of root's with these permissions.
    #[must_use]
    pub const fn new(kind: CatarKind, permissions: u32) -> Self {
        let (user, group) = (None, None);
        Self { kind, permissions, uid: 0, gid: 0, mtime_nanos: 0, user, group, xattrs: Vec::new() }
    }

    /// The mode as an archive with these features stores it.
    pub(crate) fn stored_mode(&self, features: FeatureFlags) -> u64 {
        let directory = self.kind == CatarKind::Directory;
        let permissions = if matches!(self.kind, CatarKind::Symlink { .. }) {
            0o777
        } else if features.has(FeatureFlags::PERMISSIONS) || features.has(FeatureFlags::ACL) {
            u64::from(self.permissions & 0o7777)
        } else {
            let writable = !features.has(FeatureFlags::READ_ONLY) || self.permissions & 0o222 != 0;
            match (directory, writable) {
                (true, true) => 0o777,
                (true, false) => 0o555,
                (false, true) => 0o666,
                (false, false) => 0o444,
            }
        };
        self.kind.type_bits() | permissions
    }
}

/// Whether this can be the name of a file in a directory, and of nothing else.
pub(crate) fn is_plain_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() as u64 <= MAX_NAME
        && name != b"."
        && name != b".."
        && !name.contains(&b'/')
        && !name.contains(&0)
}
