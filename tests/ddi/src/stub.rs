// SPDX-License-Identifier: MIT OR Apache-2.0
//! A strict server of hawkBit's interface for one device ([`crate::book`]) on a socket, with knobs
//! for what goes wrong.

use crate::book::{Action, Book, Bundle, Open, Place, Request, answer};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

/// The one device that it serves.
const DEVICE: &str = "dev1";
/// Longest body that is read.
const MAX_BODY: usize = 1 << 20;

/// How the next answer goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status instead of the work, with this `Retry-After`.
    Status(u16, Option<&'static str>),
    /// The connection ends without an answer, before the work.
    Drop,
    /// The connection ends without an answer, after the work.
    DropAfter,
    /// A byte at a time, with this pause.
    Drip(Duration),
    /// This body with status 200.
    Body(Vec<u8>),
}

/// What the threads of a server share.
struct Desk {
    address: SocketAddr,
    book: Mutex<Book>,
    faults: Mutex<VecDeque<Fault>>,
    end: AtomicBool,
}

impl Desk {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, VecDeque<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The running server.
pub struct Stub {
    desk: Arc<Desk>,
    /// Whoever waits for connections; nobody while it is stopped.
    door: Option<JoinHandle<()>>,
}

impl Stub {
    /// Starts it on a port of its own.
    ///
    /// # Errors
    /// When there is none.
    pub fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk {
            address,
            book: Mutex::default(),
            faults: Mutex::default(),
            end: AtomicBool::new(false),
        });
        let door = Some(listen(listener, &desk));
        Ok(Self { desk, door })
    }

    /// Nobody answers at its address any more. What it knows is kept, as in a database.
    pub fn stop(&mut self) {
        if let Some(door) = self.door.take() {
            self.desk.end.store(true, Ordering::SeqCst);
            // Wakes the one who waits for connections; it may be gone.
            let _ = TcpStream::connect(self.desk.address);
            let _ = door.join();
        }
    }

    /// Starts it again where it was.
    ///
    /// # Errors
    /// When somebody else has its address.
    pub fn start_again(&mut self) -> std::io::Result<()> {
        self.stop();
        self.desk.end.store(false, Ordering::SeqCst);
        self.door = Some(listen(TcpListener::bind(self.desk.address)?, &self.desk));
        Ok(())
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.desk.url()
    }

    /// What it knows.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.desk.book()
    }

    /// Makes an action.
    pub fn assign(&self, id: i64, open: Open) {
        self.book().actions.push(Action::new(id, open, Bundle::default()));
    }

    /// Changes one.
    pub fn change(&self, id: i64, change: impl Fn(&mut Action)) {
        for action in self.book().actions.iter_mut().filter(|action| action.id == id) {
            action.change(&change);
        }
    }

    /// An action as it is.
    #[must_use]
    pub fn action(&self, id: i64) -> Option<Action> {
        self.book().actions.iter().find(|action| action.id == id).cloned()
    }

    /// How the next answers go wrong.
    pub fn fail(&self, faults: &[Fault]) {
        self.desk.faults().extend(faults.iter().cloned());
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop();
    }
}

fn listen(listener: TcpListener, desk: &Arc<Desk>) -> JoinHandle<()> {
    let desk = Arc::clone(desk);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if desk.end.load(Ordering::SeqCst) {
                return;
            }
            let desk = Arc::clone(&desk);
            std::thread::spawn(move || serve(stream, &desk));
        }
    })
}

fn read_request(from: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    from.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut token, mut is_json, mut length) = (None, false, 0_usize);
    loop {
        let mut header = String::new();
        from.read_line(&mut header).ok()?;
        let header = header.trim_end();
        let Some((name, value)) = header.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => token = Some(value.to_owned()),
            "content-type" => is_json = value == "application/json",
            "content-length" => length = value.parse().ok().filter(|length| *length <= MAX_BODY)?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    Some(Request { method, path, token, is_json, body })
}

fn serve(stream: TcpStream, desk: &Desk) {
    let server = desk.url();
    let place = Place { server: &server, device: DEVICE };
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream) {
        desk.book().log.push(format!("{} {}", request.method, request.path));
        let fault = desk.faults().pop_front();
        let mut pause = Duration::ZERO;
        let mut after = None;
        let answer = match fault {
            Some(Fault::Drop) => return,
            Some(Fault::Status(status, retry)) => {
                after = retry;
                (status, b"{\"errorCode\":\"played\"}".to_vec())
            }
            Some(Fault::Body(body)) => (200, body),
            other => {
                let answer = answer(&mut desk.book(), place, &request);
                match other {
                    Some(Fault::DropAfter) => return,
                    Some(Fault::Drip(each)) => pause = each,
                    Some(_) | None => {}
                }
                answer
            }
        };
        if send(stream.get_mut(), answer, (after, pause)).is_err() {
            return;
        }
    }
}

fn send(
    to: &mut TcpStream,
    (status, body): (u16, Vec<u8>),
    (after, pause): (Option<&str>, Duration),
) -> std::io::Result<()> {
    let after = after.map_or_else(String::new, |after| format!("Retry-After: {after}\r\n"));
    let head = format!(
        "HTTP/1.1 {status} Played\r\nContent-Type: application/hal+json\r\n{after}Content-Length: {}\r\n\r\n",
        body.len()
    );
    to.write_all(head.as_bytes())?;
    if pause.is_zero() {
        return to.write_all(&body);
    }
    for byte in body {
        to.write_all(&[byte])?;
        sleep(pause);
    }
    Ok(())
}
