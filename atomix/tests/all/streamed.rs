// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix install` of a bundle on a server: straight into the slots, from mirrors, and within
//! limits. That it goes on where it was after any cut is held by `updater/tests/all/resume.rs`.

use crate::cli_board::{ROOTFS_BYTES, SmallBoard, bundles, image};
use bootctl::SlotState;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A server with one file, which it refuses for good after so many bytes.
struct Server {
    url: String,
    sent: Arc<AtomicU64>,
}

impl Server {
    fn start(file: Vec<u8>, most: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/os/update.raucb?token=geheim", listener.local_addr().unwrap());
        let sent = Arc::new(AtomicU64::new(0));
        let (counted, file) = (Arc::clone(&sent), Arc::new(file));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (counted, file) = (Arc::clone(&counted), Arc::clone(&file));
                std::thread::spawn(move || serve(stream, &file, &counted, most));
            }
        });
        Self { url, sent }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, file: &[u8], sent: &AtomicU64, most: u64) {
    let mut to = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream).lines();
    loop {
        let mut range = None;
        loop {
            let Some(Ok(line)) = lines.next() else { return };
            if line.is_empty() {
                break;
            }
            if let Some(text) = line.strip_prefix("Range: bytes=") {
                let (first, last) = text.split_once('-').unwrap();
                range = Some((first.parse::<usize>().unwrap(), last.parse::<usize>().unwrap()));
            }
        }
        let (first, last) = range.expect("only ranges are asked for");
        let body = &file[first..=last.min(file.len() - 1)];
        let rest = most.saturating_sub(sent.load(Ordering::SeqCst));
        let rest = usize::try_from(rest).unwrap_or(usize::MAX);
        let there = &body[..rest.min(body.len())];
        let answer = if there.is_empty() {
            b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n".to_vec()
        } else {
            sent.fetch_add(there.len() as u64, Ordering::SeqCst);
            let last = first + body.len() - 1;
            let range = format!("Content-Range: bytes {first}-{last}/{}", file.len());
            let head = format!(
                "HTTP/1.1 206 Part\r\nContent-Length: {}\r\n{range}\r\nETag: \"one\"\r\n\r\n",
                body.len()
            );
            [head.as_bytes(), there].concat()
        };
        if to.write_all(&answer).is_err() || (1..body.len()).contains(&there.len()) {
            return;
        }
    }
}

/// Certificates are judged by the signed signing time, and nothing is read before it is written.
fn board() -> SmallBoard {
    let board = SmallBoard::new();
    let conf = "/etc/rauc/system.conf";
    board.replace(conf, "[keyring]\n", "[keyring]\nuse-bundle-signing-time=true\n");
    board.replace(conf, "perform-pre-check=true\n", "");
    board
}

fn holds_good(board: &SmallBoard) -> bool {
    board.read("/dev/mmcblk1p4") == image(70, ROOTFS_BYTES)
        && board.state().b.state == SlotState::Trying
}

#[test]
fn bundle_goes_from_its_server_into_the_slot_and_nowhere_else() {
    let (board, server) = (board(), Server::start(bundles::good(), u64::MAX));
    let before: Vec<_> = board.everything().into_keys().collect();
    let ran = board.run(&["install", &server.url]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("installed 2.0.0 into slot B; it boots next"), "{}", ran.stdout);
    assert!(holds_good(&board));
    let len = bundles::good().len() as u64;
    assert!(server.sent() <= len + len / 5, "{} of {len}", server.sent());
    let after = board.everything();
    let new: Vec<_> = after.keys().filter(|path| !before.contains(path)).collect();
    assert!(new.iter().all(|path| after[*path].len() < 4096), "{new:?}");
    assert!(!new.iter().any(|path| path.ends_with("install.resume")), "{new:?}");
    // What is secret in an address is told nobody, and written nowhere.
    assert!(!(ran.stdout + &ran.stderr).contains("geheim"));
    let told = after.values().any(|bytes| bytes.windows(6).any(|word| word == b"geheim"));
    assert!(!told);
}

#[test]
fn an_interrupted_install_goes_on_where_it_was_when_it_is_asked_for_again() {
    let size = 64 << 20;
    let bundle = bundles::Recipe { rootfs_bytes: size, ..bundles::Recipe::default() }.make();
    let board = board();
    board.write("/dev/mmcblk1p4", vec![0; size]);
    let gone = Server::start(bundle.clone(), 56 << 20);
    let ran = board.run(&["install", &gone.url]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let note = board.read("/data/atomix/install.resume");
    let note = String::from_utf8(note).unwrap();
    assert!(note.contains("slot rootfs.1 "), "{note}");
    assert_eq!(board.state().b.state, SlotState::Writing);
    let whole = Server::start(bundle, u64::MAX);
    let ran = board.run(&["install", &whole.url]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("going on with an interrupted install"), "{}", ran.stderr);
    // Each 16 MiB are noted; what was on its way is fetched again.
    assert!(whole.sent() < 50 << 20, "{} bytes", whole.sent());
    assert!(board.read("/dev/mmcblk1p4") == image(70, size));
    assert_eq!(board.state().b.state, SlotState::Trying);
    assert!(!board.path("/data/atomix/install.resume").exists());
}

#[test]
fn what_would_be_fetched_is_told_before_and_held_to_a_limit() {
    let (board, server) = (board(), Server::start(bundles::good(), u64::MAX));
    let before = board.everything();
    let ran = board.run(&["install", "--dry-run", &server.url]);
    assert!(ran.code == 0 && ran.stdout.contains("would be fetched"), "{}", ran.stdout);
    let ran = board.run(&["--json", "install", "--dry-run", &server.url]);
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let bytes = told["transfer_bytes"].as_u64().unwrap();
    let len = bundles::good().len() as u64;
    assert!(bytes >= ROOTFS_BYTES as u64 && bytes <= len + 2 * 65_536, "{bytes} of {len}");
    assert!(server.sent() < 200_000, "{}", server.sent());
    // A bundle with more in it: of the good one the signature alone is too much then.
    let recipe = bundles::Recipe::default();
    let large = Server::start(recipe.make(), u64::MAX);
    let ran = board.run(&["install", "--max-bytes", "0", &large.url]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("may be fetched"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: allow more bytes"), "{}", ran.stderr);
    assert_eq!(
        board.everything().get(&board_path("dev/mmcblk1p4")),
        before.get(&board_path("dev/mmcblk1p4"))
    );
    let ran = board.run(&["install", "--max-bytes", "2", "--limit-rate", "4096", &large.url]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

fn board_path(path: &str) -> std::path::PathBuf {
    path.into()
}

#[test]
fn mirror_takes_over_and_that_is_told() {
    let (board, len) = (board(), bundles::good().len() as u64);
    let bad = Server::start(bundles::good(), len / 2);
    let good = Server::start(bundles::good(), u64::MAX);
    let ran = board.run(&["install", &bad.url, "--mirror", &good.url]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("leaving the mirror http://127.0.0.1"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("geheim"), "{}", ran.stderr);
    assert!(holds_good(&board));
}

#[test]
fn what_cannot_be_had_or_believed_changes_nothing_and_is_told_by_its_code() {
    let board = board();
    let slot = board.read("/dev/mmcblk1p4");
    let good = Server::start(bundles::good(), u64::MAX);
    let stranger = bundles::Recipe::default().signed_by(bundles::stranger());
    let foreign = Server::start(stranger, u64::MAX);
    let gone = Server::start(bundles::good(), 0);
    let file = board.path("/update.raucb").to_str().unwrap().to_owned();
    board.write("/update.raucb", bundles::good());
    for (code, args, says) in [
        (1, vec![gone.url.as_str()], "404"),
        (4, vec![foreign.url.as_str()], "cannot use http://127.0.0.1"),
        (2, vec![good.url.as_str(), "--https-only"], "is not https"),
        (2, vec![good.url.as_str(), "--proxy", "nowhere"], "proxy"),
        (2, vec!["http://user@bad host/x"], "cannot fetch the bundle"),
        (2, vec![file.as_str(), "--mirror", good.url.as_str()], "for a bundle on a server"),
    ] {
        let ran = board.run(&[&["install"][..], &args].concat());
        assert_eq!(ran.code, code, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("geheim"), "{args:?}: {}", ran.stderr);
        assert_eq!(board.state().b.state, SlotState::Good, "{args:?}");
        assert!(board.read("/dev/mmcblk1p4") == slot, "{args:?}");
    }
}
