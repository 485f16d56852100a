// SPDX-License-Identifier: MIT OR Apache-2.0
//! A release outlives a power cut at the publisher's: whenever it comes, the document on the web server
//! is whole and names a bundle that is there whole. The kernel is asked in which order files reach the disk
//! (`strace`), because what was only handed to it is lost with the power.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]
#![cfg(target_os = "linux")]

mod cli_board;

use cli_board::{SmallBoard, bundles};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What the kernel was asked for, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Bytes of this file.
    Write(PathBuf),
    /// All that was asked for of this file or directory is on the disk.
    Sync(PathBuf),
    /// The file of the first name is found under the second.
    Name(PathBuf, PathBuf),
}

/// One call as `strace -y` tells it: `7 fsync(4</srv/a>) = 0`.
fn step_of(line: &str) -> Option<Step> {
    let call = line.split_once(' ')?.1.trim_start();
    let (name, rest) = call.split_once('(')?;
    if rest.rsplit_once(" = ")?.1.starts_with('-') {
        return None;
    }
    let file = || Some(PathBuf::from(rest.split_once('<')?.1.split_once('>')?.0));
    let mut quoted = rest.split('"').skip(1).step_by(2).map(PathBuf::from);
    match name {
        "write" | "pwrite64" | "writev" => file().map(Step::Write),
        "sendfile" => file().map(Step::Write),
        // The file that is written stands second.
        "copy_file_range" => {
            rest.split('<').nth(2)?.split_once('>').map(|(path, _)| Step::Write(path.into()))
        }
        "fsync" | "fdatasync" => file().map(Step::Sync),
        "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
            Some(Step::Name(quoted.next()?, quoted.next()?))
        }
        _ => None,
    }
}

/// The publisher's machine; what was done in the directory of the web server.
fn steps_of(way: &str) -> (Vec<Step>, PathBuf) {
    let board = SmallBoard::new();
    board.offer_good();
    let srv = board.path("/srv/updates");
    fs::create_dir_all(&srv).unwrap();
    let srv = srv.canonicalize().unwrap();
    let pki = bundles::pki();
    board.write("/signer.cert.pem", &pki.signer_cert_pem);
    board.write("/signer.key.pem", &pki.signer_key_pem);
    let log = board.path("/calls");
    let calls = "write,pwrite64,writev,sendfile,copy_file_range,fsync,fdatasync,rename,renameat,\
                 renameat2,link,linkat";
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "1", "-e", &format!("trace={calls}"), "-o"]).arg(&log);
    strace.arg(env!("CARGO_BIN_EXE_atomix")).arg("--root").arg(board.root());
    strace.args(["release", "publish"]).arg(board.path("/update.raucb")).arg(&srv);
    strace.arg("--cert").arg(board.path("/signer.cert.pem"));
    strace.arg("--key").arg(board.path("/signer.key.pem")).arg(way);
    let ran = strace.output().expect("strace, which .ci/setup installs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let inside = |path: &PathBuf| path.starts_with(&srv);
    let steps = fs::read_to_string(log).unwrap();
    let steps = steps.lines().filter_map(step_of).filter(|step| match step {
        Step::Write(path) | Step::Sync(path) | Step::Name(_, path) => inside(path),
    });
    (steps.collect(), srv)
}

/// What a step is called, and how it is known.
type Wanted<'w> = (&'w str, &'w dyn Fn(&Step) -> bool);

/// Where each of these steps first comes, which is after the one before.
fn hold_in_order(steps: &[Step], order: &[Wanted<'_>]) {
    let mut from = 0;
    for (what, is) in order {
        let found = steps[from..].iter().position(is);
        let at = found.unwrap_or_else(|| panic!("{what} is missing behind {from}: {steps:#?}"));
        from += at + 1;
    }
}

/// The end of both ways: a whole document takes the name that the devices ask for.
fn hold_the_documents_end(steps: &[Step], srv: &std::path::Path) {
    let document = srv.join("small-board.release");
    let named = |step: &Step| matches!(step, Step::Name(_, to) if *to == document);
    let at = steps.iter().position(named).expect("the document");
    let Step::Name(temp, _) = &steps[at] else { unreachable!() };
    hold_in_order(
        steps,
        &[
            ("the document's bytes", &|step| *step == Step::Write(temp.clone())),
            ("their way to the disk", &|step| *step == Step::Sync(temp.clone())),
            ("its name", &named),
            ("the name's way to the disk", &|step| *step == Step::Sync(srv.to_owned())),
        ],
    );
    // Nothing is written later, and no name is given.
    let later = &steps[at + 1..];
    assert!(later.iter().all(|step| matches!(step, Step::Sync(_))), "{later:?}");
}

#[test]
fn a_copied_bundle_is_on_the_disk_before_the_document_names_it() {
    let (steps, srv) = steps_of("--copy");
    let (bundle, document) = (srv.join("update.raucb"), srv.join("small-board.release"));
    let named = |step: &Step| matches!(step, Step::Name(_, to) if *to == bundle);
    let at = steps.iter().position(named).expect("the bundle");
    let Step::Name(temp, _) = &steps[at] else { unreachable!() };
    let written = steps.iter().rposition(|step| *step == Step::Write(temp.clone()));
    let rest = &steps[written.expect("the bundle's bytes")..];
    hold_in_order(
        rest,
        &[
            ("the bytes' way to the disk", &|step| *step == Step::Sync(temp.clone())),
            ("the bundle's name", &named),
            ("the name's way to the disk", &|step| *step == Step::Sync(srv.clone())),
            ("the document", &|step| matches!(step, Step::Name(_, to) if *to == document)),
        ],
    );
    hold_the_documents_end(&steps, &srv);
}

#[test]
fn a_linked_bundle_is_on_the_disk_before_the_document_names_it() {
    let (steps, srv) = steps_of("--link");
    let (bundle, document) = (srv.join("update.raucb"), srv.join("small-board.release"));
    hold_in_order(
        &steps,
        &[
            ("the bundle's name", &|step| matches!(step, Step::Name(_, to) if *to == bundle)),
            ("the bytes' way to the disk", &|step| *step == Step::Sync(bundle.clone())),
            ("the name's way to the disk", &|step| *step == Step::Sync(srv.clone())),
            ("the document", &|step| matches!(step, Step::Name(_, to) if *to == document)),
        ],
    );
    hold_the_documents_end(&steps, &srv);
}
