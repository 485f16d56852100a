// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bundles: trailer, signature, manifest, key files, keyrings, hash trees.

use crate::fixtures::{KEYRING, NOW, PLAIN, VERITY, check_no_forgery, open};
use bundle::keyfile::{KeyFile, KeyFileWriter};
use bundle::pkcs11::{ObjectType, Pkcs11Uri};
use bundle::{
    CheckTime, Credential, CredentialAccess, DecryptionIdentity, DevelopmentPki,
    DevelopmentPkiOptions, Keyring, KeyringOptions, Manifest, ManifestUse, SigningIdentity,
    build_tree, sign_attached,
};
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;
use storage::Digest;

/// A whole bundle, as a stranger may offer it.
pub fn bundle(data: &[u8]) {
    let Some(untrusted) = open(data) else { return };
    let _ = untrusted.inspect_unverified();
    for time in [CheckTime::At(NOW), CheckTime::SigningTime] {
        let verified = open(data).and_then(|untrusted| untrusted.verify(&KEYRING, time).ok());
        if let Some(verified) = verified {
            check_no_forgery(&verified);
        }
    }
}

/// A true bundle with bytes changed: what still verifies hands out true bytes or fails. The input
/// is the choice of the bundle and then edits: u16 (little endian) place, u8 that is XORed in.
pub fn bundle_edits(data: &[u8]) {
    let Some((choice, edits)) = data.split_first() else { return };
    let mut bytes = if choice & 1 == 0 { VERITY } else { PLAIN }.to_vec();
    for edit in edits.chunks_exact(3).take(64) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % bytes.len();
        bytes[at] ^= edit[2];
    }
    bundle(&bytes);
}

/// The CMS structure behind a payload of zeros: nothing but the keyring decides, and nobody has
/// a key.
pub fn signature(data: &[u8]) {
    let mut bytes = vec![0; 8192];
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(&(data.len() as u64).to_be_bytes());
    bundle(&bytes);
}

/// The key and certificate for which the seeds of `envelope` were encrypted.
static RECIPIENT: LazyLock<[DecryptionIdentity; 3]> = LazyLock::new(|| {
    let file = |name: &str| Credential::File(Path::new(ENVELOPE_KEYS).join(name));
    let load = |key: &str, certificate: Option<&str>| {
        let certificate = certificate.map(&file);
        let access = CredentialAccess::default();
        DecryptionIdentity::load(&file(key), certificate.as_ref(), &access)
            .expect("the keys of the seeds are there")
    };
    [load("rsa.key", None), load("ec.key", None), load("rsa.key", Some("rsa.pem"))]
});

/// Where the keys of the seeds of `envelope` are.
const ENVELOPE_KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/envelope-keys");

/// An encrypted signature behind a payload of zeros: nobody signed it, whoever can decrypt it.
pub fn envelope(data: &[u8]) {
    let mut bytes = vec![0; 8192];
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(&(data.len() as u64).to_be_bytes());
    let Some(untrusted) = open(&bytes) else { return };
    let recipients = untrusted.recipients();
    for identity in RECIPIENT.iter() {
        let Some(untrusted) = open(&bytes) else { continue };
        let encrypted = untrusted.is_encrypted();
        let Ok(opened) = untrusted.decrypt(identity) else { continue };
        // What opens had recipients, and what comes out claims to be signed.
        assert!(!encrypted || recipients.as_ref().is_ok_and(|known| !known.is_empty()));
        assert!(!opened.is_encrypted() || !encrypted);
        assert!(opened.verify(&KEYRING, CheckTime::At(NOW)).is_err());
    }
}

/// The URI of a token's object: what it shows of itself is read again as the same, without the
/// secrets of its query.
pub fn pkcs11_uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(uri) = text.parse::<Pkcs11Uri>() else { return };
    let shown = uri.to_string();
    let mut named = uri.clone();
    (named.pin_value, named.pin_source, named.module_path) = (None, None, None);
    if named.object_type == Some(ObjectType::Other) {
        named.object_type = None;
    }
    assert_eq!(shown.parse::<Pkcs11Uri>(), Ok(named), "{shown}");
}

/// A manifest: what is read is written and read again as the same.
pub fn manifest(data: &[u8]) {
    for used in [ManifestUse::Input, ManifestUse::Internal, ManifestUse::External] {
        let Ok(manifest) = Manifest::parse(data, used) else { continue };
        let written = manifest.encode();
        match Manifest::parse(written.as_bytes(), used) {
            Ok(again) => assert_eq!(again, manifest, "{written}"),
            Err(refused) => panic!("{refused} in what was written: {written}"),
        }
    }
}

/// A key file, and every value of it as each kind.
pub fn key_file(data: &[u8]) {
    let as_glib = KeyFile::parse_as_glib(data);
    let Ok(file) = KeyFile::parse(data) else { return };
    assert_eq!(as_glib, Ok((file.clone(), vec![])), "the strict half is GLib's");
    let mut writer = KeyFileWriter::new();
    let mut expected = Vec::new();
    for group in file.groups() {
        assert_eq!(file.group(group.name()), Some(group));
        writer.group(group.name());
        for entry in group.entries() {
            assert_eq!(group.get(entry.key()), Some(entry));
            let _ = entry.boolean();
            if let Ok(list) = entry.list() {
                writer.list(&format!("{}.list", entry.key()), &list);
                expected.push(Err(list));
            }
            if let Ok(string) = entry.string() {
                writer.string(&format!("{}.string", entry.key()), &string);
                expected.push(Ok(string));
            }
        }
    }
    // Names grow by the suffix, and a key may then exist already; such files are refused.
    let Ok(again) = KeyFile::parse(writer.finish().as_bytes()) else { return };
    let entries = again.groups().iter().flat_map(|group| group.entries());
    let found: Vec<_> = entries
        .map(|entry| match entry.key().ends_with(".list") {
            true => Err(entry.list().expect("it was written as a list")),
            false => Ok(entry.string().expect("it was written as a string")),
        })
        .collect();
    assert_eq!(found, expected);
}

/// A keyring in PEM.
pub fn keyring(data: &[u8]) {
    if let Ok(keyring) = Keyring::from_pem(data, KeyringOptions::default()) {
        let _ = keyring.anchors();
    }
}

/// Salt of the hash trees made here.
const SALT: [u8; 32] = [3; 32];

/// Keys of this process.
static DEVELOPMENT: LazyLock<(SigningIdentity, Keyring)> = LazyLock::new(|| {
    let options = DevelopmentPkiOptions::new(NOW);
    let pki = DevelopmentPki::generate("fuzz", &options).expect("OpenSSL makes keys");
    let identity = SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, &[]);
    let keyring = Keyring::from_pem(&pki.ca_cert_pem, KeyringOptions::default());
    (identity.expect("the keys were just made"), keyring.expect("the CA was just made"))
});

/// What a trusted signer signed in error: the payload is the input. The first byte chooses:
///
/// ```text
/// 0  a true hash tree covers the payload, and the squashfs reader meets it
/// 1  size of the tree (u64, little endian) and root hash are the input's too
/// 2  as 0, and then the byte at a place (u32, little endian) is changed by XOR with the byte
///    after it: what is handed out is what would have been without the change, or a failure
/// ```
pub fn verity_payload(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 3 {
        0 => drop(read_images(&covered(rest))),
        1 => {
            let Some((size, rest)) = rest.split_first_chunk::<8>() else { return };
            let Some((root, rest)) = rest.split_first_chunk::<32>() else { return };
            let (tree_bytes, root) = (u64::from_le_bytes(*size), Digest::from_bytes(*root));
            read_images(&signed(rest, tree_bytes, root));
        }
        _ => {
            let Some(([place @ .., change], rest)) = rest.split_first_chunk::<5>() else { return };
            let place = place.first_chunk().map_or(0, |place| u32::from_le_bytes(*place));
            let mut bytes = covered(rest);
            let whole = read_images(&bytes);
            let at = place as usize % bytes.len();
            bytes[at] ^= change;
            for (found, whole) in read_images(&bytes).iter().zip(whole) {
                assert!(whole.starts_with(found), "tampered bytes were handed out");
            }
        }
    }
}

/// A signed bundle of `payload`, padded, and its true hash tree.
fn covered(payload: &[u8]) -> Vec<u8> {
    let mut payload = payload.to_vec();
    payload.resize(payload.len().next_multiple_of(4096).max(8192), 0);
    let tree = build_tree(&mut payload.as_slice(), payload.len() as u64, &SALT)
        .expect("whole blocks have a tree");
    payload.extend_from_slice(&tree.bytes);
    signed(&payload, tree.bytes.len() as u64, tree.root)
}

/// A bundle whose manifest says this of its hash tree.
fn signed(payload: &[u8], tree_bytes: u64, root: Digest) -> Vec<u8> {
    let text = format!(
        "[update]\ncompatible=fuzz\n[bundle]\nformat=verity\nverity-hash={root}\n\
         verity-salt={}\nverity-size={tree_bytes}\n\
         [image.rootfs]\nsha256={root}\nsize=5000\nfilename=rootfs.img\n\
         [image.boot]\nsha256={root}\nsize=100\nfilename=boot.vfat\n",
        "03".repeat(SALT.len()),
    );
    let cms = sign_attached(text.as_bytes(), &DEVELOPMENT.0, NOW).expect("OpenSSL signs");
    let length = (cms.len() as u64).to_be_bytes();
    [payload, &cms, &length].concat()
}

/// What each image of a bundle hands out before its end or its failure, a little at a time: the
/// digest of an image is compared only with its last bytes.
fn read_images(bytes: &[u8]) -> Vec<Vec<u8>> {
    let Some(untrusted) = open(bytes) else { return Vec::new() };
    let Ok(verified) = untrusted.verify(&DEVELOPMENT.1, CheckTime::At(NOW)) else {
        return Vec::new();
    };
    let mut images = Vec::new();
    for image in &verified.manifest().images {
        let mut handed_out = Vec::new();
        if let Ok(mut stream) = verified.open_image(image) {
            let mut buf = [0; 100];
            while let Ok(read @ 1..) = stream.read(&mut buf) {
                handed_out.extend_from_slice(&buf[..read]);
            }
        }
        images.push(handed_out);
    }
    images
}
