// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration that an image brings: judged when the image is built, since a device that
//! refuses it tells so on a serial line that nobody watches.

use crate::commands::config;
use crate::failure::Failure;
use crate::output::Output;
use board_rock64::BootTree;
use bundle::MemorySource;
use config_api::input::Discard;
use config_api::protocol::MAX_UPLOAD_BYTES;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use storage::ByteLen;

/// How a file of gzip begins (RFC 1952, 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// How a frame of zstd begins (RFC 8878, 3.1.1), little-endian.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A valid configuration, under the name by which a device finds it.
#[derive(Clone, Debug)]
pub struct Seed {
    name: &'static str,
    content: Vec<u8>,
}

impl Seed {
    /// Reads and judges `file`, a `config.toml` or a bundle of one; its warnings are told.
    ///
    /// # Errors
    /// [`Failure::Usage`] where a device would not take it, [`Failure::Io`] where it is not read.
    pub fn read(file: &Path, out: &mut Output) -> Result<Self, Failure> {
        let failed = |source| Failure::Io { act: "read", path: file.to_owned(), source };
        let mut content = Vec::new();
        let opened = File::open(file).map_err(failed)?;
        opened.take(MAX_UPLOAD_BYTES + 1).read_to_end(&mut content).map_err(failed)?;
        if content.len() as u64 > MAX_UPLOAD_BYTES {
            let most = ByteLen::new(MAX_UPLOAD_BYTES);
            return Err(Failure::Usage {
                what: format!("{} is larger than {most}; no image was built", file.display()),
                hint: "give a config.toml, or a bundle of one",
            });
        }
        let read = config::judge(file, content.as_slice(), &mut Discard::default())?;
        let (_, checked) = config::demand_valid(file, read, "no image was built", out)?;
        out.warn_in_columns(&checked.warnings)?;
        // Its own name says nothing to a device.
        let name = if content.starts_with(&GZIP_MAGIC) {
            "config.tar.gz"
        } else if content.starts_with(&ZSTD_MAGIC) {
            "config.tar.zst"
        } else {
            "config.toml"
        };
        Ok(Self { name, content })
    }

    /// Puts it where the device looks first: the topmost directory of its boot partition.
    pub(crate) fn put_into(&self, tree: &mut BootTree) -> Result<(), board_rock64::ImageError> {
        tree.add(self.name, Arc::new(MemorySource::new(self.name, self.content.clone())))
    }
}
