// SPDX-License-Identifier: MIT OR Apache-2.0
//! A cable to a service: a place on loopback that carries connections as long as it is plugged in.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// For so long what was caught is kept: longer than any test.
const CAUGHT: Duration = Duration::from_secs(600);

/// The cable.
pub struct Cable {
    place: SocketAddr,
    is_plugged: Arc<AtomicBool>,
    is_silent: Arc<AtomicBool>,
    carried: Arc<AtomicUsize>,
    caught: Arc<AtomicUsize>,
}

impl Cable {
    /// One that is plugged in.
    pub fn to(service: SocketAddr) -> Self {
        let cable = Self::unplugged(service);
        cable.plug();
        cable
    }

    /// One that is not.
    pub fn unplugged(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let (is_plugged, carried) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (is_silent, caught) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (plugged, count) = (Arc::clone(&is_plugged), Arc::clone(&carried));
        let (silent, held) = (Arc::clone(&is_silent), Arc::clone(&caught));
        thread::spawn(move || {
            for stream in listener.incoming() {
                // Without a cable a connection comes to nothing.
                if !plugged.load(Ordering::Acquire) {
                    continue;
                }
                let Ok(near) = stream else { continue };
                if silent.load(Ordering::Acquire) {
                    held.fetch_add(1, Ordering::AcqRel);
                    thread::spawn(move || {
                        thread::sleep(CAUGHT);
                        drop(near);
                    });
                    continue;
                }
                let Ok(far) = TcpStream::connect(service) else { continue };
                count.fetch_add(1, Ordering::AcqRel);
                carry(&near, &far);
                carry(&far, &near);
            }
        });
        Self { place, is_plugged, is_silent, carried, caught }
    }

    /// Address and port.
    pub fn place(&self) -> String {
        self.place.to_string()
    }

    /// How many connections it has carried.
    pub fn carried(&self) -> usize {
        self.carried.load(Ordering::Acquire)
    }

    /// How many connections it has taken without an answer.
    pub fn caught(&self) -> usize {
        self.caught.load(Ordering::Acquire)
    }

    /// From now on nobody answers what is asked over it.
    pub fn silence(&self) {
        self.is_silent.store(true, Ordering::Release);
    }

    /// Plugs it in.
    pub fn plug(&self) {
        self.is_plugged.store(true, Ordering::Release);
    }

    /// Pulls it.
    pub fn unplug(&self) {
        self.is_plugged.store(false, Ordering::Release);
    }
}

fn carry(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        // Either side may leave at any time.
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
