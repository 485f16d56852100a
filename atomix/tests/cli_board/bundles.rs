// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small signed bundles, true ones and those that somebody has been at.

use super::{BOOT_BYTES, NOW, ROOTFS_BYTES, image};
use bundle::{
    BundleContent, BundleFormat, CreateRequest, DevelopmentPki, DevelopmentPkiOptions,
    SigningIdentity, SquashfsCompression, UnixTime, create_bundle, sign_attached,
};
use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

/// The vendor of the board.
pub fn pki() -> &'static DevelopmentPki {
    static PKI: LazyLock<DevelopmentPki> = LazyLock::new(|| {
        DevelopmentPki::generate("vendor", &DevelopmentPkiOptions::new(NOW.0)).unwrap()
    });
    &PKI
}

/// Somebody else.
pub fn stranger() -> &'static DevelopmentPki {
    static PKI: LazyLock<DevelopmentPki> = LazyLock::new(|| {
        DevelopmentPki::generate("stranger", &DevelopmentPkiOptions::new(NOW.0)).unwrap()
    });
    &PKI
}

pub fn identity(pki: &DevelopmentPki) -> SigningIdentity {
    SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, b"").unwrap()
}

/// What a bundle is made of.
#[derive(Clone)]
pub struct Recipe {
    pub compatible: &'static str,
    pub version: &'static str,
    pub format: BundleFormat,
    pub boot_bytes: usize,
    pub rootfs_bytes: usize,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            compatible: "small-board",
            version: "2.0.0",
            format: BundleFormat::Verity,
            boot_bytes: BOOT_BYTES - 1000,
            rootfs_bytes: ROOTFS_BYTES,
        }
    }
}

impl Recipe {
    pub fn signed_by(&self, pki: &DevelopmentPki) -> Vec<u8> {
        let manifest = format!(
            "[update]\ncompatible={}\nversion={}\n[image.boot]\nfilename=boot.vfat\n\
             [image.rootfs]\nfilename=rootfs.img\n",
            self.compatible, self.version
        );
        let files = BTreeMap::from([
            ("boot.vfat".to_owned(), image(60, self.boot_bytes)),
            ("rootfs.img".to_owned(), image(70, self.rootfs_bytes)),
        ]);
        let request = CreateRequest {
            content: BundleContent::Memory { manifest: &manifest, files: &files },
            format: Some(self.format),
            compression: SquashfsCompression::Stored,
            identity: &identity(pki),
            salt: [7; 32],
            timestamp: UnixTime(NOW.0.0 - 60),
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("update.raucb");
        create_bundle(&request, &path, &mut |_| {}).unwrap();
        fs::read(path).unwrap()
    }

    pub fn make(&self) -> Vec<u8> {
        self.signed_by(pki())
    }
}

/// The bundle that installs; made once.
pub fn good() -> Vec<u8> {
    static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| Recipe::default().make());
    GOOD.clone()
}

/// Payload and CMS structure of a bundle.
pub fn cut(bundle: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (rest, trailer) = bundle.split_last_chunk::<8>().unwrap();
    let at = rest.len() - usize::try_from(u64::from_be_bytes(*trailer)).unwrap();
    (rest[..at].to_vec(), rest[at..].to_vec())
}

/// A bundle from both.
pub fn glue(payload: &[u8], cms: &[u8]) -> Vec<u8> {
    [payload, cms, &(cms.len() as u64).to_be_bytes()].concat()
}

/// The manifest inside the signature.
pub fn manifest_of(bundle: &[u8]) -> String {
    let cms = cut(bundle).1;
    let find = |needle: &[u8]| cms.windows(needle.len()).position(|at| at == needle);
    let start = find(b"[update]").unwrap();
    let len = cms[start..].iter().position(|byte| !byte.is_ascii() || *byte == 0).unwrap();
    let text = String::from_utf8(cms[start..start + len].to_vec()).unwrap();
    // The manifest ends with its last line.
    text[..=text.rfind('\n').unwrap()].to_owned()
}

/// The good bundle, signed by the vendor a second time.
pub fn signed_again() -> Vec<u8> {
    let good = good();
    let mut later = NOW.0;
    later.0 += 1;
    let cms = sign_attached(manifest_of(&good).as_bytes(), &identity(pki()), later).unwrap();
    glue(&cut(&good).0, &cms)
}

/// The good payload under a manifest that the vendor signed and should not have.
pub fn resigned(change: impl FnOnce(String) -> String) -> Vec<u8> {
    let before = manifest_of(&good());
    let after = change(before.clone());
    assert_ne!(before, after, "the change found nothing to change");
    let cms = sign_attached(after.as_bytes(), &identity(pki()), NOW.0).unwrap();
    glue(&cut(&good()).0, &cms)
}

/// Bytes of file system and of hash tree in the good bundle's payload.
pub fn verity_layout() -> (usize, usize) {
    let text = manifest_of(&good());
    let size = text.lines().find_map(|line| line.strip_prefix("verity-size=")).unwrap();
    let tree: usize = size.parse().unwrap();
    (cut(&good()).0.len() - tree, tree)
}
