// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bundles that no RAUC would make, signed by whom the device trusts: put together by `mksquashfs`
//! and `openssl`.

use super::{Refusal, Rig, Told, Whose, image};
use crate::device::COMPATIBLE;
use anyhow::{Context as _, Result};
use e2e::program::Program;
use std::fs;
use std::path::PathBuf;

/// A bundle with one thing wrong about it.
struct Lie {
    what: &'static str,
    /// The whole manifest, with `@SHA@` and `@SIZE@` for what is true; none at all.
    manifest: Option<&'static str>,
    /// What the image is called in the bundle.
    image: &'static str,
    says: &'static str,
    /// Who does not refuse it.
    takes: Takes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nobody,
    /// RAUC does not compare the digest while it writes a slot, and its service ends when the length
    /// is another.
    TheRealOne,
}

/// Nothing wrong: that is taken, so the others are not refused for how they were made.
const TRUTH: Lie = Lie {
    what: "all as it should be",
    manifest: Some(
        "[update]\ncompatible=@COMPATIBLE@\n\
         [image.rootfs]\nfilename=rootfs.img\nsize=@SIZE@\nsha256=@SHA@\n",
    ),
    image: "rootfs.img",
    says: "",
    takes: Takes::TheRealOne,
};

const LIES: [Lie; 7] = [
    Lie {
        what: "no manifest",
        manifest: None,
        image: "rootfs.img",
        says: "manifest",
        takes: Takes::Nobody,
    },
    Lie {
        what: "a manifest that is none",
        manifest: Some("[update\ncompatible=@COMPATIBLE@\n"),
        image: "rootfs.img",
        says: "manifest",
        takes: Takes::Nobody,
    },
    Lie {
        what: "a manifest with a key that nobody knows",
        manifest: Some(
            "[update]\ncompatible=@COMPATIBLE@\nsurprise=1\n\
             [image.rootfs]\nfilename=rootfs.img\nsize=@SIZE@\nsha256=@SHA@\n",
        ),
        image: "rootfs.img",
        says: "surprise",
        takes: Takes::Nobody,
    },
    Lie {
        what: "an image that is not there",
        manifest: Some(
            "[update]\ncompatible=@COMPATIBLE@\n\
             [image.rootfs]\nfilename=rootfs.img\nsize=@SIZE@\nsha256=@SHA@\n",
        ),
        image: "other.img",
        says: "rootfs.img",
        takes: Takes::Nobody,
    },
    Lie {
        what: "an image that leads out of the bundle",
        manifest: Some(
            "[update]\ncompatible=@COMPATIBLE@\n\
             [image.rootfs]\nfilename=../../rootfs-0\nsize=@SIZE@\nsha256=@SHA@\n",
        ),
        image: "rootfs.img",
        says: "plain file name",
        takes: Takes::Nobody,
    },
    Lie {
        what: "an image with another digest",
        manifest: Some(
            "[update]\ncompatible=@COMPATIBLE@\n[image.rootfs]\nfilename=rootfs.img\nsize=@SIZE@\n\
             sha256=0000000000000000000000000000000000000000000000000000000000000000\n",
        ),
        image: "rootfs.img",
        says: "0000000000",
        takes: Takes::TheRealOne,
    },
    Lie {
        what: "an image with another length",
        manifest: Some(
            "[update]\ncompatible=@COMPATIBLE@\n\
             [image.rootfs]\nfilename=rootfs.img\nsize=4097\nsha256=@SHA@\n",
        ),
        image: "rootfs.img",
        says: "4097",
        takes: Takes::TheRealOne,
    },
];

impl Rig<'_> {
    pub(super) fn crafted(&self, out: &mut Told<'_>) -> Result<()> {
        let bundle = self.craft(&TRUTH)?.display().to_string();
        let device = self.device(&self.setup())?;
        device.serve(self.rauc)?.client(self.rauc, &["install", &bundle]).context(TRUTH.what)?;
        for lie in LIES {
            if lie.takes == Takes::TheRealOne && self.whose == Whose::Theirs {
                continue;
            }
            let bundle = self.craft(&lie)?;
            let refusal = Refusal {
                what: lie.what,
                bundle: &bundle.display().to_string(),
                setup: self.setup(),
                says: lie.says,
                arguments: &[],
                variables: &[],
            };
            self.refuse(&refusal, out)?;
        }
        Ok(())
    }

    /// A `plain` bundle, as it is laid out: squashfs, signature, the signature's length.
    fn craft(&self, lie: &Lie) -> Result<PathBuf> {
        let dir = self.dir.join("crafted");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        let content = dir.join("content");
        fs::create_dir_all(&content)?;
        let bytes = image("crafted");
        let file = content.join(lie.image);
        fs::write(&file, &bytes)?;
        let sum = Program::new("sha256sum").arg(&file).output()?;
        let sum = sum.split(' ').next().context("no digest")?;
        if let Some(manifest) = lie.manifest {
            let text = manifest
                .replace("@COMPATIBLE@", COMPATIBLE)
                .replace("@SIZE@", &bytes.len().to_string())
                .replace("@SHA@", sum);
            fs::write(content.join("manifest.raucm"), text)?;
        }
        let (payload, signature) = (dir.join("payload"), dir.join("signature"));
        Program::new("mksquashfs")
            .args([&content, &payload])
            .args(["-quiet", "-no-progress"])
            .run()?;
        Program::new("openssl")
            .args(["cms", "-sign", "-binary", "-nosmimecap", "-outform", "DER", "-md", "sha256"])
            .arg("-signer")
            .arg(self.keys.cert("own"))
            .arg("-inkey")
            .arg(self.keys.key("own"))
            .arg("-in")
            .arg(&payload)
            .arg("-out")
            .arg(&signature)
            .run()?;
        let signature = fs::read(signature)?;
        let length = u64::try_from(signature.len())?;
        let bundle = self.dir.join("crafted.raucb");
        let parts = [fs::read(payload)?, signature, length.to_be_bytes().to_vec()];
        fs::write(&bundle, parts.concat())?;
        Ok(bundle)
    }
}
