// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the service as a client on D-Bus sees it, over a socket without a bus.

use super::*;
use crate::rauc::desk::tests::desk;
use crate::rauc::status_view::Variants;
use std::os::unix::net::UnixStream;
use zbus::blocking::Proxy;
use zbus::blocking::connection::Builder;
use zbus::blocking::fdo::PropertiesProxy;
use zbus::{AuthMechanism, Guid};

struct Both {
    _server: Connection,
    client: Connection,
    end: Sender<Result<(), String>>,
    changes: Receiver<Change>,
}

/// A service and a client, each at its end of a socket.
fn both() -> Both {
    let (desk, end) = desk();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let served = Arc::clone(&desk);
    let server = std::thread::spawn(move || {
        Builder::async_io_unix_stream(ours)
            .server(Guid::generate())
            .unwrap()
            .p2p()
            .auth_mechanism(AuthMechanism::Anonymous)
            .serve_at(OBJECT, Installer::new(Arc::clone(&served), Box::new(|| None)))
            .unwrap()
            .serve_at(OBJECT, OwnInstaller::new(served))
            .unwrap()
            .build()
            .unwrap()
    });
    let client = Builder::async_io_unix_stream(theirs)
        .p2p()
        .auth_mechanism(AuthMechanism::Anonymous)
        .build()
        .unwrap();
    let server = server.join().unwrap();
    let (sender, changes) = channel();
    let to = Announcer::open(server.clone());
    desk.tell(Box::new(move |change| {
        to.say(News::Install(change.clone()));
        let _ = sender.send(change);
    }));
    Both { _server: server, client, end, changes }
}

impl Both {
    fn proxy(&self, interface: &'static str) -> Proxy<'_> {
        Proxy::new(&self.client, SERVICE, OBJECT, interface).unwrap()
    }

    /// The name and the text of a refusal.
    fn refusal<B>(&self, method: &str, body: &B) -> (String, String)
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        let error = self.proxy(INSTALLER).call_method(method, body).unwrap_err();
        let zbus::Error::MethodError(name, text, _) = error else { panic!("{method}: {error}") };
        (name.to_string(), text.unwrap())
    }

    fn install(&self) {
        let arguments = HashMap::from([("ignore-compatible", Value::from(true))]);
        let _: () = self.proxy(INSTALLER).call("InstallBundle", &("x.raucb", arguments)).unwrap();
        while self.changes.recv_timeout(Duration::from_secs(60)).unwrap()
            != Change::Progress((0, "Installing".to_owned(), 1))
        {}
    }
}

const GLIB: &str = "org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark.Code30";

#[test]
fn refusals_carry_the_error_name_and_words_of_rauc() {
    let both = both();
    let arguments = HashMap::from([("odd", Value::from(1))]);
    for (refusal, words) in [
        (both.refusal("InstallBundle", &("x", &arguments)), "Unsupported key: odd"),
        (both.refusal("InspectBundle", &("x", &arguments)), "Unsupported key: odd"),
        (both.refusal("Info", &"x"), "no bundle x"),
        (both.refusal("Mark", &("odd", "booted")), "unknown subcommand odd"),
        (both.refusal("GetPrimary", &()), "Failed getting primary slot: no primary\n"),
    ] {
        assert_eq!(refusal, (GLIB.to_owned(), words.to_owned()));
    }
    let marked: (String, String) =
        both.proxy(INSTALLER).call("Mark", &("good", "rootfs.0")).unwrap();
    assert_eq!(marked.1, "marked slot(s) rootfs.0 as good");
}

#[test]
fn during_an_install_status_and_properties_are_readable_and_the_rest_is_refused() {
    let both = both();
    both.install();
    let installer = both.proxy(INSTALLER);
    assert_eq!(installer.get_property::<String>("Operation").unwrap(), "installing");
    let progress: (i32, String, i32) = installer.get_property("Progress").unwrap();
    assert_eq!(progress, (0, "Installing".to_owned(), 1));
    let slots: Vec<(String, Variants)> = installer.call("GetSlotStatus", &()).unwrap();
    assert_eq!(slots.first().map(|slot| &*slot.0), Some("rootfs.0"));
    assert_eq!(installer.call::<_, _, String>("GetPrimary", &()).unwrap(), "rootfs.0");
    let none = HashMap::<&str, Value<'_>>::new();
    let busy = (GLIB.to_owned(), "already processing a different method".to_owned());
    assert_eq!(both.refusal("Mark", &("good", "booted")), busy);
    assert_eq!(both.refusal("InspectBundle", &("x", &none)), busy);
    let second = both.refusal("InstallBundle", &("x", &none));
    assert_eq!(second.1, "Already processing a different method");
    both.end.send(Ok(())).unwrap();
}

#[test]
fn the_end_of_an_install_is_a_signal_and_cancel_is_ours() {
    let both = both();
    let installer = both.proxy(INSTALLER);
    let mut completed = installer.receive_signal("Completed").unwrap();
    both.install();
    let _: () = both.proxy("de.atomix.Installer").call("Cancel", &()).unwrap();
    let result: i32 = completed.next().unwrap().body().deserialize().unwrap();
    assert_eq!(result, 1);
    let properties = PropertiesProxy::builder(&both.client)
        .destination(SERVICE)
        .unwrap()
        .path(OBJECT)
        .unwrap()
        .build()
        .unwrap();
    let interface = zbus::names::InterfaceName::from_static_str_unchecked(INSTALLER);
    let all = properties.get_all(interface).unwrap();
    let mut names: Vec<&String> = all.keys().collect();
    names.sort();
    let expected = [
        "BootSlot",
        "Compatible",
        "LastError",
        "Operation",
        "Progress",
        "SystemVersion",
        "Variant",
    ];
    assert_eq!(names, expected);
    assert_eq!(&**all.get("LastError").unwrap(), &Value::from("stopped by Cancel"));
    assert_eq!(&**all.get("Compatible").unwrap(), &Value::from("Test Config"));
}
