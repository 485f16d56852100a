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
}

const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
const SIGNER: &str = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n\
                      extendedKeyUsage=emailProtection,codeSigning\n";
const OWN_ROOT: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=digitalSignature,keyCertSign\n";
const RECIPIENT: &str = "basicConstraints=CA:FALSE\nkeyUsage=keyEncipherment\n";

const ALL: [Certificate<'static>; 7] = [
    Certificate { name: "own", kind: "RSA", issuer: None, extensions: OWN_ROOT },
    Certificate { name: "root", kind: "RSA", issuer: None, extensions: CA },
    Certificate { name: "between", kind: "RSA", issuer: Some("root"), extensions: CA },
    Certificate { name: "signer", kind: "RSA", issuer: Some("between"), extensions: SIGNER },
    Certificate { name: "ec-root", kind: "EC", issuer: None, extensions: CA },
    Certificate { name: "ec-signer", kind: "EC", issuer: Some("ec-root"), extensions: SIGNER },
    Certificate { name: "recipient", kind: "RSA", issuer: None, extensions: RECIPIENT },
];

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

    fn certify(&self, one: &Certificate<'_>) -> Result<()> {
        let Certificate { name, kind, issuer, extensions } = one;
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
        let mut sign = openssl()
            .args(["x509", "-req", "-sha256", "-days", "3650", "-in"])
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

    fn key(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.key"))
    }

    fn cert(&self, name: &str) -> PathBuf {
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
        let mut arguments = vec![
            format!("--cert={}", self.cert(signer).display()),
            format!("--key={}", self.key(signer).display()),
        ];
        if chain == Chain::Intermediate {
            arguments.push(format!("--intermediate={}", self.cert("between").display()));
        }
        arguments
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
