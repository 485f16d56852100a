// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real `ssh-keygen`, and a security key made of OpenSSL's keys, since no machine that tests
//! has a token to touch.

#![allow(dead_code, reason = "every test uses its part of this")]

use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey, PointConversionForm};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sha::{sha256, sha512};
use openssl::sign::Signer;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// The namespace of the API.
pub const NAMESPACE: &str = "atomixos-reapply";

/// A key pair made by `ssh-keygen`.
pub struct Keygen {
    dir: tempfile::TempDir,
}

impl Keygen {
    /// Makes a key.
    pub fn new(kind: &str, bits: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", kind, "-N", "", "-C", "admin@laptop", "-f"]);
        command.arg(dir.path().join("key"));
        if let Some(bits) = bits {
            command.args(["-b", bits]);
        }
        assert!(command.status().unwrap().success());
        Self { dir }
    }

    /// The file of the private key.
    pub fn path(&self) -> String {
        self.dir.path().join("key").to_str().unwrap().to_owned()
    }

    /// The line of the public key.
    pub fn public(&self) -> String {
        fs::read_to_string(self.dir.path().join("key.pub")).unwrap()
    }

    /// The fingerprint as `ssh-keygen` prints it.
    pub fn fingerprint(&self) -> String {
        let output =
            Command::new("ssh-keygen").arg("-lf").arg(self.dir.path().join("key")).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        text.split(' ').nth(1).unwrap().to_owned()
    }

    /// Signs as an operator does.
    pub fn sign(&self, message: &[u8]) -> String {
        self.run(message, NAMESPACE, &[])
    }

    /// Signs for another purpose.
    pub fn sign_for(&self, message: &[u8], namespace: &str) -> String {
        self.run(message, namespace, &[])
    }

    /// Signs with a hash of the message's.
    pub fn sign_hashed(&self, message: &[u8], hash: &str) -> String {
        self.run(message, NAMESPACE, &["-O", &format!("hashalg={hash}")])
    }

    fn run(&self, message: &[u8], namespace: &str, options: &[&str]) -> String {
        let mut child = Command::new("ssh-keygen")
            .args(["-Y", "sign", "-n", namespace])
            .args(options)
            .arg("-f")
            .arg(self.dir.path().join("key"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(message).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Whether `ssh-keygen -Y verify` believes the signature.
pub fn believes(public: &str, armored: &str, message: &[u8]) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let (signers, signature) = (dir.path().join("signers"), dir.path().join("sig"));
    fs::write(&signers, format!("admin {public}\n")).unwrap();
    fs::write(&signature, armored).unwrap();
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-I", "admin", "-n", NAMESPACE, "-f"])
        .arg(&signers)
        .arg("-s")
        .arg(&signature)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(message).unwrap();
    child.wait().unwrap().success()
}

/// Appends a string with its length.
pub fn put(into: &mut Vec<u8>, string: &[u8]) {
    into.extend_from_slice(&u32::try_from(string.len()).unwrap().to_be_bytes());
    into.extend_from_slice(string);
}

/// The two lines around a signature's base64.
pub fn armor(blob: &[u8]) -> String {
    let text = openssl::base64::encode_block(blob);
    let lines: Vec<&str> =
        text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
}

/// The bytes between the two lines.
pub fn unarmor(armored: &str) -> Vec<u8> {
    let body: String = armored.lines().filter(|line| !line.starts_with("-----")).collect();
    openssl::base64::decode_block(&body).unwrap()
}

/// The same signature under another algorithm's name.
pub fn rename_algorithm(armored: &str, from: &[u8], to: &[u8]) -> String {
    let blob = unarmor(armored);
    let (mut old, mut new) = (Vec::new(), Vec::new());
    put(&mut old, from);
    put(&mut new, to);
    let at = blob.windows(old.len()).position(|window| window == old).unwrap();
    // The signature is the last field: its length stands right before the algorithm's.
    let rest = &blob[at + old.len()..];
    let mut changed = blob[..at - 4].to_vec();
    put(&mut changed, &[&new[..], rest].concat());
    armor(&changed)
}

/// A security key in software.
pub struct Token {
    key: PKey<Private>,
    name: &'static [u8],
    application: &'static [u8],
    public: Vec<u8>,
}

const APPLICATION: &[u8] = b"ssh:";

impl Token {
    /// `sk-ssh-ed25519@openssh.com`.
    pub fn ed25519() -> Self {
        let key = PKey::generate_ed25519().unwrap();
        let name = b"sk-ssh-ed25519@openssh.com";
        let mut public = Vec::new();
        put(&mut public, name);
        put(&mut public, &key.raw_public_key().unwrap());
        put(&mut public, APPLICATION);
        Self { key, name, application: APPLICATION, public }
    }

    /// `sk-ecdsa-sha2-nistp256@openssh.com`.
    pub fn ecdsa() -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = EcKey::generate(&group).unwrap();
        let mut context = BigNumContext::new().unwrap();
        let form = PointConversionForm::UNCOMPRESSED;
        let point = key.public_key().to_bytes(&group, form, &mut context).unwrap();
        let name = b"sk-ecdsa-sha2-nistp256@openssh.com";
        let mut public = Vec::new();
        put(&mut public, name);
        put(&mut public, b"nistp256");
        put(&mut public, &point);
        put(&mut public, APPLICATION);
        Self { key: PKey::from_ec_key(key).unwrap(), name, application: APPLICATION, public }
    }

    /// The same numbers as the key of another application.
    pub fn of_application(&self, application: &'static [u8]) -> Self {
        let end = self.public.len() - self.application.len() - 4;
        let mut public = self.public[..end].to_vec();
        put(&mut public, application);
        Self { key: self.key.clone(), name: self.name, application, public }
    }

    /// The line of the public key.
    pub fn public(&self) -> String {
        let name = std::str::from_utf8(self.name).unwrap();
        format!("{name} {} token", openssl::base64::encode_block(&self.public))
    }

    /// Signs as `ssh-keygen` does with a token that reports `flags`.
    pub fn sign(&self, message: &[u8], flags: u8) -> String {
        self.sign_as(&self.public, message, flags)
    }

    /// Signs for its own application, in the name of another token.
    pub fn claiming(&self, other: &Self, message: &[u8]) -> String {
        self.sign_as(&other.public, message, 0x01)
    }

    fn sign_as(&self, public: &[u8], message: &[u8], flags: u8) -> String {
        let mut data = b"SSHSIG".to_vec();
        for field in [NAMESPACE.as_bytes(), b"", b"sha512", &sha512(message)] {
            put(&mut data, field);
        }
        let counter = 5_u32.to_be_bytes();
        let signed = [&sha256(self.application)[..], &[flags], &counter, &sha256(&data)].concat();
        let mut signature = Vec::new();
        put(&mut signature, self.name);
        put(&mut signature, &self.value(&signed));
        signature.push(flags);
        signature.extend_from_slice(&counter);
        let mut blob = b"SSHSIG\0\0\0\x01".to_vec();
        let fields = [public, NAMESPACE.as_bytes(), b"", b"sha512", &signature];
        for field in fields {
            put(&mut blob, field);
        }
        armor(&blob)
    }

    fn value(&self, signed: &[u8]) -> Vec<u8> {
        let Ok(ec) = self.key.ec_key() else {
            let mut signer = Signer::new_without_digest(&self.key).unwrap();
            return signer.sign_oneshot_to_vec(signed).unwrap();
        };
        let _ = ec;
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key).unwrap();
        let pair = EcdsaSig::from_der(&signer.sign_oneshot_to_vec(signed).unwrap()).unwrap();
        let mut value = Vec::new();
        for number in [pair.r(), pair.s()] {
            let bytes = number.to_vec();
            let lead: &[u8] =
                if bytes.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
            put(&mut value, &[lead, &bytes].concat());
        }
        value
    }
}
