// SPDX-License-Identifier: MIT OR Apache-2.0
//! How do bytes in memory reach a library that reads paths only?
//!
//! As a file that nobody else can name and that is gone when the value is dropped: on Linux memory
//! without a name (a device may have no writable directory), elsewhere a temporary file. Holds
//! nothing secret and nothing that must survive.

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::PassingFile;
#[cfg(target_os = "linux")]
pub(crate) use linux::PassingFile;

#[cfg(target_os = "linux")]
mod linux {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::fs::File;
    use std::io::{self, Write};
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;

    /// Bytes under a path, for as long as this lives.
    pub(crate) struct PassingFile(File);

    impl PassingFile {
        /// A file with these bytes.
        pub(crate) fn holding(bytes: &[u8]) -> io::Result<Self> {
            let mut file = File::from(memfd_create(c"passing-file", MFdFlags::MFD_CLOEXEC)?);
            file.write_all(bytes)?;
            Ok(Self(file))
        }

        /// Where it can be opened.
        pub(crate) fn path(&self) -> PathBuf {
            PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
        }
    }
}

#[cfg(any(test, not(target_os = "linux")))]
mod elsewhere {
    use std::io::{self, Write};
    use std::path::PathBuf;
    use tempfile::NamedTempFile;

    /// Bytes under a path, for as long as this lives.
    pub(crate) struct PassingFile(NamedTempFile);

    impl PassingFile {
        /// A file with these bytes.
        pub(crate) fn holding(bytes: &[u8]) -> io::Result<Self> {
            let mut file = NamedTempFile::new()?;
            file.write_all(bytes)?;
            Ok(Self(file))
        }

        /// Where it can be opened.
        pub(crate) fn path(&self) -> PathBuf {
            self.0.path().to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_under_the_path_and_the_path_is_gone_afterwards() {
        let file = elsewhere::PassingFile::holding(b"list").unwrap();
        let path = file.path();
        #[expect(clippy::disallowed_methods, reason = "reads as the library does")]
        let read = std::fs::read(&path).unwrap();
        assert_eq!(read, b"list");
        drop(file);
        assert!(!path.exists());
        #[cfg(target_os = "linux")]
        {
            let file = PassingFile::holding(b"list").unwrap();
            #[expect(clippy::disallowed_methods, reason = "reads as the library does")]
            let read = std::fs::read(file.path()).unwrap();
            assert_eq!(read, b"list");
        }
    }
}
