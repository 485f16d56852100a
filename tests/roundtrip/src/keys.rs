// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who signed a bundle, and by what does a device know? Chains made by the `openssl` program.

use crate::device::Setup;
use anyhow::Result;
use e2e::program::Program;
use std::fs;
use std::path::{Path, PathBuf};

/// How a signer leads to what the device trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// The signer is its own root.
    Root,
    /// The root, an intermediate that the bundle brings along, the signer.
    Intermediate,
    /// The device trusts the intermediate and has no root.
    Partial,
    /// Elliptic curves for root and signer.
    Ecc,
}

/// All chains, and a recipient for `crypt` bundles.
#[derive(Clone, Debug)]
pub struct Keys {
    dir: PathBuf,
}

/// Of whom a certificate is made.
struct Certificate<'a> {
    name: &'a str,
    kind: &'a str,
    issuer: Option<&'a str>,
    extensions: &'a str,
    /// The day on which it begins, and how many it lasts.
    valid: (&'a str, &'a str),
}

/// Begins when it is made.
const NOW: (&str, &str) = ("now", "3650");

const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
const SIGNER: &str = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n\
                      extendedKeyUsage=emailProtection,codeSigning\n";
const OWN_ROOT: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=digitalSignature,keyCertSign\n";
const RECIPIENT: &str = "basicConstraints=CA:FALSE\nkeyUsage=keyEncipherment\n";

const ALL: [Certificate<'static>; 10] = [
    Certificate { name: "own", kind: "RSA", issuer: None, extensions: OWN_ROOT, valid: NOW },
    Certificate { name: "root", kind: "RSA", issuer: None, extensions: CA, valid: NOW },
    Certificate { name: "between", kind: "RSA", issuer: Some("root"), extensions: CA, valid: NOW },
    Certificate {
        name: "signer",
        kind: "RSA",
        issuer: Some("between"),
        extensions: SIGNER,
        valid: NOW,
    },
    Certificate { name: "ec-root", kind: "EC", issuer: None, extensions: CA, valid: NOW },
    Certificate {
        name: "ec-signer",
        kind: "EC",
        issuer: Some("ec-root"),
        extensions: SIGNER,
        valid: NOW,
    },
    Certificate { name: "recipient", kind: "RSA", issuer: None, extensions: RECIPIENT, valid: NOW },
    Certificate { name: "web", kind: "RSA", issuer: Some("root"), extensions: WEB, valid: NOW },
    Certificate {
        name: "late",
        kind: "RSA",
        issuer: Some("root"),
        extensions: SIGNER,
        valid: PAST,
    },
    Certificate {
        name: "early",
        kind: "RSA",
        issuer: Some("root"),
        extensions: SIGNER,
        valid: AHEAD,
    },
];

/// Of a server on this machine.
const WEB: &str = "basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1\n";

/// Is over.
const PAST: (&str, &str) = ("2020-01-01 00:00:00", "30");

/// Has not begun.
const AHEAD: (&str, &str) = ("2060-01-01 00:00:00", "30");

impl Keys {
    /// Makes all of them.
    ///
    /// # Errors
    /// When `openssl` does not.
    pub fn make(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let keys = Self { dir: dir.to_owned() };
        ALL.iter().try_for_each(|one| keys.certify(one))?;
        Ok(keys)
    }

    /// Those that were made in a directory before, by the start of this program outside a guest.
    #[must_use]
    pub fn made(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn certify(&self, one: &Certificate<'_>) -> Result<()> {
        let Certificate { name, kind, issuer, extensions, valid: (begin, days) } = one;
        let option = if *kind == "EC" { "ec_paramgen_curve:P-256" } else { "rsa_keygen_bits:2048" };
        let openssl = || Program::new("openssl");
        openssl()
            .args(["genpkey", "-algorithm", kind, "-pkeyopt", option, "-out"])
            .arg(self.key(name))
            .run()?;
        let request = self.dir.join(format!("{name}.csr"));
        openssl()
            .args(["req", "-new", "-subj", &format!("/O=Roundtrip/CN={name}"), "-key"])
            .arg(self.key(name))
            .arg("-out")
            .arg(&request)
            .run()?;
        let file = self.dir.join(format!("{name}.ext"));
        fs::write(
            &file,
            format!("subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n{extensions}"),
        )?;
        let mut sign = match *begin {
            "now" => openssl(),
            begin => Program::new("faketime").args([begin, "openssl"]),
        };
        sign = sign
            .args(["x509", "-req", "-sha256", "-days", days, "-in"])
            .arg(request)
            .arg("-extfile")
            .arg(file)
            .arg("-out")
            .arg(self.cert(name));
        sign = match issuer {
            Some(issuer) => sign
                .arg("-CA")
                .arg(self.cert(issuer))
                .arg("-CAkey")
                .arg(self.key(issuer))
                .arg("-CAcreateserial"),
            None => sign.arg("-key").arg(self.key(name)),
        };
        sign.run()
    }

    /// The key of a name.
    #[must_use]
    pub fn key(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.key"))
    }

    /// The certificate of a name.
    #[must_use]
    pub fn cert(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.pem"))
    }

    /// The arguments that sign.
    #[must_use]
    pub fn signing(&self, chain: Chain) -> Vec<String> {
        let signer = match chain {
            Chain::Root => "own",
            Chain::Intermediate | Chain::Partial => "signer",
            Chain::Ecc => "ec-signer",
        };
        let mut arguments = self.signing_as(signer);
        if chain == Chain::Intermediate {
            arguments.push(format!("--intermediate={}", self.cert("between").display()));
        }
        arguments
    }

    /// The arguments that sign as one of a name.
    #[must_use]
    pub fn signing_as(&self, name: &str) -> Vec<String> {
        vec![
            format!("--cert={}", self.cert(name).display()),
            format!("--key={}", self.key(name).display()),
        ]
    }

    /// The certificate that `crypt` bundles are encrypted to.
    #[must_use]
    pub fn recipient(&self) -> PathBuf {
        self.cert("recipient")
    }

    /// What a device knows that trusts this chain.
    #[must_use]
    pub fn trust(&self, chain: Chain, slot_bytes: u64) -> Setup {
        let (anchor, more) = match chain {
            Chain::Root => ("own", ""),
            Chain::Intermediate => ("root", ""),
            Chain::Partial => ("between", "\nallow-partial-chain=true"),
            Chain::Ecc => ("ec-root", ""),
        };
        let keyring = format!("path={}{more}", self.cert(anchor).display());
        Setup { decrypt: Some(self.key("recipient")), ..Setup::raw(keyring, slot_bytes) }
    }
}
