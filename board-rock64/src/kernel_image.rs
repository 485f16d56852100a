// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this file a kernel that U-Boot's `booti` starts, and is there room for it in memory?
//!
//! Sources: Linux, `Documentation/arch/arm64/booting.rst` (the header); U-Boot 2025.01,
//! `arch/arm/lib/image.c` (where it moves the kernel to).

use crate::board::Board;
use crate::image_error::ImageError;
use bundle::Source;
use storage::ByteLen;

/// Bytes of the header.
const HEADER_BYTES: usize = 64;

/// Where the header says how much memory the kernel takes, little-endian, and what it is.
const IMAGE_SIZE_AT: usize = 16;
const MAGIC_AT: usize = 56;
const MAGIC: &[u8] = b"ARM\x64";

/// How a compressed kernel begins, and what it was compressed with.
const COMPRESSED: [(&[u8], &str); 4] = [
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ", "xz"),
    (b"MZ\0\0zimg", "EFI's zboot"),
];

/// A kernel starts at a multiple of this: U-Boot moves it up to one.
const ALIGN_BYTES: u64 = 2 << 20;

impl Board {
    /// Looks at the header of a kernel, and whether it fits below what is loaded above it.
    ///
    /// # Errors
    /// [`ImageError::NoKernel`] and [`ImageError::KernelTooLarge`]; what the source says.
    pub fn check_kernel(&self, kernel: &dyn Source) -> Result<(), ImageError> {
        let name = || kernel.name().to_owned();
        let mut header = [0; HEADER_BYTES];
        let no_kernel = |what: String| ImageError::NoKernel { name: name(), what };
        if kernel.len().get() < 64 {
            return Err(no_kernel(format!("it has {} bytes", kernel.len().get())));
        }
        kernel.read_at(0, &mut header).map_err(|source| ImageError::Kernel { source })?;
        let compressed = COMPRESSED.iter().find(|(begin, _)| header.starts_with(begin));
        if let Some((_, by)) = compressed {
            return Err(no_kernel(format!("it is compressed with {by}")));
        }
        if header.get(MAGIC_AT..MAGIC_AT + MAGIC.len()) != Some(MAGIC) {
            return Err(no_kernel(format!("ARM\\x64 is not at byte {MAGIC_AT}")));
        }
        let told = header.get(IMAGE_SIZE_AT..).and_then(|rest| rest.first_chunk::<8>());
        let told = told.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        // Zero in kernels before 3.17; and the file itself takes room in any case.
        let needs = ByteLen::new(told.max(kernel.len().get()));
        let room = self.kernel_room();
        if needs > room {
            return Err(ImageError::KernelTooLarge { name: name(), needs, room });
        }
        Ok(())
    }

    /// From where U-Boot puts the kernel to whatever is loaded next above it.
    fn kernel_room(&self) -> ByteLen {
        let at = &self.addresses;
        let from = at.kernel.next_multiple_of(ALIGN_BYTES);
        let above = [at.ramdisk, at.fdt, at.script].into_iter().filter(|other| *other >= at.kernel);
        ByteLen::new(above.min().unwrap_or(u64::MAX).saturating_sub(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ROCK64, ROCK64_QEMU};
    use bundle::MemorySource;

    fn kernel(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), ImageError> {
        let mut bytes = vec![0; 4096];
        bytes[MAGIC_AT..MAGIC_AT + 4].copy_from_slice(MAGIC);
        change(&mut bytes);
        ROCK64.check_kernel(&MemorySource::new("Image", bytes))
    }

    fn takes(size: u64) -> impl FnOnce(&mut Vec<u8>) {
        move |bytes| bytes[IMAGE_SIZE_AT..IMAGE_SIZE_AT + 8].copy_from_slice(&size.to_le_bytes())
    }

    #[test]
    fn a_kernel_is_told_by_its_header() {
        kernel(|_| {}).unwrap();
        for (change, says) in [
            (b"\x1f\x8b\x08".as_slice(), "compressed with gzip"),
            (b"MZ\0\0zimg", "EFI's zboot"),
            (b"\x28\xb5\x2f\xfd", "zstd"),
        ] {
            let refused =
                kernel(|bytes| bytes[..change.len()].copy_from_slice(change)).unwrap_err();
            assert!(refused.to_string().contains(says), "{refused}");
            assert!(refused.hint().is_some());
        }
        let refused = kernel(|bytes| bytes[MAGIC_AT] = 0).unwrap_err().to_string();
        assert_eq!(refused, "Image is no arm64 kernel: ARM\\x64 is not at byte 56");
        let refused = kernel(|bytes| bytes.truncate(63)).unwrap_err().to_string();
        assert_eq!(refused, "Image is no arm64 kernel: it has 63 bytes");
    }

    /// U-Boot moves the kernel from 0x2080000 to 0x2200000; the initrd is loaded to 0x8000000.
    #[test]
    fn a_kernel_ends_where_the_initrd_begins() {
        assert_eq!(ROCK64.kernel_room().get(), 0x0800_0000 - 0x0220_0000);
        assert_eq!(ROCK64_QEMU.kernel_room().get(), 0x4800_0000 - 0x4040_0000);
        kernel(takes(0x05e0_0000)).unwrap();
        let refused = kernel(takes(0x05e0_0001)).unwrap_err().to_string();
        assert!(refused.contains("98566145") && refused.contains("98566144"), "{refused}");
        assert!(kernel(takes(u64::MAX)).is_err());
    }
}
