// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is installed in the story? Releases made up on the spot: a boot partition with the
//! board's real slot script and placeholder files, and a squashfs whose `/etc` says how the
//! system behaves. The bytes that stand for programs come from the seed.

use crate::failure::Failure;
use board_rock64::{
    Board, BootFiles, BootTree, ImageRequest, InitPath, Role, build_boot_vfat, build_image,
};
use bootctl::SlotId;
use bundle::{
    BundleContent, BundleFormat, CreateRequest, CreatedBundle, DevelopmentPki, FileSource,
    MemorySource, SigningIdentity, Source, SquashfsCompression, SquashfsTree, UnixTime,
    create_bundle, write_squashfs,
};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::{ByteLen, FileStorage, Files, HostFiles};

/// What stands for the programs of a root file system.
pub const PROGRAMS: ByteLen = ByteLen::mib(8);

/// What stands for a kernel.
const KERNEL: ByteLen = ByteLen::mib(4);

/// What stands for an initrd.
const INITRD: ByteLen = ByteLen::mib(2);

/// How a release behaves once it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Everything comes up and stays up.
    Healthy,
    /// A service dies while it is watched, every time.
    FailsAtSecond(u64),
}

/// A release: what an image or a bundle is made from.
pub struct Release {
    /// Its version.
    pub version: String,
    boot: BootTree,
    rootfs: PathBuf,
}

/// The maker of releases.
pub struct Workshop {
    /// The board that they are for.
    pub board: &'static Board,
    /// Directory for what is in the making.
    pub dir: PathBuf,
    /// Where random-looking bytes begin.
    pub seed: u64,
    /// The time that everything carries.
    pub time: UnixTime,
}

/// Endless bytes from a seed (splitmix64); they do not compress, as real programs hardly do.
struct Bytes {
    state: u64,
}

impl Read for Bytes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        for chunk in buf.chunks_mut(8) {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            for (to, from) in chunk.iter_mut().zip(word.to_le_bytes()) {
                *to = from;
            }
        }
        Ok(buf.len())
    }
}

impl Workshop {
    fn bytes(&self, purpose: &str, len: ByteLen) -> io::Take<Bytes> {
        let mixed = purpose
            .bytes()
            .fold(self.seed, |state, byte| state.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte));
        Bytes { state: mixed }.take(len.get())
    }

    fn source(&self, name: &str, version: &str, len: ByteLen) -> Result<Arc<dyn Source>, Failure> {
        let mut content = Vec::new();
        self.bytes(&format!("{name} {version}"), len).read_to_end(&mut content)?;
        Ok(Arc::new(MemorySource::new(name, content)))
    }

    fn epoch(&self) -> u32 {
        u32::try_from(self.time.0).unwrap_or(0)
    }

    /// Makes a release.
    ///
    /// # Errors
    /// [`Failure`] when a file cannot be made.
    pub fn release(&self, version: &str, behaviour: Behaviour) -> Result<Release, Failure> {
        let files = BootFiles {
            kernel: self.source("Image", version, KERNEL)?,
            initrd: self.source("initrd", version, INITRD)?,
            device_tree: self.source("dtb", version, ByteLen::kib(48))?,
            init: InitPath::default(),
        };
        let boot = BootTree::for_slot(self.board, &files, self.epoch())
            .map_err(|source| Failure::Image { image: self.dir.clone(), source })?;
        let rootfs = self.dir.join(format!("rootfs-{version}.img"));
        self.write_rootfs(&rootfs, version, behaviour)?;
        Ok(Release { version: version.to_owned(), boot, rootfs })
    }

    fn write_rootfs(
        &self,
        path: &Path,
        version: &str,
        behaviour: Behaviour,
    ) -> Result<(), Failure> {
        let failed = |source| Failure::Io { act: "make", path: path.to_owned(), source };
        let os_release = format!("ID=atomixos\nVERSION_ID={version}\nVARIANT=demo\n");
        let declared = match behaviour {
            Behaviour::Healthy => {
                "[[unit]]\nname = \"dnsmasq.service\"\nactive-from-secs = 4\n".to_owned()
            }
            Behaviour::FailsAtSecond(second) => {
                format!("[[unit]]\nname = \"dnsmasq.service\"\nfails-at-secs = {second}\n")
            }
        };
        let mut tree = SquashfsTree::new();
        let built = tree
            .add_directory("etc", 0o755)
            .and_then(|()| tree.add_directory("etc/atomix", 0o755))
            .and_then(|()| {
                tree.add_file("etc/atomix/virtual-system.toml", 0o644, declared.as_bytes())
            })
            .and_then(|()| tree.add_file("etc/os-release", 0o644, os_release.as_bytes()))
            .and_then(|()| tree.add_symlink("init", "programs"))
            .and_then(|()| {
                tree.add_file(
                    "programs",
                    0o755,
                    self.bytes(&format!("programs {version}"), PROGRAMS),
                )
            });
        built.map_err(|error| failed(io::Error::other(error)))?;
        let file = OpenOptions::new()
            .write(true)
            .read(true)
            .create_new(true)
            .open(path)
            .map_err(failed)?;
        write_squashfs(tree, SquashfsCompression::Zstd, self.epoch(), &file)
            .map_err(|error| failed(io::Error::other(error)))?;
        Ok(())
    }

    /// Assembles the flashable image of a release; slot A only.
    ///
    /// # Errors
    /// [`Failure::Image`].
    pub fn image(&self, release: &Release, path: &Path) -> Result<ByteLen, Failure> {
        let failed = |source| Failure::Image { image: path.to_owned(), source };
        let rootfs = FileSource::open(&release.rootfs).map_err(|source| Failure::Io {
            act: "open",
            path: release.rootfs.clone(),
            source: io::Error::other(source),
        })?;
        let request = ImageRequest {
            board: self.board,
            idbloader: Some(self.source("idbloader", "demo", ByteLen::kib(192))?),
            u_boot: Some(self.source("u-boot", "demo", ByteLen::kib(896))?),
            boot: release.boot.clone(),
            rootfs: Arc::new(rootfs),
            version: &release.version,
            source_date_epoch: self.time.0,
        };
        let mut out = FileStorage::create_sparse(path, self.board.image_len())?;
        Ok(build_image(&request, &mut out, &mut |_| {}).map_err(failed)?.len)
    }

    /// Makes the signed bundle of a release.
    ///
    /// # Errors
    /// [`Failure::Create`] or [`Failure::Image`].
    pub fn bundle(
        &self,
        release: &Release,
        compatible: &str,
        pki: &DevelopmentPki,
        output: &Path,
    ) -> Result<CreatedBundle, Failure> {
        let dir = self.dir.join(format!("content-{}", release.version));
        let made = |source| Failure::Io { act: "make", path: dir.clone(), source };
        std::fs::create_dir(&dir).map_err(made)?;
        let boot_size = self.board.partition(Role::Boot(SlotId::A)).and_then(|boot| boot.size);
        let boot_path = dir.join("boot.vfat");
        let mut boot =
            FileStorage::create_sparse(&boot_path, boot_size.unwrap_or(ByteLen::mib(128)))?;
        let (tree, time) = (&release.boot, self.time.0);
        build_boot_vfat(self.board, tree, &release.version, time, &mut boot)
            .map_err(|source| Failure::Image { image: boot_path, source })?;
        std::fs::hard_link(&release.rootfs, dir.join("rootfs.img")).map_err(made)?;
        let manifest = manifest(compatible, &release.version);
        HostFiles::new(&dir).replace(Path::new("/manifest.raucm"), manifest.as_bytes())?;
        self.sign(BundleContent::Directory(&dir), pki, output)
    }

    /// Makes a small signed bundle that is meant to be refused before its images matter.
    ///
    /// # Errors
    /// [`Failure::Create`].
    pub fn small_bundle(
        &self,
        compatible: &str,
        version: &str,
        pki: &DevelopmentPki,
        output: &Path,
    ) -> Result<CreatedBundle, Failure> {
        let mut files = BTreeMap::new();
        for name in ["boot.vfat", "rootfs.img"] {
            let mut content = Vec::new();
            self.bytes(&format!("small {name}"), ByteLen::kib(64)).read_to_end(&mut content)?;
            files.insert(name.to_owned(), content);
        }
        let manifest = manifest(compatible, version);
        self.sign(BundleContent::Memory { manifest: &manifest, files: &files }, pki, output)
    }

    fn sign(
        &self,
        content: BundleContent<'_>,
        pki: &DevelopmentPki,
        output: &Path,
    ) -> Result<CreatedBundle, Failure> {
        let identity = SigningIdentity::from_pem(
            &pki.signer_cert_pem,
            &pki.signer_key_pem,
            &pki.intermediate_pem,
        )
        .map_err(|source| Failure::Signer { cert: PathBuf::from("demo signer"), source })?;
        let name =
            output.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let mut salt = [0; 32];
        self.bytes(&name, ByteLen::new(32)).read_exact(&mut salt)?;
        let request = CreateRequest {
            content,
            format: Some(BundleFormat::Verity),
            compression: SquashfsCompression::Zstd,
            identity: &identity,
            salt,
            timestamp: self.time,
        };
        create_bundle(&request, output, &mut |_| {})
            .map_err(|source| Failure::Create { bundle: output.to_owned(), source })
    }

    /// Sixteen bytes to derive identities from.
    ///
    /// # Errors
    /// None that can happen; reading is fallible by type.
    pub fn identity_seed(&self) -> Result<[u8; 16], Failure> {
        let mut seed = [0; 16];
        self.bytes("identities", ByteLen::new(16)).read_exact(&mut seed)?;
        Ok(seed)
    }
}

fn manifest(compatible: &str, version: &str) -> String {
    format!(
        "[update]\ncompatible={compatible}\nversion={version}\n\
         description=made by atomix demo, not a product\n\n\
         [bundle]\nformat=verity\n\n[image.boot]\nfilename=boot.vfat\n\n\
         [image.rootfs]\nfilename=rootfs.img\n"
    )
}
