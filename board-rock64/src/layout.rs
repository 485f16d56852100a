// SPDX-License-Identifier: MIT OR Apache-2.0
//! Do the facts of a board fit together? Nothing may overlap, on the disk or in the flash.

use crate::board::{Board, PartitionFacts};
use storage::ByteLen;

/// GPT header and array at the disk's start: 34 sectors of 512 bytes.
const GPT_HEAD: ByteLen = ByteLen::new(34 * 512);

/// Facts that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Two things claim the same bytes.
    #[error("{first} reaches to {end:#x}, beyond the start of {second} at {start:#x}")]
    Overlap {
        /// The thing that lies lower.
        first: String,
        /// The byte after its last one.
        end: u64,
        /// The thing that lies higher.
        second: String,
        /// Its first byte.
        start: u64,
    },
    /// Something in the flash does not begin at an erase block's edge, so that erasing it would
    /// erase its neighbour.
    #[error("{name} at {offset:#x} does not begin at an erase block")]
    Unaligned {
        /// What.
        name: String,
        /// Where.
        offset: u64,
    },
    /// An environment copy is larger than the erase block it owns.
    #[error("an environment copy of {env} does not fit its erase block of {erase}")]
    EnvLargerThanBlock {
        /// Size of a copy.
        env: ByteLen,
        /// Size of an erase block.
        erase: ByteLen,
    },
    /// A partition that is followed by another one has no size.
    #[error("{label} has no size but is not the last partition")]
    NoSize {
        /// Its label.
        label: String,
    },
}

/// A named range of bytes.
struct Claim {
    name: String,
    start: u64,
    end: u64,
}

impl Claim {
    fn new(name: impl Into<String>, start: u64, end: u64) -> Self {
        Self { name: name.into(), start, end }
    }
}

fn check_order(claims: &[Claim]) -> Result<(), LayoutError> {
    for pair in claims.windows(2) {
        let [low, high] = pair else { continue };
        if low.end > high.start || low.start >= low.end {
            return Err(LayoutError::Overlap {
                first: low.name.clone(),
                end: low.end,
                second: high.name.clone(),
                start: high.start,
            });
        }
    }
    Ok(())
}

impl Board {
    /// Checks disk and flash; the claims are listed in the order in which they must lie.
    ///
    /// # Errors
    /// [`LayoutError`], the first found.
    pub fn check_layout(&self) -> Result<(), LayoutError> {
        check_order(&self.disk_claims()?)?;
        self.check_flash()
    }

    fn disk_claims(&self) -> Result<Vec<Claim>, LayoutError> {
        let at = |lba: storage::Lba| lba.byte_offset(self.disk.sector_bytes).unwrap_or(u64::MAX);
        let idbloader = at(self.disk.boot_loader.idbloader);
        let u_boot = at(self.disk.boot_loader.u_boot);
        let mut claims = vec![
            // The boot ROM's place for the loader leaves no room for more than 128 entries.
            Claim::new("the partition table", 0, GPT_HEAD.get()),
            Claim::new("idbloader", idbloader, u_boot),
            Claim::new("u-boot", u_boot, self.disk.gap.get()),
        ];
        let last = self.partitions.len();
        for (index, partition) in (1..).zip(&self.partitions) {
            let end = match partition.end() {
                Some(end) => end.get(),
                None if index == last => u64::MAX,
                None => return Err(LayoutError::NoSize { label: partition.label.to_owned() }),
            };
            claims.push(Claim::new(partition.label, partition.start.get(), end));
        }
        Ok(claims)
    }

    fn check_flash(&self) -> Result<(), LayoutError> {
        let flash = &self.flash;
        let erase = u64::from(flash.erase_bytes);
        let [first, second] = flash.env_offsets;
        let recorder = flash.recorder.offset;
        let end = |start: u64, len: u64| start.saturating_add(len);
        if flash.env_bytes > flash.erase_bytes {
            return Err(LayoutError::EnvLargerThanBlock {
                env: ByteLen::new(u64::from(flash.env_bytes)),
                erase: ByteLen::new(erase),
            });
        }
        let claims = [
            Claim::new("a boot loader in flash", 0, flash.boot_loader_end.get()),
            Claim::new("environment copy 1", first, end(first, erase)),
            Claim::new("environment copy 2", second, end(second, erase)),
            Claim::new("the flight recorder", recorder, end(recorder, self.recorder_len().get())),
            Claim::new("the flash's end", flash.size.get(), u64::MAX),
        ];
        for claim in &claims {
            if erase == 0 || !claim.start.is_multiple_of(erase) {
                let (name, offset) = (claim.name.clone(), claim.start);
                return Err(LayoutError::Unaligned { name, offset });
            }
        }
        check_order(&claims)
    }

    /// The most bytes that the part at the named place may have.
    pub fn room(&self, partition: &PartitionFacts) -> ByteLen {
        partition.size.unwrap_or(ByteLen::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ROCK64;

    #[test]
    fn the_rock64_fits_together() {
        assert_eq!(ROCK64.check_layout(), Ok(()));
    }

    /// The original kept its environment at 0x140000, inside a boot loader that lies in flash.
    #[test]
    fn an_environment_inside_a_flash_resident_boot_loader_is_refused() {
        let mut board = ROCK64;
        board.flash.env_offsets = [0x14_0000, 0x15_0000];
        let found = board.check_layout().unwrap_err();
        assert!(found.to_string().starts_with("a boot loader in flash reaches to 0x200000"));
    }

    #[test]
    fn every_collision_in_flash_is_found() {
        let broken: [fn(&mut Board); 6] = [
            |board| board.flash.env_offsets[1] = board.flash.env_offsets[0],
            |board| board.flash.env_offsets[1] = 0x20_8000,
            |board| board.flash.env_bytes = 0x2_0000,
            |board| board.flash.recorder.offset = 0x21_0000,
            |board| board.flash.recorder.blocks = 1000,
            |board| board.flash.erase_bytes = 0,
        ];
        for break_it in broken {
            let mut board = ROCK64;
            break_it(&mut board);
            assert!(board.check_layout().is_err());
        }
    }

    #[test]
    fn every_collision_on_disk_is_found() {
        let broken: [fn(&mut Board); 5] = [
            |board| board.disk.boot_loader.idbloader = storage::Lba(33),
            |board| board.disk.boot_loader.u_boot = storage::Lba(64),
            |board| board.disk.gap = ByteLen::mib(17),
            |board| board.partitions[1].start = ByteLen::mib(143),
            |board| board.partitions[2].size = None,
        ];
        for break_it in broken {
            let mut board = ROCK64;
            break_it(&mut board);
            assert!(board.check_layout().is_err());
        }
    }
}
