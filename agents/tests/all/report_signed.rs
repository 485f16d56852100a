// SPDX-License-Identifier: MIT OR Apache-2.0
//! A report is believed when its device signed it, and by foreign tools too. The device's key is
//! made once: a power cut at any step leaves none or a whole one, and nobody else can read it.

use crate::report_support::{Device, NOW};
use agents::{
    DeviceKey, KeyError, KeyOrigin, REPORT_KEY_PATH, ReportError, sign_report, verify_report,
};
use bundle::{DevelopmentPki, DevelopmentPkiOptions, Extended, SigningIdentity, UnixTime};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use storage::{
    ByteLen, CutAt, CutPlan, FileTree, Files, FilesError, HostFiles, Journal, MemoryFiles,
    PowerCutFiles, RecordingFiles,
};

fn signed_by(key: &DeviceKey) -> Vec<u8> {
    let mut device = Device::new();
    device.key = Some(key.fingerprint);
    sign_report(&device.report(), &key.identity, NOW).unwrap()
}

#[test]
fn only_the_devices_own_certificate_believes_its_report() {
    let (one, other) = (DeviceKey::passing().unwrap(), DeviceKey::passing().unwrap());
    let signed = signed_by(&one);
    let verified = verify_report(&signed, &one.certificate_pem, NOW).unwrap();
    assert_eq!(verified.report.device.id, "0200c0a80042");
    assert_eq!(verified.report.encode().unwrap(), verified.bytes);
    assert_eq!(verified.signer.signing_time, Some(NOW));
    let refused = verify_report(&signed, &other.certificate_pem, NOW).unwrap_err();
    assert!(matches!(refused, ReportError::Signature(_)), "{refused}");
    assert!(refused.hint().unwrap().contains("another device's"));
    let mut changed = signed.clone();
    let at = signed.windows(6).position(|bytes| bytes == b"1.0.0\"").unwrap();
    changed[at] = b'9';
    assert!(verify_report(&changed, &one.certificate_pem, NOW).is_err());
    let none = verify_report(&signed, b"no certificate", NOW).unwrap_err();
    assert!(matches!(none, ReportError::Certificate(_)), "{none}");
    let long = vec![0x30; 200 * 1024];
    let refused = verify_report(&long, &one.certificate_pem, NOW).unwrap_err();
    assert!(matches!(refused, ReportError::TooLong { .. }), "{refused}");
    // A clock that was never set is no reason to say nothing, nor to disbelieve it.
    let early = sign_report(&verified.report, &one.identity, UnixTime(-5)).unwrap();
    assert_eq!(verify_report(&early, &one.certificate_pem, NOW).unwrap().report, verified.report);
}

/// Who holds some device's key must not speak for another one.
#[test]
fn a_report_that_names_another_key_is_not_believed() {
    let (thief, victim) = (DeviceKey::passing().unwrap(), DeviceKey::passing().unwrap());
    let mut device = Device::new();
    device.key = Some(victim.fingerprint);
    let signed = sign_report(&device.report(), &thief.identity, NOW).unwrap();
    let both = [victim.certificate_pem, thief.certificate_pem].concat();
    let refused = verify_report(&signed, &both, NOW).unwrap_err();
    assert!(matches!(refused, ReportError::OtherKey { .. }), "{refused}");
}

/// A client certificate for TLS signs reports too, and the fleet's CA vouches for all of them.
#[test]
fn the_ca_of_the_client_certificates_believes_them() {
    let mut options = DevelopmentPkiOptions::new(NOW);
    options.extended = Extended::TlsServer;
    let pki = DevelopmentPki::generate("fleet", &options).unwrap();
    let identity =
        SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, b"").unwrap();
    let mut device = Device::new();
    device.key = Some(identity.describe().unwrap().spki_sha256);
    let signed = sign_report(&device.report(), &identity, NOW).unwrap();
    for certificate in [&pki.ca_cert_pem, &pki.signer_cert_pem] {
        assert!(verify_report(&signed, certificate, NOW).is_ok());
    }
    let expired = UnixTime(NOW.0 + 20 * 366 * 86_400);
    assert!(verify_report(&signed, &pki.ca_cert_pem, expired).is_err());
}

/// OpenSSL's own program is the foreign judge: a server needs nothing of ours.
#[test]
fn openssl_verifies_what_a_device_signed_and_refuses_anothers() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (DeviceKey::passing().unwrap(), DeviceKey::passing().unwrap());
    let place = |name: &str| dir.path().join(name);
    fs::write(place("report.cms"), signed_by(&one)).unwrap();
    fs::write(place("device.pem"), &one.certificate_pem).unwrap();
    fs::write(place("other.pem"), &other.certificate_pem).unwrap();
    let verify = |certificate: &str| {
        let line = "cms -verify -inform DER -in report.cms -purpose any -binary -out report.json";
        let mut openssl = Command::new("openssl");
        openssl.args(line.split(' ')).args(["-CAfile", certificate]).current_dir(dir.path());
        openssl.output().unwrap()
    };
    let believed = verify("device.pem");
    assert!(believed.status.success(), "{}", String::from_utf8_lossy(&believed.stderr));
    let verified = verify_report(&signed_by(&one), &one.certificate_pem, NOW).unwrap();
    assert_eq!(fs::read(place("report.json")).unwrap(), verified.bytes);
    assert!(!verify("other.pem").status.success());
}

#[test]
fn the_key_is_made_once_and_closed_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = HostFiles::new(dir.path());
    let (made, origin) = DeviceKey::load_or_make(&mut files).unwrap();
    assert_eq!(origin, KeyOrigin::Made);
    let (kept, origin) = DeviceKey::load_or_make(&mut files).unwrap();
    assert_eq!((kept.fingerprint, origin), (made.fingerprint, KeyOrigin::Kept));
    let place = dir.path().join("data/atomix/agent/report.key");
    assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!format!("{made:?}").contains("PRIVATE"));
    assert!(!String::from_utf8(made.certificate_pem).unwrap().contains("PRIVATE"));

    let mut bytes = fs::read(&place).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(&place, bytes).unwrap();
    let (anew, origin) = DeviceKey::load_or_make(&mut files).unwrap();
    assert!(matches!(origin, KeyOrigin::MadeAnew { .. }), "{origin:?}");
    assert_ne!(anew.fingerprint, made.fingerprint);
    fs::write(&place, vec![b'x'; 64 * 1024]).unwrap();
    let (_, origin) = DeviceKey::load_or_make(&mut files).unwrap();
    assert!(matches!(origin, KeyOrigin::MadeAnew { .. }), "{origin:?}");
}

/// A medium that cannot be read now may be readable again: its key is the one that servers know.
struct Unreadable;

impl Files for Unreadable {
    fn read(&self, path: &Path, _: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
        let source = std::io::Error::from_raw_os_error(5);
        Err(FilesError::Read { path: path.to_owned(), source })
    }
    fn replace(&mut self, path: &Path, _: &[u8]) -> Result<(), FilesError> {
        panic!("{} is written over", path.display());
    }
    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        panic!("{} is removed", path.display());
    }
    fn list(&self, _: &Path) -> Result<Vec<String>, FilesError> {
        Ok(Vec::new())
    }
}

#[test]
fn a_key_that_cannot_be_read_is_not_written_over() {
    let refused = DeviceKey::load_or_make(&mut Unreadable).unwrap_err();
    assert!(matches!(refused, KeyError::Files(_)), "{refused}");
}

/// The power goes at each step of the file system: afterwards there is no key or a whole one, and
/// the next start has one that stays.
#[test]
fn a_power_cut_leaves_no_key_or_a_whole_one() {
    let journal = Journal::new();
    let mut files = RecordingFiles::new(MemoryFiles::new(), journal.clone());
    let (made, _) = DeviceKey::load_or_make(&mut files).unwrap();
    let steps = journal.op_count();
    assert!(steps > 4, "{steps} steps");
    let mut kept = 0;
    for cut in 0..=steps {
        for tree in journal.crash_files(&FileTree::new(), cut, 3) {
            let is_there = tree.contains_key(Path::new(REPORT_KEY_PATH));
            let mut files = MemoryFiles::from(tree);
            let (key, origin) = DeviceKey::load_or_make(&mut files).unwrap();
            let expected = if is_there { KeyOrigin::Kept } else { KeyOrigin::Made };
            assert_eq!(origin, expected, "cut {cut}");
            assert!(!is_there || key.fingerprint == made.fingerprint, "cut {cut}: another key");
            // Once it was handed out it is durable.
            assert!(cut < steps || is_there, "the key is lost after it was used");
            kept += usize::from(is_there);
            let (again, origin) = DeviceKey::load_or_make(&mut files).unwrap();
            assert_eq!((again.fingerprint, origin), (key.fingerprint, KeyOrigin::Kept));
        }
    }
    assert!(kept > 0);
}

#[test]
fn a_key_that_could_not_be_kept_is_not_handed_out() {
    let plan = CutPlan::new(CutAt::Operation(0), 1);
    let mut files = PowerCutFiles::new(MemoryFiles::new(), &plan);
    let refused = DeviceKey::load_or_make(&mut files).unwrap_err();
    assert!(matches!(refused, KeyError::Files(_)), "{refused}");
}
