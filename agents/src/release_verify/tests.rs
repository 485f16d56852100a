// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::Transport;
use bundle::http::UrlError;
use bundle::{
    DevelopmentPki, DevelopmentPkiOptions, KeyringOptions, SigningIdentity, sign_attached,
    sign_detached,
};
use proptest::prelude::*;
use std::sync::LazyLock;
use storage::ByteLen;

const NOW: UnixTime = UnixTime(1_795_370_400);
const DAY: i64 = 86_400;

struct House {
    identity: SigningIdentity,
    keyring: Keyring,
}

fn house(name: &str, options: &DevelopmentPkiOptions) -> House {
    let pki = DevelopmentPki::generate(name, options).unwrap();
    House {
        identity: SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, b"")
            .unwrap(),
        keyring: Keyring::from_pem(&pki.ca_cert_pem, KeyringOptions::default()).unwrap(),
    }
}

static HOUSE: LazyLock<House> = LazyLock::new(|| house("vendor", &DevelopmentPkiOptions::new(NOW)));

static ORIGIN: LazyLock<Origin> = LazyLock::new(|| {
    Origin::document("https://updates.example.org/f/x.release", Transport::HttpsOnly).unwrap()
});

fn release() -> Release {
    Release {
        product: "rock64".to_owned(),
        sequence: Sequence::new(7).unwrap(),
        issued: NOW,
        expires: later(30),
        version: "26.11.1".to_owned(),
        manifest: Digest::from_bytes([1; 32]),
        file: Digest::from_bytes([2; 32]),
        size: ByteLen::mib(1),
        urls: vec!["u.raucb".to_owned(), "https://cdn.example.org/u.raucb".to_owned()],
        min_version: None,
        rollout: None,
        urgency: crate::Urgency::Ordinary,
    }
}

fn later(days: i64) -> UnixTime {
    UnixTime(NOW.0 + days * DAY)
}

fn signed(release: &Release) -> Vec<u8> {
    sign_attached(release.encode().unwrap().as_bytes(), &HOUSE.identity, release.issued).unwrap()
}

fn set(now: UnixTime) -> Clock {
    Clock { now, floor: None, is_set: true }
}

/// A clock at its beginning.
fn unset(floor: Option<UnixTime>) -> Clock {
    Clock { now: UnixTime(60), floor, is_set: false }
}

fn accept(
    release: &Release,
    clock: &Clock,
    seen: Option<&SeenRelease>,
) -> Result<AcceptedRelease, ReleaseError> {
    let verified = VerifiedRelease::open(&signed(release), &HOUSE.keyring, clock)?;
    verified.accept(&Expected { product: "rock64", seen, clock, origin: &ORIGIN })
}

#[test]
fn a_true_release_is_an_offer_with_whole_urls() {
    let accepted = accept(&release(), &set(NOW), None).unwrap();
    let urls = ["https://updates.example.org/f/u.raucb", "https://cdn.example.org/u.raucb"];
    assert_eq!(accepted.offer.urls, urls);
    assert_eq!(accepted.offer.manifest, Some(release().manifest));
    assert_eq!(accepted.offer.file, Some(release().file));
    assert_eq!(accepted.offer.size, Some(release().size));
    assert_eq!(accepted.seen.sequence, 7);
    assert_eq!(accepted.floor, NOW);
}

#[test]
fn nothing_unsigned_is_looked_at() {
    let at = |bytes: &[u8]| VerifiedRelease::open(bytes, &HOUSE.keyring, &set(NOW)).unwrap_err();
    let text = release().encode().unwrap();
    let stranger = house("stranger", &DevelopmentPkiOptions::new(NOW));
    let by_stranger = sign_attached(text.as_bytes(), &stranger.identity, NOW).unwrap();
    assert!(matches!(at(&by_stranger), ReleaseError::Signature(SignatureError::Chain(_))));
    // Also nonsense of a stranger is refused for its signer.
    let nonsense = sign_attached(b"nonsense", &stranger.identity, NOW).unwrap();
    assert!(matches!(at(&nonsense), ReleaseError::Signature(SignatureError::Chain(_))));
    assert!(matches!(at(text.as_bytes()), ReleaseError::Signature(SignatureError::Malformed(_))));
    let digest = Digest::from_bytes(sha256(text.as_bytes()));
    let detached = sign_detached(digest, &HOUSE.identity, NOW).unwrap();
    assert!(matches!(at(&detached), ReleaseError::Signature(SignatureError::NoContent)));
    assert!(matches!(at(b"<html>"), ReleaseError::WebPage));
    assert!(matches!(at(&vec![0x30; 65 * 1024]), ReleaseError::TooLong { .. }));
    assert!(matches!(at(b""), ReleaseError::Signature(_)));
    let ours = sign_attached(b"[update]\ncompatible=rock64\n", &HOUSE.identity, NOW).unwrap();
    assert!(matches!(at(&ours), ReleaseError::Content(_)));
}

#[test]
fn another_product_is_refused() {
    let other = Release { product: "rock64-dev".to_owned(), ..release() };
    let refused = accept(&other, &set(NOW), None).unwrap_err();
    assert!(matches!(refused, ReleaseError::OtherProduct { .. }), "{refused}");
}

#[test]
fn older_ones_and_other_ones_of_the_same_number_are_refused() {
    let seen = accept(&release(), &set(NOW), None).unwrap().seen;
    assert_eq!(accept(&release(), &set(NOW), Some(&seen)).unwrap().seen, seen);
    let older = Release { sequence: Sequence::new(6).unwrap(), ..release() };
    let refused = accept(&older, &set(NOW), Some(&seen)).unwrap_err();
    assert!(matches!(refused, ReleaseError::Replayed { .. }), "{refused}");
    let other = Release { size: ByteLen::mib(2), ..release() };
    let refused = accept(&other, &set(NOW), Some(&seen)).unwrap_err();
    assert!(matches!(refused, ReleaseError::Forked { .. }), "{refused}");
    let newer = Release { sequence: Sequence::new(8).unwrap(), ..release() };
    assert_eq!(accept(&newer, &set(NOW), Some(&seen)).unwrap().seen.sequence, 8);
    // The signature is not part of what was seen: a renewed certificate signs the same again.
    let text = release().encode().unwrap();
    let again = sign_attached(text.as_bytes(), &HOUSE.identity, later(1)).unwrap();
    assert_ne!(again, signed(&release()));
    let again = VerifiedRelease::open(&again, &HOUSE.keyring, &set(later(1))).unwrap();
    assert_eq!(again.seen(), seen);
}

#[test]
fn expiry_is_judged_by_the_later_of_clock_and_floor() {
    assert!(accept(&release(), &set(UnixTime(later(30).0 - 1)), None).is_ok());
    let expired = |clock: &Clock| {
        let refused = accept(&release(), clock, None).unwrap_err();
        assert!(matches!(refused, ReleaseError::Expired { .. }), "{refused}");
        assert!(refused.to_string().contains("2026-12-22T18:00:00Z"), "{refused}");
    };
    expired(&set(later(30)));
    expired(&Clock { now: NOW, floor: Some(later(31)), is_set: true });
    expired(&unset(Some(later(30))));
    // A clock that nobody set is no reason to wait for ever.
    assert!(accept(&release(), &unset(None), None).is_ok());
    assert!(accept(&release(), &unset(Some(later(29))), None).is_ok());
    // Neither does it make anything expire.
    let ahead = Clock { now: later(4000), floor: None, is_set: false };
    assert!(accept(&release(), &ahead, None).is_ok());
}

#[test]
fn certificates_are_judged_by_what_is_proven() {
    let options =
        DevelopmentPkiOptions { signer_not_after: later(10), ..DevelopmentPkiOptions::new(NOW) };
    let short = house("short", &options);
    let sign = |at: UnixTime| {
        let text = release().encode().unwrap();
        sign_attached(text.as_bytes(), &short.identity, at).unwrap()
    };
    let open =
        |clock: &Clock, signed_at| VerifiedRelease::open(&sign(signed_at), &short.keyring, clock);
    assert!(open(&set(later(9)), NOW).is_ok());
    let refused = open(&set(later(11)), NOW).unwrap_err();
    assert!(matches!(refused, ReleaseError::Signature(SignatureError::Chain(_))), "{refused}");
    let refused = open(&Clock { floor: Some(later(11)), ..set(NOW) }, NOW).unwrap_err();
    assert!(matches!(refused, ReleaseError::Signature(SignatureError::Chain(_))), "{refused}");
    assert!(open(&unset(None), NOW).is_ok());
    assert!(open(&unset(Some(later(9))), NOW).is_ok());
    let refused = open(&unset(Some(later(11))), NOW).unwrap_err();
    assert!(matches!(refused, ReleaseError::CertificateEnded { .. }), "{refused}");
    // Signed after its own end.
    let refused = open(&unset(None), later(11)).unwrap_err();
    assert!(matches!(refused, ReleaseError::Signature(SignatureError::Chain(_))), "{refused}");
}

#[test]
fn the_floor_rises_to_what_is_signed_and_not_beyond_the_certificate() {
    let floor = |issued: UnixTime, before: Option<UnixTime>| {
        let release = Release { issued, expires: UnixTime(i64::from(u32::MAX) * 2), ..release() };
        let clock = Clock { now: NOW, floor: before, is_set: true };
        let text = release.encode().unwrap();
        let cms = sign_attached(text.as_bytes(), &HOUSE.identity, later(5)).unwrap();
        let verified = VerifiedRelease::open(&cms, &HOUSE.keyring, &clock).unwrap();
        let expected = Expected { product: "rock64", seen: None, clock: &clock, origin: &ORIGIN };
        verified.accept(&expected).unwrap().floor
    };
    assert_eq!(floor(NOW, None), NOW);
    assert_eq!(floor(NOW, Some(later(2))), later(2));
    assert_eq!(floor(later(3), Some(later(2))), later(3));
    assert_eq!(floor(later(9), None), later(5), "the signature is older than it says");
    let far = later(3650 * 3);
    assert!(floor(far, None) < far);
}

#[test]
fn a_place_that_is_not_gone_to_is_named() {
    let near = Release {
        urls: vec!["u.raucb".to_owned(), "https://169.254.169.254/u".to_owned()],
        ..release()
    };
    let refused = accept(&near, &set(NOW), None).unwrap_err();
    let cause = PlaceError::Url(UrlError::TooNear {
        host: "169.254.169.254".to_owned(),
        what: "link-local",
        by: "updates.example.org".to_owned(),
    });
    let place = matches!(&refused, ReleaseError::Place { index: 1, source } if *source == cause);
    assert!(place, "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever one byte becomes on its way, the document is refused or the same.
    #[test]
    fn a_changed_byte_changes_nothing_that_is_believed(at in any::<prop::sample::Index>(), with: u8) {
        let mut cms = signed(&release());
        let at = at.index(cms.len());
        cms[at] = with;
        if let Ok(verified) = VerifiedRelease::open(&cms, &HOUSE.keyring, &set(NOW)) {
            prop_assert_eq!(verified.release(), &release());
        }
    }

    /// The sequence that is remembered never falls, whatever comes in whatever order.
    #[test]
    fn what_is_seen_never_falls(numbers in prop::collection::vec(1_u64..6, 1..8)) {
        let mut seen: Option<SeenRelease> = None;
        for number in numbers {
            let next = Release { sequence: Sequence::new(number).unwrap(), ..release() };
            match accept(&next, &set(NOW), seen.as_ref()) {
                Ok(accepted) => {
                    let known = seen.map_or(0, |seen| seen.sequence);
                    prop_assert!(accepted.seen.sequence >= known);
                    seen = Some(accepted.seen);
                }
                Err(_) => prop_assert!(seen.as_ref().is_some_and(|seen| seen.sequence > number)),
            }
        }
    }
}
