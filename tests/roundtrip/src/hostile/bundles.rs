// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bundles that are whole, and not for this device: not signed by whom it trusts, or not what it
//! takes. Those that RAUC's own tests refuse, with RAUC's own keys where its tests have them.

use super::{Refusal, Rig, SLOT_BYTES, Told, Whose, manifest, plain_manifest};
use crate::device::{COMPATIBLE, Setup};
use crate::keys::Chain;
use crate::slots::Slots;
use anyhow::Result;
use e2e::program::Program;
use std::path::PathBuf;

/// A bundle, the device that refuses it, the reason.
struct Row {
    what: &'static str,
    bundle: PathBuf,
    setup: Setup,
    says: &'static str,
    arguments: &'static [&'static str],
}

impl Row {
    fn new(what: &'static str, bundle: PathBuf, setup: Setup, says: &'static str) -> Self {
        Self { what, bundle, setup, says, arguments: &[] }
    }
}

impl Rig<'_> {
    fn refuse_rows(&self, rows: Vec<Row>, out: &mut Told<'_>) -> Result<()> {
        for row in rows {
            let refusal = Refusal {
                what: row.what,
                bundle: &row.bundle.display().to_string(),
                setup: row.setup,
                says: row.says,
                arguments: row.arguments,
                variables: &[],
            };
            self.refuse(&refusal, out)?;
        }
        Ok(())
    }

    /// What a device trusts that has RAUC's test keys.
    fn rauc_keys(&self, more: &str) -> Setup {
        let keyring = format!("path={}/openssl-ca/dev-ca.pem\n{more}", self.tests.display());
        Setup::raw(keyring, SLOT_BYTES)
    }

    /// A bundle signed by one of RAUC's test keys.
    fn by_rauc(&self, signer: &str) -> Result<PathBuf> {
        let keys = self.tests.join("openssl-ca/dev");
        let signing = [
            format!("--cert={}/{signer}.cert.pem", keys.display()),
            format!("--key={}/private/{signer}.pem", keys.display()),
        ];
        self.bundle_of(&format!("by-{signer}"), &plain_manifest("plain"), None, &signing)
    }

    /// Bundles of signers that the device does not trust.
    pub(super) fn untrusted(&self, out: &mut Told<'_>) -> Result<()> {
        let good = self.bundle("trusted", "plain")?;
        let by = |signer: &str| {
            let signing = self.keys.signing_as(signer);
            self.bundle_of(&format!("by-{signer}"), &plain_manifest("verity"), None, &signing)
        };
        let with = |keyring: &str| Setup::raw(keyring.to_owned(), SLOT_BYTES);
        let root = with(&format!("path={}", self.keys.cert("root").display()));
        let own = self.keys.cert("own");
        let refused = "signature verification failed";
        let rows = vec![
            Row::new(
                "RAUC's invalid-sig-bundle",
                self.tests.join("invalid-sig-bundle.raucb"),
                self.rauc_keys(""),
                refused,
            ),
            Row::new(
                "a revoked signer",
                self.by_rauc("autobuilder-2")?,
                self.rauc_keys("check-crl=true"),
                "certificate revoked",
            ),
            Row::new(
                "a signer of mail where code is signed",
                self.by_rauc("xku-emailProtection")?,
                self.rauc_keys("check-crl=true\ncheck-purpose=codesign"),
                refused,
            ),
            Row::new(
                "a stranger's signature",
                by("ec-signer")?,
                self.setup(),
                "issuer certificate",
            ),
            Row::new("a signer of the past", by("late")?, root.clone(), "certificate has expired"),
            Row::new("a signer of the future", by("early")?, root, "certificate is not yet valid"),
            Row::new(
                "a signer whose name is not on the list",
                good.clone(),
                with(&format!("path={}\nallowed-signer-cns=Somebody", own.display())),
                "signer",
            ),
            Row::new("two signers", self.signed_twice(&good)?, self.setup(), "signers: 2"),
            Row::new("a keyring that is not there", good, with("path=no-keyring.pem"), "keyring"),
        ];
        self.refuse_rows(rows, out)
    }

    fn signed_twice(&self, bundle: &PathBuf) -> Result<PathBuf> {
        let twice = self.dir.join("twice.raucb");
        Program::new(&self.real.display().to_string())
            .args(["resign", "--append", "--no-verify"])
            .args(self.keys.signing_as("own"))
            .arg(bundle)
            .arg(&twice)
            .run()?;
        Ok(twice)
    }

    /// Bundles that are signed well, and that this device does not take.
    pub(super) fn unfit(&self, out: &mut Told<'_>) -> Result<()> {
        let signing = self.keys.signing(Chain::Root);
        let made = |name: &str, text: &str| self.bundle_of(name, text, None, &signing);
        let good = self.bundle("fit", "plain")?;
        let plain = plain_manifest("plain");
        let system = |system| Setup { system, ..self.setup() };
        let mut rows = vec![
            Row::new(
                "for another board",
                made("other-board", &plain.replace(COMPATIBLE, "Another"))?,
                self.setup(),
                "ompatible",
            ),
            Row::new(
                "an older version than the least",
                good.clone(),
                system("min-bundle-version=2.1\n"),
                "Version mismatch: Expected at least '2.1'",
            ),
            Row::new(
                "a format that is not allowed",
                good.clone(),
                system("bundle-formats=-plain\n"),
                "Bundle format 'plain' not allowed",
            ),
            Row::new(
                "a longer signature than is read",
                good.clone(),
                system("max-bundle-signature-size=256\n"),
                "signature",
            ),
            Row {
                what: "another manifest than was asked for",
                bundle: good,
                setup: self.setup(),
                says: "hash",
                arguments: &[
                    "--require-manifest-hash",
                    "0000000000000000000000000000000000000000000000000000000000000000",
                ],
            },
            Row::new(
                "an image for a slot that is not there",
                made("no-slot", &plain.replace("image.rootfs", "image.appfs"))?,
                self.setup(),
                "appfs",
            ),
            Row::new(
                "an archive for a raw slot",
                made("archive", &manifest("plain", "", "type=tar\n"))?,
                self.setup(),
                "tar",
            ),
        ];
        if self.whose == Whose::Ours {
            // Of these formats the real one on this kernel says only that it has no device mapper.
            rows.extend(self.unreadable()?);
        }
        self.refuse_rows(rows, out)?;
        self.too_large(out)
    }

    /// An image that is larger than its slot, which is a block device as on a board: a file would
    /// grow.
    fn too_large(&self, out: &mut Told<'_>) -> Result<()> {
        let bundle = self.bundle("large", "plain")?.display().to_string();
        let device = self.device(&self.keys.trust(Chain::Root, 1 << 20))?;
        let slots = Slots::attach(&device)?;
        let service = device.serve(self.rauc)?;
        let words = ["install", bundle.as_str()];
        let tried = service.try_program(&self.rauc.display().to_string(), &words)?;
        let error = self.told(&tried, &device, &service);
        drop(service);
        slots.detach()?;
        out.line(&format!("an image larger than the slot: {}", error?))
    }

    /// `crypt` bundles that are not for this device.
    fn unreadable(&self) -> Result<Vec<Row>> {
        let clear = self.bundle("clear", "crypt")?;
        let encrypted = self.dir.join("for-another.raucb");
        Program::new(&self.real.display().to_string())
            .arg("encrypt")
            .arg(format!("--keyring={}", self.keys.cert("own").display()))
            .arg(format!("--to={}", self.keys.cert("web").display()))
            .args([&clear, &encrypted])
            .run()?;
        Ok(vec![
            Row::new("a secret that is not kept", clear, self.setup(), "encrypted"),
            Row::new(
                "encrypted for another device",
                encrypted,
                self.setup(),
                "Failed to decrypt CMS EnvelopedData",
            ),
        ])
    }
}
