// SPDX-License-Identifier: MIT OR Apache-2.0
//! A place with a signer, recipients and the programs that judge.

use bundle::{
    BundleContent, BundleFormat, CheckTime, CreateExtras, CreateRequest, Credential,
    CredentialAccess, CryptKey, DecryptionIdentity, DevelopmentPki, DevelopmentPkiOptions,
    FileSource, Keyring, KeyringOptions, Limits, Recipients, SigningIdentity, SquashfsCompression,
    UnixTime, UntrustedBundle, VerifiedBundle, create_bundle_with,
};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::SubjectKeyIdentifier;
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

/// Judges read the clock.
pub fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixTime(i64::try_from(since.as_secs()).unwrap())
}

pub const MANIFEST: &str = "[update]\ncompatible=board\nversion=1.0\n\n[bundle]\nformat=crypt\n\n\
                            [image.rootfs]\nfilename=rootfs.img\n";

pub struct Workshop {
    pub dir: tempfile::TempDir,
    pub pki: DevelopmentPki,
    pub image: Vec<u8>,
}

impl Workshop {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = DevelopmentPki::generate("maker", &DevelopmentPkiOptions::new(now())).unwrap();
        let mut word = 1_u32;
        let image = (0..700_001)
            .map(|_| {
                word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                word.to_be_bytes()[0]
            })
            .collect();
        let shop = Self { dir, pki, image };
        shop.write("ca.pem", &shop.pki.ca_cert_pem);
        shop.write("signer.pem", &shop.pki.signer_cert_pem);
        shop.write("signer.key", &shop.pki.signer_key_pem);
        shop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn try_run(&self, program: &str, args: &[&str]) -> Output {
        Command::new(program).args(args).current_dir(self.dir.path()).output().unwrap()
    }

    pub fn run(&self, program: &str, args: &[&str]) -> String {
        let out = self.try_run(program, args);
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{program} {args:?}: {stderr}");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn identity(&self) -> SigningIdentity {
        SigningIdentity::from_pem(&self.pki.signer_cert_pem, &self.pki.signer_key_pem, &[]).unwrap()
    }

    pub fn keyring(&self) -> Keyring {
        Keyring::from_pem(&self.pki.ca_cert_pem, KeyringOptions::default()).unwrap()
    }

    pub fn open(&self, name: &str) -> UntrustedBundle {
        let source = FileSource::open(&self.path(name)).unwrap();
        UntrustedBundle::open(Arc::new(source), &Limits::default()).unwrap()
    }

    pub fn verify(&self, bundle: UntrustedBundle) -> VerifiedBundle {
        bundle.verify(&self.keyring(), CheckTime::At(now())).unwrap()
    }

    /// Made here.
    pub fn create(&self, format: BundleFormat, name: &str) {
        let files = BTreeMap::from([("rootfs.img".to_owned(), self.image.clone())]);
        let identity = self.identity();
        let request = CreateRequest {
            content: BundleContent::Memory { manifest: MANIFEST, files: &files },
            format: Some(format),
            compression: SquashfsCompression::Gzip,
            identity: &identity,
            salt: [3; 32],
            timestamp: now(),
        };
        let key = CryptKey([9; 32]);
        let extras = CreateExtras { crypt_key: Some(&key), ..CreateExtras::default() };
        create_bundle_with(&request, &extras, &self.path(name), &mut |_| ()).unwrap();
    }

    /// Made by rauc.
    pub fn rauc_bundle(&self, format: &str, name: &str) {
        let content = format!("{name}.content");
        std::fs::create_dir(self.path(&content)).unwrap();
        self.write(&format!("{content}/rootfs.img"), &self.image);
        let manifest = MANIFEST.replace("crypt", format);
        self.write(&format!("{content}/manifest.raucm"), manifest.as_bytes());
        let keys = ["--cert", "signer.pem", "--key", "signer.key"];
        self.run("rauc", &[["bundle"].as_slice(), &keys, &[&content, name]].concat());
    }

    /// The image, every byte of it compared with the signature.
    pub fn holds_the_image(&self, bundle: &VerifiedBundle) {
        let image = bundle.manifest().images[0].clone();
        let mut content = Vec::new();
        bundle.open_image(&image).unwrap().read_to_end(&mut content).unwrap();
        assert!(content == self.image);
    }

    /// `NAME.key` and `NAME.pem` of a recipient.
    pub fn recipient(&self, name: &str, key: &PKey<Private>) {
        self.write(&format!("{name}.key"), &key.private_key_to_pem_pkcs8().unwrap());
        self.write(&format!("{name}.pem"), &certificate(name, key).to_pem().unwrap());
    }

    pub fn recipients(&self, names: &[&str]) -> Recipients {
        let paths: Vec<PathBuf> = names.iter().map(|name| self.path(name)).collect();
        Recipients::load(paths.iter().map(PathBuf::as_path)).unwrap()
    }

    pub fn key(&self, name: &str, certificate: Option<&str>) -> DecryptionIdentity {
        let file = |name: &str| Credential::File(self.path(name));
        let certificate = certificate.map(file);
        let access = CredentialAccess::default();
        DecryptionIdentity::load(&file(name), certificate.as_ref(), &access).unwrap()
    }
}

pub fn rsa() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

pub fn ec(curve: Nid) -> PKey<Private> {
    let curve = EcGroup::from_curve_name(curve).unwrap();
    PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
}

/// Self-signed, with a key identifier.
pub fn certificate(name: &str, key: &PKey<Private>) -> X509 {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(&subject).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(99).unwrap()).unwrap();
    let id = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(id).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

/// Payload and signature of a bundle.
pub fn cut(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    let (rest, trailer) = bytes.split_last_chunk::<8>().unwrap();
    let at = rest.len() - usize::try_from(u64::from_be_bytes(*trailer)).unwrap();
    (rest[..at].to_vec(), rest[at..].to_vec())
}

pub fn glue(payload: &[u8], cms: &[u8]) -> Vec<u8> {
    [payload, cms, &(cms.len() as u64).to_be_bytes()].concat()
}
