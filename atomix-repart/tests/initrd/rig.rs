// SPDX-License-Identifier: MIT OR Apache-2.0
//! A board in memory as an initrd sees it: a disk with an old life behind the new image, a card
//! with environment and recorder, and a kernel whose `/proc` and `/sys` are files below a directory.

use atomix_repart::{
    Act, Answer, Board, DataHome, Failure, PROVISIONED_PATH, RepartReport, Request, UbootBoot,
    perform,
};
use bootctl::{BootBackend, BootState, DataReset, UbootBackend};
use repart::{NewPartition, TypeGuid, create_table, read_table};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use storage::{
    Access, CutPlan, Devices, Fault, Faulty, HostFiles, Lba, MemoryStorage, PartUuid,
    PowerCutDevices, Shared, Storage, StorageError,
};
use uboot::{Env, EnvStore, FwEnvConfig};
use uuid::Uuid;

pub const MIB: usize = 1024 * 1024;
/// Where data begins: a gap, then boot-a, rootfs-a, boot-b and rootfs-b of one MiB each.
pub const DATA: usize = 5 * MIB;
pub const DISK_MIB: usize = 8;
/// What the owner of the board's earlier life left in the first sectors of data.
pub const OLD_LIFE: &[u8] = b"OLD LIFE";

const FW_ENV_CONFIG: &str = "/dev/mmcblk0 0x0 0x2000\n/dev/mmcblk0 0x2000 0x2000\n";
const SETTINGS: &str = "[disk]\ndevice = \"/dev/vda\"\nidentity-label = \"boot-b\"\n\
    protected-bytes = 1048576\n[recorder]\ndevice = \"/dev/mmcblk0\"\noffset = 65536\n\
    block-bytes = 4096\nblocks = 4\n";
const INITRD_MOUNTS: &str =
    "1 1 0:2 / / rw - rootfs rootfs rw\n2 1 0:5 / /proc rw - proc proc rw\n";
const DATA_MOUNT: &str = "9 1 254:5 / /data rw - f2fs /dev/vda5 rw\n";

type Device = Shared<MemoryStorage>;

pub struct Rig {
    dir: tempfile::TempDir,
    devices: MemoryDevices,
    /// The data partition's bytes when it was mounted last: another content is another file
    /// system, in which nothing was written yet.
    mounted: Option<Vec<u8>>,
    boots: u8,
}

#[derive(Clone)]
struct MemoryDevices {
    all: BTreeMap<PathBuf, Device>,
    /// A byte of the disk that cannot be read until it is written.
    bad: Option<u64>,
}

impl Devices for MemoryDevices {
    fn open(&self, device: &Path, _access: Access) -> Result<Box<dyn Storage>, StorageError> {
        match (self.all.get(device), self.bad) {
            (Some(found), Some(at)) if device == Path::new("/dev/vda") => {
                Ok(Box::new(Faulty::new(found.clone(), Fault::ReadUntilWritten { at })))
            }
            (Some(found), _) => Ok(Box::new(found.clone())),
            (None, _) => Err(StorageError::Absent { label: device.display().to_string() }),
        }
    }

    fn mounted_at(&self, _device: &Path) -> Result<Option<PathBuf>, StorageError> {
        Ok(None)
    }
}

fn image_partition(type_guid: TypeGuid, label: &str, id: u128, start_mib: u64) -> NewPartition {
    NewPartition {
        type_guid,
        part_uuid: PartUuid(Uuid::from_u128(id)),
        label: label.to_owned(),
        first_lba: Lba(start_mib * 2048),
        last_lba: Lba((start_mib + 1) * 2048 - 1),
    }
}

/// The disk of an earlier life, over which an image with slot A was written.
fn flashed() -> MemoryStorage {
    let mut bytes = vec![0x5a; DISK_MIB * MIB];
    bytes[DATA + 3..DATA + 3 + OLD_LIFE.len()].copy_from_slice(OLD_LIFE);
    let mut image = MemoryStorage::disk("image", vec![0x5a; 4 * MIB]);
    let partitions = [
        image_partition(TypeGuid::XBOOTLDR, "boot-a", 0xa1, 1),
        image_partition(TypeGuid::ROOT_ARM64, "rootfs-a", 0xa2, 2),
    ];
    create_table(&mut image, Uuid::from_u128(0xd15c), &partitions).unwrap();
    bytes[..4 * MIB].copy_from_slice(image.bytes());
    MemoryStorage::disk("disk", bytes)
}

fn definition(kind: &str, label: &str, rest: &str) -> String {
    format!("[Partition]\nType={kind}\nLabel={label}\nSizeMinBytes=1M\n{rest}")
}

impl Rig {
    /// Freshly flashed; the card's environment is that of another disk, with a good slot B.
    pub fn new() -> Self {
        let disk = Shared::new(flashed());
        let card = Shared::new(MemoryStorage::disk("card", vec![0; MIB]));
        let devices = BTreeMap::from([("/dev/vda".into(), disk), ("/dev/mmcblk0".into(), card)]);
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Self {
            dir,
            devices: MemoryDevices { all: devices, bad: None },
            mounted: None,
            boots: 0,
        };
        rig.write("/etc/atomix/atomix.toml", SETTINGS);
        rig.write("/etc/fw_env.config", FW_ENV_CONFIG);
        rig.write("/proc/cmdline", "rauc.slot=A\n");
        let fixed = "SizeMaxBytes=1M\n";
        let formatted = "SizeMaxBytes=1M\nFormat=vfat\n";
        for (name, text) in [
            ("1-boot-a", definition("xbootldr", "boot-a", fixed)),
            ("2-rootfs-a", definition("root-arm64", "rootfs-a", fixed)),
            ("3-boot-b", definition("xbootldr", "boot-b", formatted)),
            ("4-rootfs-b", definition("root-arm64", "rootfs-b", fixed)),
            ("5-data", definition("linux-generic", "data", "Format=vfat\n")),
        ] {
            rig.write(&format!("/etc/repart.d/{name}.conf"), text);
        }
        // A kernel that knows every partition there can be: telling it is another test's matter.
        for number in 1..=5_u64 {
            let sys = format!("/sys/class/block/vda/vda{number}");
            let size = if number == 5 { (DISK_MIB as u64 - 6) * 2048 } else { 2048 };
            rig.write(&format!("{sys}/partition"), format!("{number}\n"));
            rig.write(&format!("{sys}/start"), format!("{}\n", number * 2048));
            rig.write(&format!("{sys}/size"), format!("{size}\n"));
            rig.write(&format!("{sys}/dev"), format!("254:{number}\n"));
            rig.write(&format!("/dev/vda{number}"), "");
        }
        let mut other = BootState::factory(PartUuid(Uuid::from_u128(0xbad)));
        other.b = other.a;
        rig.bind_to(&other);
        rig.unmount();
        rig
    }

    pub fn write(&self, on_board: &str, content: impl AsRef<[u8]>) {
        let path = self.path(on_board);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn path(&self, on_board: &str) -> PathBuf {
        self.dir.path().join(on_board.trim_start_matches('/'))
    }

    pub fn device(&self, path: &str) -> Device {
        self.devices.all[Path::new(path)].clone()
    }

    /// From now on this byte of the disk cannot be read until it is written.
    pub fn spoil(&mut self, at: u64) {
        self.devices.bad = Some(at);
    }

    pub fn disk(&self) -> Vec<u8> {
        self.device("/dev/vda").with(|disk| disk.bytes().to_vec())
    }

    fn store(&self) -> EnvStore<Device> {
        let places = FwEnvConfig::parse(FW_ENV_CONFIG).unwrap().copies;
        let copies = places.into_iter().map(|place| (self.device("/dev/mmcblk0"), place));
        EnvStore::open(copies.collect()).unwrap()
    }

    /// Begins the environment anew.
    pub fn bind_to(&self, state: &BootState) {
        let mut env = Env::new();
        env.set("bootcmd", "run atomix_select").unwrap();
        self.store().store(&env).unwrap();
        self.backend().store(&BootState::lost(), state).unwrap();
    }

    pub fn backend(&self) -> UbootBackend<Device> {
        UbootBackend::new(self.store())
    }

    pub fn state(&self) -> BootState {
        self.backend().load().unwrap()
    }

    pub fn asked(&self) -> DataReset {
        self.backend().data_reset().unwrap()
    }

    /// The identities of boot-b, which is the disk's, and of data, as the table has them.
    pub fn identities(&self) -> (PartUuid, PartUuid) {
        let table = read_table(&self.device("/dev/vda")).unwrap();
        let of = |label: &str| {
            table.partitions.iter().find(|found| found.label == label).unwrap().part_uuid
        };
        (of("boot-b"), of("data"))
    }

    /// What somebody asks for who does not know this disk, or types at the boot loader's prompt.
    pub fn set_request(&self, request: DataReset) {
        self.backend().set_data_reset(request).unwrap();
    }

    /// One run of the program; each has its own randomness.
    pub fn perform(
        &mut self,
        act: Act,
        cut: Option<&CutPlan>,
    ) -> Result<(Answer, String), Failure> {
        self.boots = self.boots.wrapping_add(1);
        let seed = [self.boots; 16];
        let files = HostFiles::new(self.dir.path());
        let plain = self.devices.clone();
        let powered = cut.map(|plan| PowerCutDevices::new(plain.clone(), plan));
        let devices: &dyn Devices = match &powered {
            Some(powered) => powered,
            None => &plain,
        };
        let board =
            Board { files: &files, devices, data: DataHome::Partition, unix_time: 1_800_000_000 };
        let request = Request { act, ..Request::default() };
        let mut told = String::new();
        let answer = perform(&board, &UbootBoot(board), &request, seed, &mut |line| {
            told.push_str(&line);
            told.push('\n');
        })?;
        Ok((answer, told))
    }

    pub fn run(&mut self) -> RepartReport {
        match self.perform(Act::CarryOut, None).unwrap().0 {
            Answer::Done { report, .. } => report,
            other @ (Answer::Plan { .. } | Answer::Asked(_)) => panic!("{other:?}"),
        }
    }

    /// A run during which the power goes.
    pub fn cut_run(&mut self, plan: &CutPlan) {
        assert!(self.perform(Act::CarryOut, Some(plan)).is_err() && plan.is_cut());
    }

    /// The bytes of data where the table names it and it holds a file system.
    fn data(&self) -> Option<Vec<u8>> {
        let disk = self.device("/dev/vda");
        let table = read_table(&disk).unwrap();
        let data = table.partitions.iter().find(|partition| partition.label == "data")?;
        let (start, end) = (data.first_lba.0 as usize * 512, (data.last_lba.0 as usize + 1) * 512);
        assert_eq!(start, DATA);
        let bytes = self.disk()[start..end].to_vec();
        (bytes[..512].iter().any(|byte| *byte != 0)).then_some(bytes)
    }

    /// Mounts data where it can be, as the next thing an initrd does. An old file system would
    /// bring its marker along.
    pub fn mount(&mut self) -> bool {
        let Some(data) = self.data() else { return false };
        if self.mounted.as_ref() != Some(&data) {
            let _ = fs::remove_dir_all(self.path("/data"));
            if data.windows(OLD_LIFE.len()).take(512).any(|window| window == OLD_LIFE) {
                self.write(PROVISIONED_PATH, "1\n");
            }
        }
        self.mounted = Some(data);
        self.write("/proc/self/mountinfo", format!("{INITRD_MOUNTS}{DATA_MOUNT}"));
        true
    }

    /// The next boot: nothing is mounted, and `/data` is the initrd's own directory.
    pub fn unmount(&mut self) {
        self.write("/proc/self/mountinfo", INITRD_MOUNTS);
    }

    pub fn marker(&self) -> bool {
        self.path(PROVISIONED_PATH).exists()
    }

    /// A whole boot: before data is mounted, and after it.
    pub fn boot(&mut self) -> (RepartReport, RepartReport) {
        self.unmount();
        let first = self.run();
        assert!(self.mount(), "data cannot be mounted after {first:?}");
        (first, self.run())
    }

    /// The same board again, with all that is durable.
    pub fn copy(&self) -> Self {
        let mut other = Self::new();
        for (path, device) in &self.devices.all {
            let bytes = device.with(|device| device.bytes().to_vec());
            other
                .device(path.to_str().unwrap())
                .with(|device| device.bytes_mut().copy_from_slice(&bytes));
        }
        other.boots = self.boots;
        other.mounted = self.mounted.clone();
        if self.marker() {
            other.write(PROVISIONED_PATH, "1\n");
        }
        other
    }
}
