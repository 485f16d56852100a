// SPDX-License-Identifier: MIT OR Apache-2.0
//! Polling as a client on D-Bus sees it, with a server and an engine that are pretended.

use super::*;
use crate::rauc::client::{OBJECT, POLLER, SERVICE};
use crate::rauc::desk::tests::{FAILED_BEFORE, desk};
use crate::rauc::poller_bus::{BusPoller, announce_poll};
use crate::rauc::status_view::Variants;
use bundle::{Manifest, ManifestUse};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use updater::{PolledBundle, PollingRules, ServedBundle, Speedup, SystemConfig};
use zbus::blocking::connection::Builder;
use zbus::blocking::{Connection, MessageIterator, Proxy};
use zbus::zvariant::OwnedValue;
use zbus::{AuthMechanism, Guid};

const HASH: Digest = Digest::from_bytes([7; 32]);

/// A server that serves one bundle, and a clock that stands still where it is put.
struct FakeHands {
    hash: Digest,
    time: Mutex<u64>,
    looks: Mutex<Vec<(usize, Option<String>)>>,
    reboots: Mutex<Vec<Vec<String>>>,
}

impl PollHands for FakeHands {
    fn look(&self, headers: Vec<(String, String)>, tag: Option<String>, _: Stop) -> Fetched {
        let is_known = tag.is_some();
        lock(&self.looks).push((headers.len(), tag));
        if is_known {
            return Fetched::NotModified;
        }
        let text = "[update]\ncompatible=x\nversion=2\n[bundle]\nformat=plain\n";
        let manifest = Manifest::parse(text.as_bytes(), ManifestUse::Internal).unwrap();
        let served = ServedBundle { etag: Some("\"e\"".to_owned()), ..ServedBundle::default() };
        Fetched::Bundle(Box::new(PolledBundle { hash: self.hash, manifest, served }))
    }

    fn reboot(&self, argv: &[String], _: Stop) -> Result<(), String> {
        lock(&self.reboots).push(argv.to_vec());
        Ok(())
    }

    fn now(&self) -> BootTime {
        BootTime::from_micros(*lock(&self.time))
    }
}

struct Served {
    desk: Arc<Desk>,
    hands: Arc<FakeHands>,
    end: Sender<Result<(), String>>,
    changed: MessageIterator,
    client: Connection,
    _server: Connection,
}

/// A service that polls, and a client of it. Its thread looks at the time every 10 ms.
fn serve(lines: &str, hash: Digest) -> Served {
    let text = format!(
        "[system]\ncompatible=x\nbootloader=noop\n[polling]\nurl=http://x/y\ninterval-sec=1000\n\
         {lines}\n"
    );
    let config = SystemConfig::parse(&text, Path::new("/")).unwrap();
    let rules =
        PollingRules::new(&config.polling.unwrap(), Speedup::parse("1000").unwrap()).unwrap();
    let hands = Arc::new(FakeHands {
        hash,
        time: Mutex::new(1),
        looks: Mutex::default(),
        reboots: Mutex::default(),
    });
    let (desk, end) = desk();
    let held: Arc<FakeHands> = Arc::clone(&hands);
    let polling = Polling {
        poller: Poller::new(rules, Some("1"), 0, BootTime::from_micros(1)).unwrap(),
        url: "http://x/y".to_owned(),
        inhibit_files: Vec::new(),
        hands: held,
    };
    let polls = PollDesk::open(polling, &desk);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let served = Arc::clone(&polls);
    let server = std::thread::spawn(move || {
        let builder = Builder::async_io_unix_stream(ours).server(Guid::generate()).unwrap().p2p();
        let builder = builder.auth_mechanism(AuthMechanism::Anonymous);
        builder.serve_at(OBJECT, BusPoller::new(served)).unwrap().build().unwrap()
    });
    let client = Builder::async_io_unix_stream(theirs).p2p();
    let client = client.auth_mechanism(AuthMechanism::Anonymous).build().unwrap();
    let server = server.join().unwrap();
    let rule = "type='signal',interface='org.freedesktop.DBus.Properties'";
    let changed =
        MessageIterator::for_match_rule(zbus::MatchRule::try_from(rule).unwrap(), &client, None)
            .unwrap();
    let to = server.clone();
    polls.tell(Box::new(move |change| announce_poll(&to, &change).unwrap()));
    Served { desk, hands, end, changed, client, _server: server }
}

impl Served {
    fn proxy(&self) -> Proxy<'_> {
        let proxy = zbus::blocking::proxy::Builder::new(&self.client);
        proxy
            .destination(SERVICE)
            .and_then(|proxy| proxy.path(OBJECT))
            .and_then(|proxy| proxy.interface(POLLER))
            .unwrap()
            // As clients without a cache: what is read is what is shown now.
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .unwrap()
    }

    fn next_poll(&self) -> i64 {
        self.proxy().get_property("NextPoll").unwrap()
    }

    fn status(&self) -> Variants {
        self.proxy().get_property("Status").unwrap()
    }

    /// The name of the next property that changes.
    fn changed(&mut self) -> String {
        type Changed = (String, Variants, Vec<String>);
        let message = self.changed.next().unwrap().unwrap();
        let (interface, changed, _): Changed = message.body().deserialize().unwrap();
        assert_eq!(interface, POLLER);
        changed.into_keys().next().unwrap()
    }

    /// Puts the clock on the next time, and waits for the poll's end.
    fn poll(&mut self) {
        *lock(&self.hands.time) = u64::try_from(self.next_poll()).unwrap();
        while self.changed() != "NextPoll" {}
    }

    fn wait(&self, until: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !until(self) {
            assert!(began.elapsed() < Duration::from_secs(60), "it never came");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn text(status: &Variants, key: &str) -> Option<String> {
    let value: &OwnedValue = status.get(key)?;
    String::try_from(value.try_clone().unwrap()).ok()
}

#[test]
fn nothing_is_asked_before_the_booted_slot_was_marked_good_through_this_service() {
    let mut served = serve("", HASH);
    served.poll();
    assert_eq!(*lock(&served.hands.looks), []);
    served.desk.note_mark("good", "rootfs.0");
    served.poll();
    assert_eq!(*lock(&served.hands.looks), []);
    served.desk.note_mark("good", "booted");
    served.poll();
    // With the engine's headers for the first request.
    assert_eq!(*lock(&served.hands.looks), [(1, None)]);
    served.poll();
    assert_eq!(lock(&served.hands.looks).last(), Some(&(1, Some("\"e\"".to_owned()))));
    served.desk.note_mark("bad", "booted");
    served.poll();
    assert_eq!(lock(&served.hands.looks).len(), 2);
}

#[test]
fn what_was_found_is_shown_before_the_next_time_changes() {
    let mut served = serve("", HASH);
    served.desk.note_mark("good", "booted");
    let first = served.next_poll();
    *lock(&served.hands.time) = u64::try_from(first).unwrap();
    // That a poll began, what it found, and when the next one comes.
    let seen = [served.changed(), served.changed(), served.changed()];
    assert_eq!(seen, ["Status", "Status", "NextPoll"]);
    let status = served.status();
    assert_eq!(
        text(&status, "summary").as_deref(),
        Some("update candidate found: higher semantic version")
    );
    assert_eq!(text(&status, "attempted-hash"), None, "nobody asked for installs");
    assert!(status.contains_key("manifest") && status.contains_key("bundle"));
    assert!(served.next_poll() > first);
    // The answer comes after the new time is known.
    let before = served.next_poll();
    let () = served.proxy().call("Poll", &()).unwrap();
    assert_ne!(served.next_poll(), before);
}

#[test]
fn an_install_of_a_poll_is_one_like_others_and_the_reboot_follows() {
    let lines = "install-criteria=always\nreboot-criteria=updated-slots\nreboot-cmd=boot 'a b'";
    let mut served = serve(lines, HASH);
    served.desk.note_mark("good", "booted");
    *lock(&served.hands.time) = u64::try_from(served.next_poll()).unwrap();
    served.wait(|served| served.desk.is_installing());
    let second = served.desk.install(InstallAsked::default());
    assert_eq!(second, Err("Already processing a different method"));
    assert_eq!(text(&served.status(), "attempted-hash"), Some(HASH.to_string()));
    served.end.send(Ok(())).unwrap();
    while served.changed() != "NextPoll" {}
    assert!(!served.desk.is_installing());
    served.poll();
    assert_eq!(*lock(&served.hands.reboots), [["boot", "a b"]]);
    assert_eq!(served.next_poll(), 0);
    let () = served.proxy().call("Poll", &()).unwrap();
    assert_eq!(served.next_poll(), 0, "this system is about to end");
}

#[test]
fn a_bundle_that_failed_here_before_is_not_installed_by_a_poll() {
    let mut served = serve("install-criteria=always", FAILED_BEFORE);
    served.desk.note_mark("good", "booted");
    served.poll();
    let summary = text(&served.status(), "summary");
    assert_eq!(summary.as_deref(), Some("update candidate was installed here before and failed"));
    assert!(!served.desk.is_installing());
    // Nor when the server says that it still has it.
    served.poll();
    assert_eq!(text(&served.status(), "summary"), summary);
    assert!(!served.desk.is_installing());
}

#[test]
fn somebody_elses_install_is_waited_for_and_no_failure() {
    let mut served = serve("install-criteria=always", HASH);
    served.desk.note_mark("good", "booted");
    served.desk.install(InstallAsked::default()).unwrap();
    served.poll();
    assert_eq!(*lock(&served.hands.looks), []);
    served.end.send(Err("x".to_owned())).unwrap();
    served.wait(|served| !served.desk.is_installing());
    served.end.send(Ok(())).unwrap();
    served.poll();
    assert_eq!(lock(&served.hands.looks).len(), 1);
    assert_eq!(text(&served.status(), "attempted-hash"), Some(HASH.to_string()));
}
