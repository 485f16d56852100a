// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot pages in a real browser, Debian's Chromium: with and without scripts, on a phone's
//! window, by keyboard, judged by axe for everybody's use. Wants a browser, hence ignored unless
//! `cargo xtask test "boot pages"` asks.

#![cfg(all(target_os = "linux", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    reason = "a test may stop where it stands, and starts a browser"
)]

mod door;
mod fake;
mod ssh;
mod webdriver;

use door::{Call, Door};
use fake::Fake;
use std::path::{Path, PathBuf};
use std::process::Command;
use webdriver::{Browser, Scripts};

const VALID: &str = include_str!("fixtures/001-minimal/input.toml");

/// Two faults that a correction of one line each mends.
const FAULTY: &str = include_str!("faulty.toml");

const BUNDLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/027-bundle-gzip-files-and-tokens/input.tar.gz"
);

const DONE: &str = "Done: the configuration is in force.";

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

fn door() -> Door {
    let fake = Fake::unprovisioned();
    fake.with(|state| {
        state.is_strict = true;
        state.forwarding_url = Some("http://172.20.30.1:8080".to_owned());
    });
    Door::open(fake)
}

fn first_page(door: &Door) -> String {
    format!("http://{}/", door.address)
}

/// Keeps a picture for the manual, if pictures are wanted; takes it in any case.
fn keep_picture(browser: &Browser, name: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    let wanted = std::env::var_os("ATOMIX_WRITE_IMAGES").is_some();
    let dir = if wanted { images.as_path() } else { scratch.path() };
    let file = dir.join(format!("{name}.png"));
    browser.picture(&file);
    if wanted {
        // A third of the size; 64 colours are more than a page has.
        let mut shrink = Command::new("pngquant");
        shrink.args(["--strip", "--force", "--speed", "1", "--output"]).arg(&file);
        let done = shrink.args(["64", "--"]).arg(&file).status().expect("pngquant makes it small");
        assert!(done.success(), "{done}");
    }
    assert!(images.join(format!("{name}.png")).is_file(), "ATOMIX_WRITE_IMAGES=1 makes {name}");
}

fn focused(browser: &Browser) -> String {
    let focused =
        browser.script("return document.activeElement.id || document.activeElement.tagName");
    focused.as_str().unwrap().to_owned()
}

fn value(browser: &Browser) -> String {
    browser.script("return document.getElementById('config').value").as_str().unwrap().to_owned()
}

/// What a person would paste, which takes no key for each letter.
fn paste(browser: &Browser, text: &str) {
    let text = serde_json::to_string(text).unwrap();
    browser.script(&format!("document.getElementById('config').value = {text}"));
}

#[test]
#[ignore = "wants a browser: cargo xtask test 'boot pages'"]
fn with_scripts_on_a_phone_by_keyboard_from_faults_to_the_final_address() {
    let door = door();
    let browser = Browser::start(Scripts::On);
    browser.open(&first_page(&door));
    browser.judge("the form");
    keep_picture(&browser, "boot-form");
    browser.script("window.same = true");
    paste(&browser, FAULTY);
    // By keyboard alone: text, file, button.
    browser.script("document.getElementById('config').focus()");
    browser.press(&[TAB]);
    assert_eq!(focused(&browser), "file");
    browser.press(&[TAB, ENTER]);
    browser.wait_for_text("2 faults – nothing was changed");
    assert_eq!(focused(&browser), "faults", "whoever listens hears the faults first");
    assert_eq!(browser.address(), first_page(&door), "a reload leads to the form");
    browser.judge("the faults");
    keep_picture(&browser, "boot-faults");
    assert_eq!(value(&browser), FAULTY);
    // To the first fault, and to its place in the text.
    browser.press(&[TAB, ENTER]);
    assert!(browser.address().ends_with("#fault-1"), "{}", browser.address());
    browser.click("#fault-1 a");
    assert_eq!(focused(&browser), "config");
    let chosen =
        "const a = document.activeElement; return a.value.slice(a.selectionStart, a.selectionEnd)";
    assert_eq!(browser.script(chosen), "\"fish\"");
    browser.press(&["\"", "z", "s", "h", "\""]);
    browser.click("#fault-2 a");
    assert_eq!(browser.script(chosen), "99999]");
    browser.press(&["4", "4", "3", "]"]);
    door.fake.hold();
    browser.click("button");
    browser.wait_for_text("Under way: writing it beside what is in force.");
    assert_eq!(browser.script("return window.same"), true, "the page was never loaded anew");
    let job = browser.address();
    assert!(job.contains("/ui/jobs/"), "{job}");
    browser.judge("a change under way");
    keep_picture(&browser, "boot-progress");
    door.fake.release();
    browser.wait_for_text(DONE);
    browser.wait_for_text("http://172.20.30.1:8080");
    assert_eq!(browser.script("return window.same"), true, "each step was pushed");
    browser.judge("the end");
    keep_picture(&browser, "boot-done");
    let kept =
        browser.script("return Object.keys(localStorage).concat(Object.keys(sessionStorage))");
    // The address alone, of this window alone.
    assert_eq!(kept, serde_json::json!(["htmx-current-path-for-history"]), "pages hold secrets");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let corrected = FAULTY.replace("fish", "zsh").replace("99999", "443");
    assert_eq!(door.fake.with(|state| state.applied[0].1.clone()), corrected);
    browser.open(&first_page(&door));
    browser.judge("a device with a configuration");
}

#[test]
#[ignore = "wants a browser: cargo xtask test 'boot pages'"]
fn without_scripts_from_faults_to_the_final_address() {
    let door = door();
    let browser = Browser::start(Scripts::Off);
    browser.open(&first_page(&door));
    browser.enter("#config", FAULTY);
    browser.click("button");
    browser.wait_for_text("2 faults – nothing was changed");
    assert!(browser.address().ends_with("/apply"), "scripts are on: {}", browser.address());
    assert_eq!(value(&browser), FAULTY);
    assert_eq!(focused(&browser), "faults");
    browser.click("#faults a");
    assert!(browser.text_of("#fault-1 mark").contains("\"fish\""));
    paste(&browser, VALID);
    door.fake.hold();
    browser.click("button");
    browser.wait_for_text("Under way: ");
    assert!(browser.address().contains("/ui/jobs/"));
    door.fake.release();
    // It is asked for again by itself.
    browser.wait_for_text(DONE);
    assert!(browser.text_of(".address").contains("http://172.20.30.1:8080"));
    assert_eq!(door.fake.with(|state| state.applied[0].1.clone()), VALID);
}

#[test]
#[ignore = "wants a browser: cargo xtask test 'boot pages'"]
fn a_chosen_file_is_corrected_in_the_form_and_a_failure_is_told() {
    let door = door();
    let browser = Browser::start(Scripts::On);
    browser.resize(1024, 768);
    browser.open(&first_page(&door));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hall 3.toml");
    std::fs::write(&file, FAULTY).unwrap();
    browser.enter("#file", file.to_str().unwrap());
    browser.click("button");
    browser.wait_for_text("The text of hall 3.toml stands in the form below");
    assert_eq!(value(&browser), FAULTY);
    std::fs::write(&file, VALID).unwrap();
    browser.enter("#file", file.to_str().unwrap());
    door.fake.with(|state| state.failure = Some("caddy.service: exited with 1".to_owned()));
    browser.click("button");
    browser.wait_for_text("Failed: the configuration is not in force.");
    browser.wait_for_text("the device is as it was delivered");
    browser.judge("a failure");
    keep_picture(&browser, "boot-failed");
    door.fake.with(|state| state.failure = None);
    browser.click("#job a");
    browser.wait_for_text("Set up this device");
    browser.enter("#file", BUNDLE);
    browser.click("button");
    browser.wait_for_text(DONE);
    assert!(door.fake.with(|state| state.applied[0].1.contains("${FILES_DIR}")));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "wants a browser: cargo xtask test 'boot pages'"]
fn a_service_that_ends_and_begins_again_loses_neither_the_page_nor_the_text() {
    let door = door();
    let port = door.address.port();
    let browser = Browser::start(Scripts::On);
    browser.open(&first_page(&door));
    paste(&browser, VALID);
    let fake = door.fake.clone();
    let dir = door.kill();
    browser.click("button");
    browser.wait_for_text("The device does not answer.");
    assert_eq!(value(&browser), VALID);
    fake.hold();
    let door = Door::open_at(dir, fake.clone(), port);
    // Somebody else was faster.
    let other = door.call(&Call::new("POST", "/api/config").body(VALID));
    assert_eq!(other.status, 202);
    browser.click("button");
    browser.wait_for_text("Nothing was changed. Send it again.");
    assert_eq!((focused(&browser), value(&browser)), ("notice".to_owned(), VALID.to_owned()));
    browser.judge("a refusal");
    fake.with(|state| state.failure = Some("it was not meant".to_owned()));
    fake.release();
    door.finished(&other);
    fake.with(|state| state.failure = None);
    fake.hold();
    browser.click("button");
    browser.wait_for_text("Under way: writing it beside what is in force.");
    let dir = door.kill();
    browser.wait_for_text("The connection is lost.");
    browser.judge("a lost connection");
    let _door = Door::open_at(dir, fake.clone(), port);
    browser.wait_for_text("Under way: begun.");
    assert!(!browser.text().contains("The connection is lost."));
    fake.release();
    browser.wait_for_text(DONE);
    browser.wait_for_text("http://172.20.30.1:8080");
}

#[test]
#[ignore = "wants a browser: cargo xtask test 'boot pages'"]
fn a_text_browser_can_do_it_too() {
    let door = door();
    let dir = tempfile::tempdir().unwrap();
    let ask = |arguments: &[&str]| {
        let mut command = Command::new("w3m");
        command.env("HOME", dir.path()).args(arguments).arg("-dump").args(["-cols", "60"]);
        let shown = command.output().expect("w3m is installed by .ci/setup");
        String::from_utf8(shown.stdout).unwrap()
    };
    let form = ask(&[&first_page(&door)]);
    for part in ["Set up this device", "Paste your config.toml", "Or choose a file", "Apply"] {
        assert!(form.contains(part), "{part}: {form}");
    }
    assert!(!form.contains("does not answer"), "{form}");
    let sent: PathBuf = dir.path().join("sent");
    let body = format!(
        "--x\r\nContent-Disposition: form-data; name=\"config\"\r\n\r\n{FAULTY}\r\n--x--\r\n"
    );
    std::fs::write(&sent, body).unwrap();
    let kind = "Content-Type: multipart/form-data; boundary=x";
    let apply = format!("{}apply", first_page(&door));
    let faults = ask(&["-header", kind, "-post", sent.to_str().unwrap(), &apply]);
    for part in ["2 faults", "Line 6, column 9", "shell = \"fish\"", "Hint: "] {
        assert!(faults.contains(part), "{part}: {faults}");
    }
}
