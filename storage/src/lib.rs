// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one seam to disks and files.
//!
//! Everything that must survive a power cut passes through [`Storage`] (devices) or [`Files`]
//! (small files), so that tests can log, cut, tear and replay it. Nothing in this crate decides
//! what to write; it only makes writes durable, readable again, and honest about failure.

mod chain;
mod crash;
mod crash_files;
mod cut;
mod cut_points;
mod device;
mod digest;
mod direct;
mod emmc;
mod error;
mod faulty;
mod file;
mod files;
mod host;
#[cfg(target_os = "linux")]
mod ioctl;
#[cfg(not(target_os = "linux"))]
#[path = "ioctl_elsewhere.rs"]
mod ioctl;
mod journal;
mod letters;
#[cfg(target_os = "linux")]
mod linux;
mod lock_file;
mod medium;
mod memory;
mod mounts;
mod nor;
mod part_uuid;
mod power_cut;
mod recording;
mod rooted;
mod seed;
mod shared;
mod steps;
mod sync_below;
mod tears;
pub mod tree;
mod ubi;
mod units;
mod view;

pub use chain::chain;
pub use crash::CrashImages;
pub use crash_files::{FileTree, MAX_CRASH_TREES};
pub use cut::{CutAt, CutPlan};
pub use cut_points::{Coverage, CutPoint, CutPoints, Effort, Remains};
pub use device::{Access, Devices, Geometry, Storage};
pub use digest::{Digest, ParseDigestError};
pub use direct::AlignedBuffer;
pub use emmc::{BootPartition, EmmcRegisters};
pub use error::{FilesError, StorageError};
pub use faulty::{Fault, Faulty};
pub use file::FileStorage;
pub use files::{Files, HostFiles};
pub use host::HostDevices;
pub use ioctl::is_open_here_only;
#[cfg(target_os = "linux")]
pub use ioctl::set_xattr;
pub use journal::{Journal, Op, OpKind};
pub use letters::is_unseen;
#[cfg(target_os = "linux")]
pub use linux::{BlockDevice, MtdDevice};
pub use lock_file::{open_own_lock, open_shared_lock};
pub use memory::{MemoryFiles, MemoryStorage};
pub use mounts::{Mount, mount_holding, parse_mountinfo};
pub use nor::NorFlash;
pub use part_uuid::PartUuid;
pub use power_cut::{PowerCut, PowerCutDevices, PowerCutFiles};
pub use recording::{Recording, RecordingFiles};
pub use shared::Shared;
pub use steps::FileStep;
pub use sync_below::sync_all_below;
pub use ubi::{read_ubi_volume, replace_ubi_volume};
pub use units::{ByteLen, Lba};
pub use view::View;
