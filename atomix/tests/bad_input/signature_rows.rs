// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bundles that are no bundle, are signed by the wrong hand, or were changed after signing.

use crate::cli_board::NOW;
use crate::cli_board::bundles::{self, Recipe, cut, glue, good, verity_layout};
use crate::table::{After, Case, Row};
use bundle::{
    BundleFormat, DevelopmentPki, DevelopmentPkiOptions, Extended, UnixTime, sign_detached,
};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use storage::Digest;

const FETCH_AGAIN: &str = "fetch it again";
const CHANGED: &str = "changed or damaged after it was signed";

pub fn rows() -> Vec<Row> {
    let mut rows = file_rows();
    rows.extend(signer_rows());
    rows.extend(tampered_rows());
    rows
}

fn file_rows() -> Vec<Row> {
    let install = Row::install;
    vec![
        install("trailer truncated", truncated, 4, &["BUNDLE", "signature size"], FETCH_AGAIN)
            .because("trailer beyond the file"),
        install("trailer oversized", oversized, 4, &["BUNDLE", "signature size of"], FETCH_AGAIN)
            .because("trailer beyond the file"),
        install("trailer says 0", unsigned, 4, &["BUNDLE", "signature size of 0"], FETCH_AGAIN),
        install(
            "signature above the limit",
            over_the_limit,
            4,
            &["BUNDLE", "more than the 64.0 KiB"],
            "max-bundle-signature-size",
        ),
        install("empty file", |case| case.offer(""), 4, &["of 0 bytes", "BUNDLE"], FETCH_AGAIN)
            .because("too short"),
        install("seven bytes", |case| case.offer("1234567"), 4, &["of 7 bytes"], FETCH_AGAIN)
            .because("too short"),
        install("not a regular file", directory, 1, &["BUNDLE is not a regular file"], "path"),
        install("no such file", absent, 1, &["cannot open BUNDLE"], "path"),
        install("CMS garbage", cms_garbage, 4, &["BUNDLE", "not a CMS structure"], CHANGED),
    ]
}

fn signer_rows() -> Vec<Row> {
    let install = Row::install;
    vec![
        install(
            "signed by another CA",
            |case| case.offer(Recipe::default().signed_by(bundles::stranger())),
            4,
            &["BUNDLE", "stranger signer", "unable to get local issuer certificate"],
            "keyring does not hold the signer's CA",
        ),
        install("expired signer", expired, 4, &["certificate has expired"], "check the clock"),
        install("signer of the future", early, 4, &["not yet valid"], "check the clock"),
        install("signer for TLS only", tls_only, 4, &["purpose"], "check-purpose"),
        install("two signers", two_signers, 4, &["number of signers: 2"], "exactly one signer"),
        install("keyring missing", no_keyring, 2, &["/etc/rauc/ca.cert.pem"], "CA certificate"),
        install("keyring is no PEM", bad_keyring, 2, &["/etc/rauc/ca.cert.pem"], "PEM"),
    ]
}

fn tampered_rows() -> Vec<Row> {
    let install = Row::install;
    let tampered = "a block without its signed hash";
    vec![
        install("tampered superblock", superblock, 4, &["data block 0 at byte 0"], CHANGED)
            .because(tampered),
        install("tampered first image block", first_block, 4, &["data block 1"], CHANGED)
            .because(tampered),
        install("tampered last block", last_block, 4, &["data block"], CHANGED).because(tampered),
        install("tampered hash tree", hash_tree, 4, &["tree", "block"], CHANGED),
        install("tampered manifest", manifest, 4, &["signature does not match"], CHANGED),
        install("tampered plain payload", plain, 4, &["signed digest"], CHANGED),
        install(
            "plain bundle above the limit",
            plain_above_limit,
            4,
            &["plain payload of 2147483648 bytes is larger than the 2147483647"],
            "format verity",
        ),
        // Without the first pass the first blocks are on the slot when the bad one comes.
        install("tampered, found while writing", unchecked, 4, &["rootfs.1", "offset"], "again")
            .after(After::Torn),
    ]
}

fn truncated(case: &mut Case) {
    let bundle = good();
    case.offer(&bundle[..bundle.len() - 5]);
}

fn with_size(size: u64) -> Vec<u8> {
    let mut bundle = good();
    let at = bundle.len() - 8;
    bundle[at..].copy_from_slice(&size.to_be_bytes());
    bundle
}

fn oversized(case: &mut Case) {
    case.offer(with_size(u64::MAX));
}

fn unsigned(case: &mut Case) {
    case.offer(with_size(0));
}

fn over_the_limit(case: &mut Case) {
    case.offer(with_size(64 * 1024 + 1));
}

fn directory(case: &mut Case) {
    absent(case);
    fs::create_dir(&case.bundle).unwrap();
}

fn absent(case: &mut Case) {
    fs::remove_file(&case.bundle).unwrap();
}

fn cms_garbage(case: &mut Case) {
    case.offer(glue(&cut(&good()).0, b"this is not DER at all"));
}

/// The vendor's keyring is replaced by that of a PKI with these options.
fn with_pki(case: &mut Case, change: impl FnOnce(&mut DevelopmentPkiOptions)) {
    let mut options = DevelopmentPkiOptions::new(NOW.0);
    change(&mut options);
    let pki = DevelopmentPki::generate("odd", &options).unwrap();
    case.board.write("/etc/rauc/ca.cert.pem", &pki.ca_cert_pem);
    case.offer(Recipe::default().signed_by(&pki));
}

fn expired(case: &mut Case) {
    with_pki(case, |options| options.signer_not_after = UnixTime(NOW.0.0 - 10));
}

fn early(case: &mut Case) {
    with_pki(case, |options| options.not_before = UnixTime(NOW.0.0 + 86_400));
}

fn tls_only(case: &mut Case) {
    with_pki(case, |options| options.extended = Extended::TlsServer);
}

/// Signed again by OpenSSL itself, as a vendor with two keys would.
fn two_signers(case: &mut Case) {
    let dir = tempfile::tempdir().unwrap();
    let (payload, cms) = cut(&good());
    let put = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).unwrap();
    put("one.der", &cms);
    // Both hold: a second one that nobody vouches for is refused for that.
    put("cert.pem", &bundles::pki().signer_cert_pem);
    put("key.pem", &bundles::pki().signer_key_pem);
    let args = "cms -resign -nocerts -in one.der -inform DER -signer cert.pem -inkey key.pem -binary \
                -nodetach -outform DER -out two.der";
    openssl(dir.path(), args);
    case.offer(glue(&payload, &fs::read(dir.path().join("two.der")).unwrap()));
}

fn openssl(dir: &Path, args: &str) {
    let out =
        Command::new("openssl").args(args.split_whitespace()).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

fn no_keyring(case: &mut Case) {
    fs::remove_file(case.board.path("/etc/rauc/ca.cert.pem")).unwrap();
}

fn bad_keyring(case: &mut Case) {
    case.board.write("/etc/rauc/ca.cert.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n");
}

fn flipped(at: usize) -> Vec<u8> {
    let mut bundle = good();
    bundle[at] ^= 1;
    bundle
}

fn superblock(case: &mut Case) {
    case.offer(flipped(0));
}

fn first_block(case: &mut Case) {
    case.offer(flipped(4096));
}

fn last_block(case: &mut Case) {
    case.offer(flipped(verity_layout().0 - 4096));
}

fn hash_tree(case: &mut Case) {
    let (data, tree) = verity_layout();
    case.offer(flipped(data + tree - 1));
}

fn manifest(case: &mut Case) {
    let mut bundle = good();
    let at = bundle.windows(7).rposition(|bytes| bytes == b"version").unwrap();
    bundle[at] = b'V';
    case.offer(bundle);
}

fn plain(case: &mut Case) {
    let mut bundle = Recipe { format: BundleFormat::Plain, ..Recipe::default() }.make();
    bundle[5000] ^= 1;
    case.offer(bundle);
}

/// RAUC's own limit; a sparse file, which is refused before it is read.
fn plain_above_limit(case: &mut Case) {
    const ABOVE_BYTES: u64 = 1 << 31;
    let digest = Digest::from_bytes([0; 32]);
    let cms = sign_detached(digest, &bundles::identity(bundles::pki()), NOW.0).unwrap();
    let file = fs::File::create(&case.bundle).unwrap();
    file.set_len(ABOVE_BYTES).unwrap();
    file.write_all_at(&glue(b"", &cms), ABOVE_BYTES).unwrap();
}

fn unchecked(case: &mut Case) {
    case.board.replace("/etc/rauc/system.conf", "perform-pre-check=true\n", "");
    // A block of the root file system's image, which is written first.
    let needle = crate::cli_board::image(70, 64);
    let bundle = good();
    let at = bundle.windows(64).position(|bytes| bytes == needle).unwrap();
    case.offer(flipped(at + 400_000));
}
