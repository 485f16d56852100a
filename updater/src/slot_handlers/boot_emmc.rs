// SPDX-License-Identifier: MIT OR Apache-2.0
//! `boot-emmc`: the boot partition of an eMMC that it does not boot from is written, then it is
//! told to boot from that one.
//!
//! | step | cut after it |
//! |---|---|
//! | 1 write protection off (kernel only), image written, rest zeroed, flushed, read back | old partition boots |
//! | 2 hook; flushed; write protection on | old partition boots |
//! | 3 `PARTITION_CONFIG` switched: one register, stored by the device | new partition boots |

use super::error::SlotHandlerError;
use super::job::{HookStep, ImageContent, SlotPlace, SlotProof, SlotWritten};
use super::machine::{BootHalf, Protection};
use super::work::Work;
use std::io::Read;
use std::path::{Path, PathBuf};
use storage::{Access, ByteLen};

impl Work<'_, '_> {
    pub(super) fn boot_emmc(
        &mut self,
        content: ImageContent<'_>,
    ) -> Result<SlotWritten, SlotHandlerError> {
        let ImageContent::Stream(source) = content else { return Err(self.wrong_shape()) };
        let (size, limit) = (self.job.image.size, self.job.slot.size_limit);
        if limit.get() > 0 && size > limit {
            return Err(SlotHandlerError::OverLimit { size, limit });
        }
        let disk = self.machine.real_path(&self.job.slot.device)?;
        let found = self.machine.boot_partition(&disk);
        let active = match found.map_err(|source| self.device_failed(source))? {
            Some(half) => {
                self.note(format!(
                    "Found active eMMC boot partition {}",
                    boot_device(&disk, half).display()
                ));
                half
            }
            None => {
                self.note("eMMC device was not enabled for booting, yet. Ignoring.");
                BootHalf::Boot1
            }
        };
        let target = active.other();
        let partition = boot_device(&disk, target);
        let place = SlotPlace {
            mount_point: None,
            device: &disk,
            variables: vec![
                ("RAUC_BOOT_PARTITION_ACTIVATING", target.number().to_string()),
                ("RAUC_BOOT_SIZE_LIMIT", limit.get().to_string()),
            ],
        };
        self.machine.set_force_ro(&partition, Protection::Off)?;
        let written = self.fill_boot_partition(&partition, &place, source);
        let protected = self.machine.set_force_ro(&partition, Protection::On);
        let written = written?;
        protected?;
        self.go_on()?;
        let switched = self.machine.set_boot_partition(&partition, target);
        switched.map_err(|source| self.device_failed(source))?;
        // By the disk's own node, which makes the kernel ask the device and not its memory.
        let after = self.machine.boot_partition(&disk);
        if after.map_err(|source| self.device_failed(source))? != Some(target) {
            return Err(SlotHandlerError::NotToggled);
        }
        self.note(format!("Boot partition {} is now active", partition.display()));
        Ok(written)
    }

    fn fill_boot_partition(
        &mut self,
        partition: &Path,
        place: &SlotPlace<'_>,
        source: &mut (dyn Read + Send),
    ) -> Result<SlotWritten, SlotHandlerError> {
        self.hook(HookStep::PreInstall, place)?;
        let storage = self.open(partition, Access::ReadWrite)?;
        let (room, limit) = (storage.len(), self.job.slot.size_limit);
        if room < self.job.image.size {
            return Err(SlotHandlerError::TooSmall { room, size: self.job.image.size });
        }
        // Behind the limit lies what is somebody else's: an environment, for example.
        let end = match limit.get() {
            0 => room,
            _ => ByteLen::new(limit.get().min(room.get())),
        };
        let window = self.window(storage, 0, end.get())?;
        let written = self.copy_alone(window, source, 0)?;
        let count = written.count;
        drop(written);
        if self.hooks.wants(HookStep::PostInstall) {
            self.hook(HookStep::PostInstall, place)?;
            let mut storage = self.open(partition, Access::ReadWrite)?;
            storage.flush().map_err(|source| self.device_failed(source))?;
        }
        Ok(SlotWritten { count, proof: SlotProof::ReadBack })
    }
}

/// `/dev/mmcblk0` and its `/dev/mmcblk0boot1`.
fn boot_device(disk: &Path, half: BootHalf) -> PathBuf {
    let mut name = disk.as_os_str().to_owned();
    name.push(format!("boot{}", half.number()));
    name.into()
}
