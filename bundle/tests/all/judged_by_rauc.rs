// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other people's tools as judges: bundles that Debian's `rauc` makes are verified and read by
//! us, signatures that we make are accepted by `rauc info` and by `openssl cms -verify`.

use bundle::{
    BundleFormat, CheckTime, DevelopmentPki, DevelopmentPkiOptions, FileSource, Keyring,
    KeyringOptions, Limits, Manifest, ManifestUse, SigningIdentity, UnixTime, UntrustedBundle,
    VerifiedBundle, sign_attached, sign_detached,
};
use std::io::Read;
use std::process::Command;
use std::sync::Arc;
use storage::Digest;

/// The judges read the clock, so the certificates must be valid when the tests run.
fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixTime(i64::try_from(since.as_secs()).unwrap())
}

struct Workshop {
    dir: tempfile::TempDir,
    pki: DevelopmentPki,
    image: Vec<u8>,
}

impl Workshop {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = DevelopmentPki::generate("judge", &DevelopmentPkiOptions::new(now())).unwrap();
        let write =
            |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        write("ca.pem", &pki.ca_cert_pem);
        write("signer.pem", &pki.signer_cert_pem);
        write("signer.key", &pki.signer_key_pem);
        // Does not compress well, so that the payload has several hundred blocks.
        let mut word = 1_u32;
        let image = (0..3_000_000)
            .map(|_| {
                word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                word.to_be_bytes()[0]
            })
            .collect();
        Self { dir, pki, image }
    }

    /// A bundle made by rauc.
    fn bundle(&self, format: &str) -> String {
        let content = self.dir.path().join(format);
        std::fs::create_dir(&content).unwrap();
        std::fs::write(content.join("rootfs.img"), &self.image).unwrap();
        let manifest = format!(
            "[update]\ncompatible=board\nversion=1.0\n\n[bundle]\nformat={format}\n\n\
             [image.rootfs]\nfilename=rootfs.img\n"
        );
        std::fs::write(content.join("manifest.raucm"), manifest).unwrap();
        let name = format!("{format}.raucb");
        let keys = ["--cert", "signer.pem", "--key", "signer.key"];
        self.run("rauc", &[["bundle"].as_slice(), &keys, &[format, &name]].concat());
        name
    }

    fn run(&self, program: &str, args: &[&str]) -> String {
        let out = Command::new(program).args(args).current_dir(self.dir.path()).output().unwrap();
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{program} {args:?}: {stderr}");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn verify(&self, name: &str) -> VerifiedBundle {
        let source = FileSource::open(&self.dir.path().join(name)).unwrap();
        let keyring = Keyring::from_pem(&self.pki.ca_cert_pem, KeyringOptions::default()).unwrap();
        UntrustedBundle::open(Arc::new(source), &Limits::default())
            .unwrap()
            .verify(&keyring, CheckTime::At(now()))
            .unwrap()
    }

    fn cut(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        let bytes = std::fs::read(self.dir.path().join(name)).unwrap();
        let (rest, trailer) = bytes.split_last_chunk::<8>().unwrap();
        let at = rest.len() - usize::try_from(u64::from_be_bytes(*trailer)).unwrap();
        (rest[..at].to_vec(), rest[at..].to_vec())
    }

    fn identity(&self) -> SigningIdentity {
        let pki = &self.pki;
        let intermediate = &pki.intermediate_pem;
        SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, intermediate).unwrap()
    }

    fn resigned(&self, name: &str, payload: &[u8], cms: &[u8]) {
        let bytes = [payload, cms, &(cms.len() as u64).to_be_bytes()].concat();
        std::fs::write(self.dir.path().join(name), bytes).unwrap();
        std::fs::write(self.dir.path().join("cms.der"), cms).unwrap();
        let said = self.run("rauc", &["--keyring", "ca.pem", "info", name]);
        assert!(said.contains("Compatible:"), "{said}");
    }
}

#[test]
fn bundles_made_by_rauc_are_verified_and_read_byte_for_byte() {
    let shop = Workshop::new();
    for format in [BundleFormat::Plain, BundleFormat::Verity] {
        let verified = shop.verify(&shop.bundle(format.name()));
        assert_eq!(verified.format(), format);
        assert_eq!(verified.manifest().update.version.as_deref(), Some("1.0"));
        let image = verified.manifest().images[0].clone();
        let mut stream = verified.open_image(&image).unwrap();
        let mut content = Vec::new();
        stream.read_to_end(&mut content).unwrap();
        assert!(content == shop.image, "{format}");
    }
}

#[test]
fn manifest_made_by_rauc_is_encoded_to_the_same_bytes() {
    let shop = Workshop::new();
    let name = shop.bundle("verity");
    let cms = shop.cut(&name).1;
    std::fs::write(shop.dir.path().join("cms.der"), cms).unwrap();
    let common = ["cms", "-verify", "-binary", "-inform", "DER", "-in", "cms.der"];
    let text = shop.run("openssl", &[common.as_slice(), &["-CAfile", "ca.pem"]].concat());
    let manifest = Manifest::parse(text.as_bytes(), ManifestUse::External).unwrap();
    assert_eq!(manifest.encode(), text);
}

#[test]
fn signatures_made_here_are_accepted_by_rauc_and_openssl() {
    let shop = Workshop::new();
    let openssl = ["cms", "-verify", "-binary", "-inform", "DER", "-in", "cms.der"];
    let anchors = ["-CAfile", "ca.pem", "-out", "out"];

    let (payload, _) = shop.cut(&shop.bundle("plain"));
    let digest = Digest::from_bytes(openssl::sha::sha256(&payload));
    let cms = sign_detached(digest, &shop.identity(), now()).unwrap();
    shop.resigned("plain2.raucb", &payload, &cms);
    std::fs::write(shop.dir.path().join("payload"), &payload).unwrap();
    shop.run("openssl", &[openssl.as_slice(), &anchors, &["-content", "payload"]].concat());
    assert_eq!(shop.verify("plain2.raucb").format(), BundleFormat::Plain);

    let name = shop.bundle("verity");
    let text = shop.verify(&name).manifest().encode();
    let cms = sign_attached(text.as_bytes(), &shop.identity(), now()).unwrap();
    shop.resigned("verity2.raucb", &shop.cut(&name).0, &cms);
    shop.run("openssl", &[openssl.as_slice(), &anchors].concat());
    assert_eq!(std::fs::read(shop.dir.path().join("out")).unwrap(), text.as_bytes());
    assert_eq!(shop.verify("verity2.raucb").format(), BundleFormat::Verity);
}
