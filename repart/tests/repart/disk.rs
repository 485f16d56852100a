// SPDX-License-Identifier: MIT OR Apache-2.0
//! The disks and definitions that the tests work on: the shape of the real board, any size.

use repart::{
    Applied, ApplyError, Definition, Effects, HostFilesystems, NewPartition, Plan, PlanOptions,
    TypeGuid, apply, create_table, parse_definition, plan, read_table,
};
use std::path::PathBuf;
use storage::{ByteLen, Geometry, Lba, MemoryStorage, PartUuid, Storage, StorageError};
use uuid::Uuid;

pub const MIB: u64 = 1024 * 1024;

/// Sizes of a board's partitions in MiB.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub gap: u64,
    pub boot: u64,
    pub root: u64,
    pub data_min: u64,
}

pub const REAL: Sizes = Sizes { gap: 16, boot: 128, root: 1024, data_min: 64 };
pub const SMALL: Sizes = Sizes { gap: 1, boot: 1, root: 1, data_min: 1 };

impl Sizes {
    pub fn definitions(self, data_format: &str) -> Vec<Definition> {
        let boot = |label: &str, format: &str| {
            let size = self.boot;
            format!(
                "[Partition]\nType=xbootldr\nLabel={label}\n{format}SizeMinBytes={size}M\nSizeMaxBytes={size}M\n"
            )
        };
        let root = |label: &str| {
            let size = self.root;
            format!(
                "[Partition]\nType=root-arm64\nLabel={label}\nSizeMinBytes={size}M\nSizeMaxBytes={size}M\n"
            )
        };
        let data = format!(
            "[Partition]\nType=linux-generic\nLabel=data\nFormat={data_format}\nSizeMinBytes={}M\n",
            self.data_min
        );
        [
            ("10-boot-a.conf", boot("boot-a", "")),
            ("20-rootfs-a.conf", root("rootfs-a")),
            ("30-boot-b.conf", boot("boot-b", "Format=vfat\n")),
            ("40-rootfs-b.conf", root("rootfs-b")),
            ("50-data.conf", data),
        ]
        .iter()
        .map(|(name, text)| parse_definition(name, text).unwrap())
        .collect()
    }

    pub fn options(self) -> PlanOptions {
        PlanOptions { seed: [7; 16], protected_end: ByteLen::mib(self.gap) }
    }

    /// The partitions of a flashed image: boot-a and rootfs-a.
    pub fn image_partitions(self, sector_bytes: u64) -> Vec<NewPartition> {
        let unit = MIB / sector_bytes;
        let new = |type_guid, label: &str, id, start: u64, size: u64| NewPartition {
            type_guid,
            part_uuid: PartUuid(Uuid::from_u128(id)),
            label: label.to_owned(),
            first_lba: Lba(start * unit),
            last_lba: Lba((start + size) * unit - 1),
        };
        vec![
            new(TypeGuid::XBOOTLDR, "boot-a", 0xa1, self.gap, self.boot),
            new(TypeGuid::ROOT_ARM64, "rootfs-a", 0xa2, self.gap + self.boot, self.root),
        ]
    }

    /// Where the image of this board ends, in MiB: two more for the backup.
    pub fn image_mib(self) -> u64 {
        self.gap + self.boot + self.root + 2
    }

    /// A disk of `disk_mib` to which the image was flashed, with recognisable old bytes
    /// everywhere else.
    pub fn flashed(self, disk_mib: u64) -> MemoryStorage {
        let mut bytes = vec![0x5a; (disk_mib * MIB) as usize];
        let image_bytes = self.image_mib() * MIB;
        let mut image = MemoryStorage::disk("image", vec![0x5a; image_bytes as usize]);
        create_table(&mut image, disk_guid(), &self.image_partitions(512)).unwrap();
        bytes[..image.bytes().len()].copy_from_slice(image.bytes());
        MemoryStorage::disk("disk", bytes)
    }
}

pub fn disk_guid() -> Uuid {
    Uuid::from_u128(0xd15c)
}

pub fn scratch() -> HostFilesystems {
    // A test has a thread of its own, and many tests have partitions with the same identity.
    let thread = format!("{:?}", std::thread::current().id());
    let scratch_dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(thread);
    std::fs::create_dir_all(&scratch_dir).unwrap();
    HostFilesystems { scratch_dir, unix_time: 1_700_000_000 }
}

pub fn make_plan(disk: &dyn Storage, sizes: Sizes, data_format: &str) -> Plan {
    plan(&read_table(disk).unwrap(), &sizes.definitions(data_format), &sizes.options()).unwrap()
}

/// Applies with nothing to do before the table.
pub fn apply_plain(plan: &Plan, disk: &mut dyn Storage) -> Result<Applied, ApplyError> {
    let mut effects = Effects {
        filesystems: &mut scratch(),
        before_table: &mut |_| Ok(()),
        progress: &mut |_| {},
    };
    apply(plan, disk, &mut effects)
}

/// A disk in memory with sectors of 4096 bytes.
pub struct Sectors4096(pub MemoryStorage);

impl Storage for Sectors4096 {
    fn label(&self) -> &str {
        self.0.label()
    }
    fn len(&self) -> ByteLen {
        self.0.len()
    }
    fn geometry(&self) -> Geometry {
        Geometry { sector_bytes: 4096, erase_bytes: None }
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.0.read_at(offset, buf)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.0.write_at(offset, data)
    }
    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.0.erase(offset, len)
    }
    fn flush(&mut self) -> Result<(), StorageError> {
        self.0.flush()
    }
    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.0.forget_cached(offset, len)
    }
}
