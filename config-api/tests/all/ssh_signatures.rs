// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures of the real `ssh-keygen` are believed, whatever the key's type, and only for the
//! request that they were made for; what we believe, `ssh-keygen -Y verify` believes too.

use crate::ssh::{Keygen, Token, armor, put};
use config_api::auth::{
    AdminSigners, Body, Claim, ClientKey, Denied, DeviceId, NonceStore, SignatureError,
    SignedRequest, Uptime, authenticate, parse_armored,
};
use std::net::{IpAddr, Ipv4Addr};

const NOW: Uptime = Uptime(1000);
const BODY: &[u8] = b"{\"isAdmin\":false}";

/// One device, one nonce, one request.
struct Desk {
    device: DeviceId,
    nonces: NonceStore,
    nonce: String,
    sha256: String,
}

impl Desk {
    fn new() -> Self {
        let mut nonces = NonceStore::default();
        let client = ClientKey::of(IpAddr::V4(Ipv4Addr::new(172, 20, 30, 17)));
        let nonce = nonces.issue(client, [7; 32], NOW).unwrap().to_string();
        let sha256 = hex::encode(openssl::sha::sha256(BODY));
        Self { device: DeviceId::new("0a1b2c3d4e5f").unwrap(), nonces, nonce, sha256 }
    }

    fn request(&self) -> SignedRequest<'_> {
        SignedRequest {
            device: &self.device,
            nonce: &self.nonce,
            method: "PUT",
            target: "/api/config/users/guest?x=1",
            content_type: "application/json",
            file_name: "",
            if_match: "\"1\"",
            sha256: &self.sha256,
        }
    }

    /// The request as it arrives, with this signature; `change` is somebody in between.
    fn judge(
        &mut self,
        signers: &AdminSigners,
        armored: &str,
        change: fn(&mut Claim<'_>),
    ) -> Result<String, Denied> {
        let header = openssl::base64::encode_block(armored.as_bytes());
        let mut claim = Claim {
            method: "PUT",
            target: "/api/config/users/guest?x=1",
            content_type: Some("application/json"),
            file_name: None,
            if_match: Some("\"1\""),
            nonce: Some(&self.nonce),
            signature: Some(&header),
            sha256: Some(&self.sha256),
            body: Body::Announced,
        };
        change(&mut claim);
        let verified = authenticate(&claim, &self.device, signers, &mut self.nonces, NOW)?;
        Ok(verified.fingerprint().to_owned())
    }
}

#[test]
fn every_type_of_key_signs_and_its_request_is_believed_once() {
    let keys = [
        ("ed25519", None),
        ("ecdsa", Some("256")),
        ("ecdsa", Some("384")),
        ("ecdsa", Some("521")),
        ("rsa", Some("2048")),
    ];
    for (kind, bits) in keys {
        let keygen = Keygen::new(kind, bits);
        let mut desk = Desk::new();
        let armored = keygen.sign(&desk.request().message().unwrap());
        let signers = AdminSigners::parse(&keygen.public());
        let fingerprint = desk.judge(&signers, &armored, |_| {}).unwrap();
        assert_eq!(fingerprint, keygen.fingerprint(), "{kind}");
        let again = desk.judge(&signers, &armored, |_| {});
        assert_eq!(again, Err(Denied::Nonce), "{kind}: a nonce is good for one request");
    }
}

#[test]
fn rsa_signs_with_either_hash_and_never_with_sha1() {
    let keygen = Keygen::new("rsa", Some("2048"));
    for hash in ["sha256", "sha512"] {
        let mut desk = Desk::new();
        let armored = keygen.sign_hashed(&desk.request().message().unwrap(), hash);
        let signers = AdminSigners::parse(&keygen.public());
        assert!(desk.judge(&signers, &armored, |_| {}).is_ok(), "{hash}");
        let old = crate::ssh::rename_algorithm(&armored, b"rsa-sha2-512", b"ssh-rsa");
        let verdict = Desk::new().judge(&signers, &old, |_| {});
        assert_eq!(verdict, Err(Denied::Signature(SignatureError::Algorithm)));
    }
}

#[test]
fn whatever_somebody_in_between_changes_is_noticed() {
    let keygen = Keygen::new("ed25519", None);
    let signers = AdminSigners::parse(&keygen.public());
    let changes: [fn(&mut Claim<'_>); 8] = [
        |claim| claim.method = "DELETE",
        |claim| claim.target = "/api/config/users/guest",
        |claim| claim.target = "/api/config/users/guest?x=2",
        |claim| claim.target = "/api/config/users/%67uest?x=1",
        |claim| claim.content_type = Some("text/plain"),
        |claim| claim.file_name = Some("config.tar.gz"),
        |claim| claim.if_match = None,
        |claim| {
            claim.sha256 = Some("0000000000000000000000000000000000000000000000000000000000000000");
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut desk = Desk::new();
        let armored = keygen.sign(&desk.request().message().unwrap());
        let verdict = desk.judge(&signers, &armored, change);
        assert_eq!(verdict, Err(Denied::Signature(SignatureError::Wrong)), "change {number}");
        let again = desk.judge(&signers, &armored, |_| {});
        assert_eq!(again, Err(Denied::Nonce), "change {number}: one try for one nonce");
    }
}

#[test]
fn another_devices_nonce_shown_as_ours_leads_nowhere() {
    let keygen = Keygen::new("ed25519", None);
    let mut desk = Desk::new();
    let other = DeviceId::new("ffffffffffff").unwrap();
    let message = SignedRequest { device: &other, ..desk.request() }.message().unwrap();
    let verdict =
        desk.judge(&AdminSigners::parse(&keygen.public()), &keygen.sign(&message), |_| {});
    assert_eq!(verdict, Err(Denied::Signature(SignatureError::Wrong)));
}

#[test]
fn what_is_wrong_at_first_sight_costs_no_nonce() {
    let keygen = Keygen::new("ed25519", None);
    let stranger = Keygen::new("ed25519", None);
    let mut desk = Desk::new();
    let message = desk.request().message().unwrap();
    let signers = AdminSigners::parse(&keygen.public());
    let strange = desk.judge(&signers, &stranger.sign(&message), |_| {});
    assert_eq!(strange, Err(Denied::UnknownKey));
    let foreign = desk.judge(&signers, &keygen.sign_for(&message, "file"), |_| {});
    let expected = SignatureError::Namespace { expected: "atomixos-reapply" };
    assert_eq!(foreign, Err(Denied::Unreadable(expected)));
    let armored = keygen.sign(&message);
    let unsaid = desk.judge(&signers, &armored, |claim| claim.sha256 = None);
    assert_eq!(unsaid, Err(Denied::Missing { name: "x-atomixos-sha256" }));
    let nobody = desk.judge(&AdminSigners::parse("# none yet\n"), &armored, |_| {});
    assert_eq!(nobody, Err(Denied::NoSigners));
    assert!(desk.judge(&signers, &armored, |_| {}).is_ok());
}

#[test]
fn a_cut_key_beside_a_good_one_is_told_and_locks_nobody_out() {
    let keygen = Keygen::new("ed25519", None);
    let cut: String = keygen.public().chars().take(60).collect();
    let signers = AdminSigners::parse(&format!("{cut}\n\n{}", keygen.public()));
    assert_eq!(signers.skipped().first().map(|(line, _)| *line), Some(1));
    let mut desk = Desk::new();
    let armored = keygen.sign(&desk.request().message().unwrap());
    assert!(desk.judge(&signers, &armored, |_| {}).is_ok());
}

#[test]
fn security_keys_sign_as_ssh_keygen_reads_them_and_only_when_touched() {
    for token in [Token::ed25519(), Token::ecdsa()] {
        let mut desk = Desk::new();
        let message = desk.request().message().unwrap();
        let armored = token.sign(&message, 0x01);
        assert!(crate::ssh::believes(&token.public(), &armored, &message), "the token is no token");
        let signers = AdminSigners::parse(&token.public());
        assert!(desk.judge(&signers, &armored, |_| {}).is_ok());
        let untouched = Desk::new().judge(&signers, &token.sign(&message, 0x00), |_| {});
        assert_eq!(untouched, Err(Denied::Signature(SignatureError::NotTouched)));
        let other = token.sign(b"something else", 0x01);
        let wrong = Desk::new().judge(&signers, &other, |_| {});
        assert_eq!(wrong, Err(Denied::Signature(SignatureError::Wrong)));
    }
}

/// The flags of a token (`PROTOCOL.u2f`): 1 somebody touched it, 4 it knows whom, others are of no
/// meaning here. `ssh-keygen` is the judge of the arithmetic, whatever the flags; it asks for no
/// touch, which is a login's demand (`sshd`) and ours.
#[test]
fn of_all_flags_of_a_token_only_the_touch_counts_and_it_is_demanded() {
    for token in [Token::ed25519(), Token::ecdsa()] {
        let message = Desk::new().request().message().unwrap();
        let signers = AdminSigners::parse(&token.public());
        for flags in [0x00, 0x01, 0x04, 0x05, 0x40, 0x41, 0x80, 0xc5, 0xfe, 0xff_u8] {
            let armored = token.sign(&message, flags);
            let verdict = Desk::new().judge(&signers, &armored, |_| {});
            let is_touched = flags & 1 == 1;
            let untouched = Err(Denied::Signature(SignatureError::NotTouched));
            match verdict {
                Ok(_) => assert!(is_touched, "flags {flags:#04x}"),
                Err(_) => assert_eq!((verdict, is_touched), (untouched, false), "{flags:#04x}"),
            }
            assert!(
                crate::ssh::believes(&token.public(), &armored, &message),
                "flags {flags:#04x}"
            );
        }
        // Flags and counter, the last five bytes, are signed: nobody adds a touch afterwards.
        let untouched = crate::ssh::unarmor(&token.sign(&message, 0x00));
        for (back, bit) in [(5, 0x01), (4, 0x01), (1, 0x80)] {
            let mut changed = untouched.clone();
            let end = changed.len();
            changed[end - 5] |= 0x01;
            changed[end - back] ^= if back == 5 { 0 } else { bit };
            let verdict = Desk::new().judge(&signers, &armor(&changed), |_| {});
            assert_eq!(verdict, Err(Denied::Signature(SignatureError::Wrong)), "{back}");
        }
    }
}

#[test]
fn a_token_signs_for_the_application_of_its_key_alone() {
    for token in [Token::ed25519(), Token::ecdsa()] {
        let message = Desk::new().request().message().unwrap();
        let (armored, public) = (token.sign(&message, 0x01), token.public());
        let renamed = token.of_application(b"ssh:work");
        assert_ne!(renamed.public(), public);
        // The same numbers under another application's name are another key ...
        let signers = AdminSigners::parse(&renamed.public());
        let verdict = Desk::new().judge(&signers, &armored, |_| {});
        assert_eq!(verdict, Err(Denied::UnknownKey));
        // ... which signs for itself, as ssh-keygen agrees.
        let own = renamed.sign(&message, 0x01);
        assert!(crate::ssh::believes(&renamed.public(), &own, &message));
        assert!(Desk::new().judge(&signers, &own, |_| {}).is_ok());
        // A signature that was made for one and names the other is of no use to either.
        let forged = renamed.claiming(&token, &message);
        let verdict = Desk::new().judge(&AdminSigners::parse(&public), &forged, |_| {});
        assert_eq!(verdict, Err(Denied::Signature(SignatureError::Wrong)));
        assert!(!crate::ssh::believes(&public, &forged, &message));
    }
}

#[test]
fn what_we_believe_ssh_keygen_believes() {
    let keygen = Keygen::new("ecdsa", Some("256"));
    let message = Desk::new().request().message().unwrap();
    let blob = crate::ssh::unarmor(&keygen.sign(&message));
    let signers = AdminSigners::parse(&keygen.public());
    let mut believed = 0;
    for at in 0..blob.len() {
        let mut changed = blob.clone();
        // The highest bit of a length, the lowest of a value: something breaks everywhere.
        *changed.get_mut(at).unwrap() ^= 1;
        let armored = armor(&changed);
        if Desk::new().judge(&signers, &armored, |_| {}).is_ok() {
            believed += 1;
            assert!(crate::ssh::believes(&keygen.public(), &armored, &message), "byte {at}");
        }
    }
    assert_eq!(believed, 0, "every bit of a signature matters");
}

#[test]
fn reserved_bytes_and_bytes_behind_the_end_are_refused() {
    let mut blob = b"SSHSIG\0\0\0\x01".to_vec();
    for field in [&b"key"[..], b"atomixos-reapply", b"later", b"sha512", b"signature"] {
        put(&mut blob, field);
    }
    assert_eq!(parse_armored(&armor(&blob)), Err(SignatureError::Format));
    let keygen = Keygen::new("ed25519", None);
    let mut long = crate::ssh::unarmor(&keygen.sign(b"x"));
    long.push(0);
    assert_eq!(parse_armored(&armor(&long)), Err(SignatureError::Trailing));
    assert_eq!(parse_armored(&"-".repeat(9000)), Err(SignatureError::TooLong { limit: 8192 }));
    assert_eq!(parse_armored(""), Err(SignatureError::NotArmored));
}
