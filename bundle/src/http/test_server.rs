// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server that misbehaves on demand, in this process, on a port of its own.

use openssl::ssl::{HandshakeError, SslAcceptor};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came in; header names in lower case.
#[derive(Clone, Debug)]
pub struct Request {
    pub number: usize,
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The two numbers of `Range: bytes=a-b`.
    pub fn range(&self) -> Option<(usize, usize)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    }
}

/// An answer and how it goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Before the head.
    pub delay: Duration,
    /// The connection ends after so many bytes of the body.
    pub cut: Option<usize>,
    /// So many bytes at a time, with a pause between.
    pub drip: Option<(usize, Duration)>,
    /// Nothing more after so many bytes of the body, but the connection stays.
    pub stall: Option<usize>,
    /// Instead of the length of the body.
    pub length: Option<usize>,
}

impl Reply {
    pub fn new(status: u16, body: &[u8]) -> Self {
        Self { status, body: body.to_vec(), ..Self::default() }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn redirect(status: u16, location: &str) -> Self {
        Self::new(status, b"elsewhere").with("Location", location)
    }

    /// What a server answers that serves several ranges in one answer, as nginx frames it.
    pub fn parts(request: &Request, bytes: &[u8]) -> Self {
        let ranges = request.header("range").and_then(|range| range.strip_prefix("bytes="));
        let Some(ranges) = ranges.filter(|ranges| ranges.contains(',')) else {
            return Self::file(request, bytes);
        };
        let mut body = Vec::new();
        for range in ranges.split(',') {
            let (first, last) = range.split_once('-').unwrap();
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            let range = format!("bytes {first}-{last}/{}", bytes.len());
            body.extend_from_slice(
                format!("\r\n--00000000000000000017\r\nContent-Range: {range}\r\n\r\n").as_bytes(),
            );
            body.extend_from_slice(&bytes[first..=last]);
        }
        body.extend_from_slice(b"\r\n--00000000000000000017--\r\n");
        let kind = "multipart/byteranges; boundary=00000000000000000017";
        Self::new(206, &body).with("Content-Type", kind).with("ETag", "\"one\"")
    }

    /// What a good server answers: 206 for a range, 200 else.
    pub fn file(request: &Request, bytes: &[u8]) -> Self {
        match request.range() {
            Some((first, last)) if first < bytes.len() => {
                let last = last.min(bytes.len() - 1);
                Self::new(206, &bytes[first..=last])
                    .with("Content-Range", &format!("bytes {first}-{last}/{}", bytes.len()))
            }
            Some(_) => Self::new(416, b""),
            None => Self::new(200, bytes),
        }
        .with("Accept-Ranges", "bytes")
        .with("ETag", "\"one\"")
    }
}

type Answer = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

pub struct TestServer {
    pub url: String,
    log: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
    address: std::net::SocketAddr,
}

impl TestServer {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::run(Arc::new(answer), None)
    }

    pub fn start_tls(
        acceptor: SslAcceptor,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::run(Arc::new(answer), Some(acceptor))
    }

    /// Serves `bytes` well.
    pub fn serve(bytes: Vec<u8>) -> Self {
        Self::start(move |request| Reply::file(request, &bytes))
    }

    fn run(answer: Answer, acceptor: Option<SslAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let end = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let (logged, ended, count) = (Arc::clone(&log), Arc::clone(&end), Arc::clone(&connections));
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let _ = stream.set_nodelay(true);
                count.fetch_add(1, Ordering::SeqCst);
                let (answer, log, acceptor) =
                    (Arc::clone(&answer), Arc::clone(&logged), acceptor.clone());
                std::thread::spawn(move || match acceptor {
                    None => serve(stream, &answer, &log),
                    Some(acceptor) => match acceptor.accept(stream) {
                        Ok(stream) => serve(stream, &answer, &log),
                        // Closing at once would reset the connection, and the alert be lost.
                        Err(HandshakeError::Failure(failed)) => await_end(failed.get_ref()),
                        Err(_other) => {}
                    },
                });
            }
        });
        let url = format!("{scheme}://127.0.0.1:{}", address.port());
        Self { url, log, connections, end, address }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Reads until the other side closes.
fn await_end(mut stream: &TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

fn serve<S: Read + Write>(stream: S, answer: &Answer, log: &Mutex<Vec<Request>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim_end().is_empty() => break,
                Ok(_) => lines.push(line.trim_end().to_owned()),
            }
        }
        let path = lines[0].split(' ').nth(1).unwrap_or_default().to_owned();
        let headers = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let request = {
            let mut log = log.lock().unwrap();
            let request = Request { number: log.len(), path, headers };
            log.push(request.clone());
            request
        };
        if !send(stream.get_mut(), &answer(&request)) {
            return;
        }
    }
}

/// False: the connection is over.
fn send(stream: &mut impl Write, reply: &Reply) -> bool {
    std::thread::sleep(reply.delay);
    let length = reply.length.unwrap_or(reply.body.len());
    let mut head = format!("HTTP/1.1 {} Text\r\nContent-Length: {length}\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let end = reply.cut.or(reply.stall).unwrap_or(reply.body.len()).min(reply.body.len());
    let mut sent = stream.write_all(head.as_bytes());
    let (piece, pause) = reply.drip.unwrap_or((64 * 1024, Duration::ZERO));
    for bytes in reply.body[..end].chunks(piece) {
        sent = sent.and_then(|()| stream.write_all(bytes)).and_then(|()| stream.flush());
        if sent.is_err() {
            return false;
        }
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    if reply.stall.is_some() {
        // Longer than any test waits; the thread ends with the process.
        std::thread::sleep(Duration::from_secs(300));
        return false;
    }
    sent.is_ok() && reply.cut.is_none()
}
