// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an image or a boot partition cannot be made.

use crate::image::ImagePart;
use crate::layout::LayoutError;
use crate::watchdog::WatchdogError;
use bundle::SourceError;
use repart::{CreateTableError, FatError};
use storage::{ByteLen, StorageError};
use uboot::ScriptError;

/// An image cannot be assembled.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The board's facts contradict each other.
    #[error("the board's layout does not fit together")]
    Layout(#[from] LayoutError),
    /// The times of the board's watchdog would reset healthy boards.
    #[error("the board's watchdog does not fit the board")]
    Watchdog(#[from] WatchdogError),
    /// The output has another size than the image.
    #[error("{label} of {found} is not the size of the image, {expected}")]
    OutputSize {
        /// The output.
        label: String,
        /// Its size.
        found: ByteLen,
        /// The image's size.
        expected: ByteLen,
    },
    /// A part is larger than its place.
    // Whole bytes: rounded, the two could read the same.
    #[error("{part} ({name}) of {} bytes does not fit its place of {}", len.get(), room.get())]
    TooLarge {
        /// Which part.
        part: ImagePart,
        /// The source's name.
        name: String,
        /// Its size.
        len: ByteLen,
        /// Size of its place.
        room: ByteLen,
    },
    /// A part has no bytes.
    #[error("{part} ({name}) is empty")]
    Empty {
        /// Which part.
        part: ImagePart,
        /// The source's name.
        name: String,
    },
    /// The files of the boot partition do not fit.
    #[error("the boot files of {} bytes do not fit the boot partition of {}", len.get(), room.get())]
    BootFiles {
        /// Sum of the files.
        len: ByteLen,
        /// Size of the partition.
        room: ByteLen,
    },
    /// The kernel cannot be read.
    #[error("cannot read the kernel")]
    Kernel {
        /// Cause.
        #[source]
        source: SourceError,
    },
    /// The kernel is none that U-Boot's `booti` starts.
    #[error("{name} is no arm64 kernel: {what}")]
    NoKernel {
        /// The source's name.
        name: String,
        /// What was found.
        what: String,
    },
    /// The kernel would reach into what is loaded above it.
    #[error("{name} takes {} bytes of memory, and there are {} up to the initrd", needs.get(), room.get())]
    KernelTooLarge {
        /// The source's name.
        name: String,
        /// What its header says, or its own size.
        needs: ByteLen,
        /// What there is.
        room: ByteLen,
    },
    /// The board lacks a partition that an image needs.
    #[error("the board has no {what} partition")]
    NoPartition {
        /// Which.
        what: &'static str,
    },
    /// A path in the boot tree is given twice or is a directory and a file.
    #[error("{path} is in the boot tree twice")]
    RepeatedPath {
        /// The path.
        path: String,
    },
    /// The boot script cannot be wrapped.
    #[error("cannot make boot.scr")]
    Script(#[from] ScriptError),
    /// A source cannot be read.
    #[error("cannot read {part}")]
    Source {
        /// Which part.
        part: ImagePart,
        /// Cause.
        #[source]
        source: SourceError,
    },
    /// The boot partition's file system cannot be made.
    #[error("cannot make the boot partition")]
    Fat(#[from] FatError),
    /// The partition table cannot be made.
    #[error("cannot make the partition table")]
    Table(#[from] CreateTableError),
    /// The output failed.
    #[error("cannot write the image")]
    Output(#[from] StorageError),
}

impl ImageError {
    /// The way out, where there is a usual one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::TooLarge { part: ImagePart::Rootfs, .. } => Some(
                "make the root file system smaller: the slots' sizes are fixed on every device",
            ),
            Self::TooLarge { .. } => Some("check that the right file was named for this part"),
            Self::BootFiles { .. } => Some("make the initrd or the kernel smaller"),
            Self::NoKernel { .. } => Some("give the uncompressed `Image` of an arm64 kernel"),
            Self::KernelTooLarge { .. } => Some("build the kernel with more in modules"),
            Self::OutputSize { .. } => Some("give a new, empty file of the image's size"),
            Self::Empty { .. } => Some("check how the file was built; leave a missing part out"),
            Self::Layout(_)
            | Self::Watchdog(_)
            | Self::NoPartition { .. }
            | Self::RepeatedPath { .. }
            | Self::Script(_)
            | Self::Source { .. }
            | Self::Kernel { .. }
            | Self::Fat(_)
            | Self::Table(_)
            | Self::Output(_) => None,
        }
    }
}
