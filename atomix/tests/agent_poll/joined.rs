// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the settings, and from what the device's other services say, to the wire: each rule of the owner's
//! through a whole round.

use crate::cli_board::{BOOT_BYTES, NOW, ROOTFS_BYTES, Ran, bundles, run_on};
use crate::hawkbit;
use crate::house::{House, changes_nothing};
use crate::update_server::{Asked, LATEST, Page, UpdateServer, certify};
use atomix::context::{Context, Now};
use bundle::UnixTime;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::interface;

const SETTINGS: &str = "/data/config/os-upgrade.json";
const BUNDLE: &str = "/os/update.raucb";
/// A bus that lets nobody speak must not hold the test.
const CALL: Duration = Duration::from_secs(20);
/// Nobody listens there.
const NOWHERE: &str = "https://127.0.0.1:1";

/// Everything, without the ends of its lines.
fn said(ran: &Ran) -> String {
    let all = format!("{} {}", ran.stdout, ran.stderr);
    all.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Changes the settings.
fn set(house: &House, change: impl FnOnce(&mut Value)) {
    let mut settings: Value = serde_json::from_slice(&house.board.read(SETTINGS)).unwrap();
    change(&mut settings);
    house.board.write(SETTINGS, settings.to_string());
}

struct NetworkManager;

#[interface(name = "org.freedesktop.NetworkManager")]
impl NetworkManager {
    #[zbus(property)]
    fn metered(&self) -> u32 {
        1
    }
}

type Inhibitor = (String, String, String, String, u32, u32);

struct Logind;

#[interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    fn list_inhibitors(&self) -> Vec<Inhibitor> {
        let [what, who, why, mode] =
            ["shutdown", "pump", "it runs", "block"].map(ToOwned::to_owned);
        vec![(what, who, why, mode, 0, 1)]
    }
}

/// The bus of a device.
struct Bus {
    daemon: Child,
    address: String,
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Bus {
    fn of(house: &House) -> Self {
        let (socket, config) = ("/run/dbus/system_bus_socket", "/run/bus.conf");
        let path = house.board.path(socket);
        let address = format!("unix:path={}", path.display());
        house.board.write(
            config,
            format!(
                "<busconfig><type>session</type><listen>{address}</listen>\
                 <policy context=\"default\"><allow own=\"*\"/><allow send_destination=\"*\"/>\
                 <allow eavesdrop=\"true\"/></policy></busconfig>"
            ),
        );
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = format!("--config-file={}", house.board.path(config).display());
        let mut daemon = Command::new("dbus-daemon");
        let daemon = daemon.arg("--nofork").arg(file).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(&path).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no bus");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { daemon, address }
    }

    /// The service is there until the connection is dropped.
    fn has(&self, play: impl FnOnce(Builder<'_>) -> zbus::Result<Builder<'_>>) -> Connection {
        let way = Builder::address(self.address.as_str()).unwrap().method_timeout(CALL);
        play(way).unwrap().build().unwrap()
    }
}

/// Fails when a link that is paid for is fetched over, when nobody is told why, or when the device goes on
/// waiting on a link that costs nothing.
#[test]
fn over_a_metered_link_nothing_is_fetched_until_it_costs_nothing() {
    let house = House::new("original", &json!({ "reboot": "never", "metered": "defer" }));
    house.server.offer("2.0.0", bundles::good());
    let bus = Bus::of(&house);
    let metered = bus.has(|way| {
        way.name("org.freedesktop.NetworkManager")?
            .serve_at("/org/freedesktop/NetworkManager", NetworkManager)
    });
    let before = house.device();
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert!(ran.stderr.contains("link: metered, by NetworkManager"), "{}", ran.stderr);
    assert!(said(&ran).contains("bytes are paid for here"), "{}", said(&ran));
    let status = said(&house.board.run(&["agent", "status"]));
    assert!(status.contains("bytes are paid for here"), "{status}");
    assert!(house.server.asked().iter().all(|asked| asked.path == LATEST));
    assert!(house.device() == before, "it only waits");
    drop(metered);
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert!(house.holds_good());
}

/// Fails when the device restarts under somebody who asked logind that it does not, when nobody is told who
/// that is, or when it does not restart behind it.
#[test]
fn who_inhibits_a_shutdown_keeps_the_restart_off_and_nothing_else() {
    let house = House::new("original", &json!({}));
    house.server.offer("2.0.0", bundles::good());
    let bus = Bus::of(&house);
    let pump = bus
        .has(|way| way.name("org.freedesktop.login1")?.serve_at("/org/freedesktop/login1", Logind));
    for _ in 0..2 {
        let ran = house.poll(&[]);
        assert_eq!(ran.code, 0, "{}", said(&ran));
        assert!(house.holds_good(), "an install needs no restart");
        assert!(said(&ran).contains("pump: it runs"), "{}", said(&ran));
        assert!(!said(&ran).contains("restarting"), "{}", said(&ran));
    }
    drop(pump);
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert!(ran.stdout.contains("restarting: into slot B"), "{}", said(&ran));
}

/// A proxy that leads every tunnel to `server`, whatever it is asked for, and what it was asked for.
fn proxy_to(server: &UpdateServer) -> (String, Arc<Mutex<Vec<String>>>) {
    let to = server.url.strip_prefix("https://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (to, noted) = (to.clone(), Arc::clone(&noted));
            std::thread::spawn(move || tunnel(stream, &to, &noted));
        }
    });
    (url, asked)
}

fn tunnel(mut near: TcpStream, to: &str, asked: &Mutex<Vec<String>>) {
    let mut head = BufReader::new(near.try_clone().unwrap());
    let mut first = String::new();
    head.read_line(&mut first).unwrap();
    asked.lock().unwrap().push(first.trim_end().to_owned());
    let mut line = String::new();
    while head.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    let mut far = TcpStream::connect(to).unwrap();
    near.write_all(b"HTTP/1.1 200 yes\r\n\r\n").unwrap();
    let mut back = (far.try_clone().unwrap(), near.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut back.0, &mut back.1);
        let _ = back.1.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut head, &mut far);
    let _ = far.shutdown(Shutdown::Both);
}

/// Fails when the question, the bundle or the report goes past the owner's proxy: only through it there is a
/// server at all.
#[test]
fn everything_goes_through_the_owners_proxy() {
    let house = House::original();
    house.server.put(BUNDLE, Page::new(200, bundles::good()));
    house.server.put("/report", Page::new(200, ""));
    let offer = json!({ "version": "2.0.0", "bundle_url": format!("{NOWHERE}{BUNDLE}") });
    house.server.put(LATEST, Page::new(200, offer.to_string()));
    set(&house, |settings| settings["server_url"] = json!(NOWHERE));
    changes_nothing(&house, "no proxy", (1, "does not answer"));
    assert!(house.server.asked().is_empty());
    let (url, asked) = proxy_to(&house.server);
    set(&house, |settings| {
        settings["proxy"] = json!(url);
        settings["report_url"] = json!(format!("{NOWHERE}/report"));
    });
    let later = Context::host(house.board.root(), Now(UnixTime(NOW.0.0 + 3600)));
    let ran = run_on(&later, &["agent", "poll", "--once"]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert!(house.holds_good());
    let paths: Vec<String> = house.server.asked().into_iter().map(|asked| asked.path).collect();
    for path in [LATEST, BUNDLE, "/report"] {
        assert!(paths.iter().any(|asked| asked == path), "{path}: {paths:?}");
    }
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|line| line == "CONNECT 127.0.0.1:1 HTTP/1.1"), "{asked:?}");
    assert!(asked.len() >= 3, "{asked:?}");
}

/// Fails when the owner's rate does not bind what is fetched. Only too fast is wrong: a busy machine makes it
/// slower.
#[test]
fn no_more_bytes_come_in_a_second_than_the_owner_wants() {
    const RATE: u64 = 128 * 1024;
    let house =
        House::new("original", &json!({ "reboot": "never", "rate_limit_kib": RATE / 1024 }));
    house.server.offer("2.0.0", bundles::good());
    let begun = Instant::now();
    assert_eq!(house.poll(&[]).code, 0);
    let took = begun.elapsed().as_millis();
    assert!(house.holds_good());
    let bytes = ROOTFS_BYTES as u64;
    // A quarter of a second may have been saved before, for the look and for the install each.
    let least = u128::from(bytes - RATE / 2) * 1000 / u128::from(RATE);
    assert!(took >= least, "{bytes} bytes came in {took} ms");
}

fn fetched(house: &House) -> u64 {
    house.server.asked().iter().filter_map(Asked::range_bytes).sum()
}

/// Fails when more is fetched on one day than the owner allows, or nothing on the next.
#[test]
fn what_a_day_may_take_is_taken_and_the_rest_comes_tomorrow() {
    let house = House::new("original", &json!({ "reboot": "never", "max_day_mib": 1 }));
    house.server.offer("2.0.0", bundles::good());
    assert_eq!(house.poll(&[]).code, 0);
    assert!(house.holds_good());
    let first = fetched(&house);
    assert!(first > 1 << 19, "{first}");
    let boot_bytes = BOOT_BYTES - 512;
    let next = bundles::Recipe { version: "3.0.0", boot_bytes, ..bundles::Recipe::default() };
    let target = house.board.power_on();
    assert_eq!(target.to_string(), "B");
    assert_eq!(house.board.run(&["boot", "mark-good", "booted"]).code, 0);
    house.server.offer("3.0.0", next.make());
    let ran = house.poll(&[]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert!(said(&ran).contains("were fetched today"), "{}", said(&ran));
    let more = fetched(&house);
    assert!(more < 128 * 1024, "a look, and no more: {more}");
    let tomorrow = Context::host(house.board.root(), Now(UnixTime(NOW.0.0 + 2 * 86_400)));
    let ran = run_on(&tomorrow, &["agent", "poll", "--once"]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert!(ran.stdout.contains("installed: slot A boots next"), "{}", said(&ran));
}

/// Fails when another authority's server is believed, or the owner's own is not.
#[test]
fn only_the_owners_authority_is_believed() {
    let house = House::original();
    house.server.offer("2.0.0", bundles::good());
    let ours = house.board.read("/data/config/os-upgrade/ca.pem");
    let other = certify("other").certificate.to_pem().unwrap();
    house.board.write("/data/config/os-upgrade/ca.pem", other);
    changes_nothing(&house, "another authority", (1, "certificate"));
    assert!(house.server.asked().is_empty());
    house.board.write("/data/config/os-upgrade/ca.pem", ours);
    assert_eq!(house.poll(&[]).code, 0);
    assert!(house.holds_good());
}

/// Fails when a gateway's or a target's token does not reach the server and the bundle, or is said anywhere
/// else.
#[test]
fn a_token_goes_from_its_file_to_every_request_and_nowhere_else() {
    for (setting, login) in
        [("gateway_token_file", "GatewayToken geheim"), ("target_token_file", "TargetToken geheim")]
    {
        let house = hawkbit::house(0o600);
        set(&house, |settings| {
            let token = settings["hawkbit"]["target_token_file"].take();
            settings["hawkbit"].as_object_mut().unwrap().remove("target_token_file");
            settings["hawkbit"][setting] = token;
        });
        hawkbit::offer(&house, ("os.raucb", "2.0.0"), bundles::good());
        let ran = hawkbit::talk(&house, &["--once"]);
        assert_eq!(ran.code, 0, "{}", said(&ran));
        assert!(house.holds_good());
        let asked = house.server.asked();
        assert!(asked.iter().any(|asked| asked.path.ends_with("/artifacts/os.raucb")), "{asked:?}");
        assert!(asked.iter().all(|asked| asked.headers["authorization"] == login), "{asked:?}");
        assert!(!said(&ran).contains("geheim"));
    }
}

/// Fails when hawkBit is not shown the device's certificate, or a token beside it.
#[test]
fn a_hawkbit_behind_certificates_is_shown_the_devices() {
    use std::os::unix::fs::PermissionsExt;
    let device = certify("dev-7");
    let server = UpdateServer::start_for(&device);
    let mut house = hawkbit::house(0o600);
    set(&house, |settings| {
        settings["hawkbit"]["url"] = json!(server.url);
        let hawkbit = settings["hawkbit"].as_object_mut().unwrap();
        hawkbit.remove("target_token_file");
        hawkbit.insert("client_cert_file".to_owned(), json!("/data/config/hawkbit/device.pem"));
        hawkbit.insert("client_key_file".to_owned(), json!("/data/config/hawkbit/device.key"));
    });
    house.board.write("/data/config/hawkbit/ca.pem", &server.ca_pem);
    house.board.write("/data/config/hawkbit/device.pem", device.certificate.to_pem().unwrap());
    let key = "/data/config/hawkbit/device.key";
    house.board.write(key, device.key.private_key_to_pem_pkcs8().unwrap());
    let rights = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(house.board.path(key), rights).unwrap();
    house.server = server;
    hawkbit::offer(&house, ("os.raucb", "2.0.0"), bundles::good());
    house.server.put(&format!("{}/configData", hawkbit::PLACE), Page::new(200, ""));
    let ran = hawkbit::talk(&house, &["--once"]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert!(house.holds_good());
    for asked in house.server.asked() {
        assert_eq!(asked.client.as_deref(), Some("dev-7"), "{asked:?}");
        assert!(!asked.headers.contains_key("authorization"), "{asked:?}");
    }
}

/// Fails when the place of a bundle that wants to be left alone is asked again before that, or when it
/// puts off the server's own word by more than an interval.
#[test]
fn a_bundles_place_that_puts_off_is_left_alone_for_an_interval_at_most() {
    for (secs, least, most) in [(3000, 3000, 6600), (86_400, 3600, 7200)] {
        let house = House::original();
        house.server.offer("2.0.0", bundles::good());
        let headers = format!("Retry-After: {secs}\r\n");
        house.server.put(BUNDLE, Page { headers, ..Page::new(503, "later") });
        let before = atomix::agent::due::since_boot().as_secs();
        changes_nothing(&house, "put off", (1, "503"));
        let after = atomix::agent::due::since_boot().as_secs();
        let next = String::from_utf8(house.board.read("/run/atomix/agent/next-question")).unwrap();
        let next: u64 = next.trim().parse().unwrap();
        assert!((before + least..=after + most).contains(&next), "{next} behind {before}");
        let asked = house.server.asked();
        assert_eq!(asked.iter().filter(|asked| asked.path == BUNDLE).count(), 1, "{asked:?}");
    }
}
