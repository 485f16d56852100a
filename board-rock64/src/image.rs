// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is a flashable image assembled? Boot loader, boot-a and rootfs-a into an empty file, the
//! partition table last, so that an unfinished image is no image.
//!
//! Same input, same bytes: every identity is derived from version and content, every time is
//! given. `out` must read as zeros; blocks of zeros are not written, so that the file stays
//! sparse. Slot B and data are made by the board itself at its first boot.

use crate::board::{Board, PartitionFacts, Role};
use crate::boot_tree::{BootTree, build_boot_vfat};
use crate::image_error::ImageError;
use bootctl::SlotId;
use bundle::Source;
use repart::NewPartition;
use std::fmt;
use std::sync::Arc;
use storage::{ByteLen, Lba, PartUuid, Storage, View};
use uuid::{Uuid, uuid};
use xxhash_rust::xxh3::Xxh3;

/// Namespace of all identities that are derived here.
const NAMESPACE: Uuid = uuid!("6f6e3c6e-52a5-5d0c-9a2c-6d1b8f0e64a1");
/// Bytes copied at once.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What goes into an image.
#[derive(Clone)]
pub struct ImageRequest<'a> {
    /// The board.
    pub board: &'a Board,
    /// `idbloader.img`, where the image brings the boot loader.
    pub idbloader: Option<Arc<dyn Source>>,
    /// `u-boot.itb`, likewise.
    pub u_boot: Option<Arc<dyn Source>>,
    /// Files of boot-a.
    pub boot: BootTree,
    /// The root file system's image.
    pub rootfs: Arc<dyn Source>,
    /// Version of the product, part of every identity.
    pub version: &'a str,
    /// Time of everything in the image, seconds since 1970.
    pub source_date_epoch: i64,
}

/// A part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImagePart {
    /// The boot loader's first stage.
    Idbloader,
    /// The boot loader.
    UBoot,
    /// The boot partition.
    Boot,
    /// The root file system.
    Rootfs,
    /// The partition table.
    Table,
}

impl fmt::Display for ImagePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idbloader => "idbloader",
            Self::UBoot => "u-boot",
            Self::Boot => "boot partition",
            Self::Rootfs => "root file system",
            Self::Table => "partition table",
        })
    }
}

/// What happens during assembly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageEvent {
    /// A part begins.
    Begin {
        /// Which.
        part: ImagePart,
        /// Where in the image.
        offset: u64,
        /// Its bytes.
        len: ByteLen,
    },
    /// Bytes of the part done so far.
    Bytes {
        /// Which.
        part: ImagePart,
        /// Done.
        done: ByteLen,
        /// Of.
        total: ByteLen,
    },
}

/// A finished image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltImage {
    /// Its size.
    pub len: ByteLen,
    /// Identity of the disk.
    pub disk_guid: Uuid,
    /// Its partitions.
    pub partitions: Vec<NewPartition>,
}

/// A source at a place in the image.
struct Raw<'a> {
    part: ImagePart,
    source: &'a dyn Source,
    offset: u64,
    room: ByteLen,
}

/// Assembles the image on `out`, an empty file of [`Board::image_len`]; durable when this returns.
///
/// # Errors
/// [`ImageError`]; sizes are checked before anything is written.
pub fn build_image(
    request: &ImageRequest<'_>,
    out: &mut dyn Storage,
    progress: &mut dyn FnMut(ImageEvent),
) -> Result<BuiltImage, ImageError> {
    let board = request.board;
    board.check_layout()?;
    board.check_watchdog()?;
    let expected = board.image_len();
    if out.len() != expected {
        let label = out.label().to_owned();
        return Err(ImageError::OutputSize { label, found: out.len(), expected });
    }
    let boot = flashed(board, Role::Boot(SlotId::A), "boot")?;
    let raws = raw_parts(request)?;
    if request.boot.len() > board.room(boot) {
        return Err(ImageError::BootFiles { len: request.boot.len(), room: board.room(boot) });
    }

    let mut fingerprint = Xxh3::new();
    for (path, content) in request.boot.iter() {
        fingerprint.update(path.as_bytes());
        each_chunk(ImagePart::Boot, content, |_, chunk| {
            fingerprint.update(chunk);
            Ok(())
        })?;
    }
    for raw in &raws {
        copy_raw(raw, out, &mut fingerprint, progress)?;
    }
    write_boot(request, boot, out, progress)?;
    out.flush()?;

    let content = fingerprint.digest128();
    let disk_guid = derived_uuid(board, request.version, "disk", content);
    let partitions = new_partitions(request, content);
    let (part, len) = (ImagePart::Table, ByteLen::new(34 * 512));
    progress(ImageEvent::Begin { part, offset: 0, len });
    repart::create_table(out, disk_guid, &partitions)?;
    out.flush()?;
    progress(ImageEvent::Bytes { part, done: len, total: len });
    Ok(BuiltImage { len: expected, disk_guid, partitions })
}

fn flashed<'a>(
    board: &'a Board,
    role: Role,
    what: &'static str,
) -> Result<&'a PartitionFacts, ImageError> {
    board.partition(role).ok_or(ImageError::NoPartition { what })
}

/// The parts that are copied as they are, each checked against its place.
fn raw_parts<'a>(request: &'a ImageRequest<'_>) -> Result<Vec<Raw<'a>>, ImageError> {
    let board = request.board;
    let at = |lba: Lba| lba.byte_offset(board.disk.sector_bytes).unwrap_or(u64::MAX);
    let idbloader = at(board.disk.boot_loader.idbloader);
    let u_boot = at(board.disk.boot_loader.u_boot);
    let rootfs = flashed(board, Role::Rootfs(SlotId::A), "rootfs")?;
    let between = |start: u64, end: u64| ByteLen::new(end.saturating_sub(start));
    let gap = board.disk.gap.get();
    let parts = [
        (ImagePart::Idbloader, request.idbloader.as_ref(), idbloader, between(idbloader, u_boot)),
        (ImagePart::UBoot, request.u_boot.as_ref(), u_boot, between(u_boot, gap)),
        (ImagePart::Rootfs, Some(&request.rootfs), rootfs.start.get(), board.room(rootfs)),
    ];
    let mut raws = Vec::new();
    for (part, source, offset, room) in parts {
        let Some(source) = source else { continue };
        let (name, len) = (source.name().to_owned(), source.len());
        if len == ByteLen::ZERO {
            return Err(ImageError::Empty { part, name });
        }
        if len > room {
            return Err(ImageError::TooLarge { part, name, len, room });
        }
        raws.push(Raw { part, source: source.as_ref(), offset, room });
    }
    Ok(raws)
}

fn copy_raw(
    raw: &Raw<'_>,
    out: &mut dyn Storage,
    fingerprint: &mut Xxh3,
    progress: &mut dyn FnMut(ImageEvent),
) -> Result<(), ImageError> {
    let (part, total) = (raw.part, raw.source.len());
    progress(ImageEvent::Begin { part, offset: raw.offset, len: total });
    let mut place = View::new(&mut *out, part.to_string(), raw.offset, raw.room)?;
    each_chunk(part, raw.source, |at, chunk| {
        fingerprint.update(chunk);
        if chunk.iter().any(|byte| *byte != 0) {
            place.write_at(at, chunk)?;
        }
        let done = ByteLen::new(at.saturating_add(chunk.len() as u64));
        progress(ImageEvent::Bytes { part, done, total });
        Ok(())
    })
}

fn each_chunk(
    part: ImagePart,
    source: &dyn Source,
    mut act: impl FnMut(u64, &[u8]) -> Result<(), ImageError>,
) -> Result<(), ImageError> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut at, len) = (0, source.len().get());
    while at < len {
        let count = usize::try_from(len - at).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let bytes = chunk.get_mut(..count).unwrap_or_default();
        source.read_at(at, bytes).map_err(|source| ImageError::Source { part, source })?;
        act(at, bytes)?;
        at += count as u64;
    }
    Ok(())
}

fn write_boot(
    request: &ImageRequest<'_>,
    boot: &PartitionFacts,
    out: &mut dyn Storage,
    progress: &mut dyn FnMut(ImageEvent),
) -> Result<(), ImageError> {
    let (part, offset) = (ImagePart::Boot, boot.start.get());
    let total = request.boot.len();
    progress(ImageEvent::Begin { part, offset, len: total });
    let mut place = View::new(&mut *out, part.to_string(), offset, request.board.room(boot))?;
    let (version, time) = (request.version, request.source_date_epoch);
    build_boot_vfat(request.board, &request.boot, version, time, &mut place)?;
    progress(ImageEvent::Bytes { part, done: total, total });
    Ok(())
}

fn new_partitions(request: &ImageRequest<'_>, content: u128) -> Vec<NewPartition> {
    let board = request.board;
    let sector = u64::from(board.disk.sector_bytes.max(1));
    board
        .partitions
        .iter()
        .filter(|partition| partition.is_flashed())
        .filter_map(|partition| {
            let end = partition.end()?.get();
            let id = derived_uuid(board, request.version, partition.label, content);
            Some(NewPartition {
                type_guid: partition.type_guid,
                part_uuid: PartUuid(id),
                label: partition.label.to_owned(),
                first_lba: Lba(partition.start.get() / sector),
                last_lba: Lba((end / sector).saturating_sub(1)),
            })
        })
        .collect()
}

/// An identity that the same board, version, thing and content always get.
pub(crate) fn derived_uuid(board: &Board, version: &str, what: &str, content: u128) -> Uuid {
    let name = format!("{}\n{version}\n{what}\n{content:032x}", board.compatible);
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}
