// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server of one file that does not do what it should.

use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// Every request is answered with the whole file.
    IgnoresRanges,
    /// Beyond the first half of the file, answers end before they begin.
    Truncates,
    /// After some requests there is another file of the same length, with another ETag.
    Changes,
    /// As before, but the ETag stays.
    ChangesSilently,
    /// It says that the file is longer than it is.
    LiesAboutLength,
}

/// Requests before the file changes: the size, the trailer, the signature, the first blocks.
const BEFORE_CHANGE: u64 = 4;

/// The files and what was asked.
struct Files {
    trick: Trick,
    first: Vec<u8>,
    second: Vec<u8>,
    requests: AtomicU64,
}

/// Serves `first`, and `second` once it has changed, from a thread; returns the address.
///
/// # Errors
/// When there is no free port.
pub fn serve(trick: Trick, first: Vec<u8>, second: Vec<u8>) -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    let port = listener.local_addr()?.port();
    let files = Arc::new(Files { trick, first, second, requests: AtomicU64::new(0) });
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let files = files.clone();
            // A client that goes away ends its connection.
            thread::spawn(move || files.answer_all(&client));
        }
    });
    Ok(format!("http://127.0.0.1:{port}/update.raucb"))
}

impl Files {
    fn answer_all(&self, client: &TcpStream) -> Option<()> {
        let mut lines = BufReader::new(client.try_clone().ok()?);
        let mut writer = client.try_clone().ok()?;
        loop {
            let mut range = None;
            let mut line = String::new();
            while lines.read_line(&mut line).ok()? > 2 {
                let lower = line.trim().to_lowercase();
                range = lower.strip_prefix("range: bytes=").map(str::to_owned).or(range);
                line.clear();
            }
            if line.is_empty() {
                return None;
            }
            self.answer(range.as_deref(), &mut writer)?;
        }
    }

    fn answer(&self, range: Option<&str>, client: &mut TcpStream) -> Option<()> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        let changes = matches!(self.trick, Trick::Changes | Trick::ChangesSilently);
        let changed = changes && number >= BEFORE_CHANGE;
        let file = if changed { &self.second } else { &self.first };
        let tag = if changed && self.trick == Trick::Changes { "other" } else { "one" };
        let length = file.len() + if self.trick == Trick::LiesAboutLength { 4096 } else { 0 };
        let Some((from, to)) = range.and_then(|range| bounds(range, length)) else {
            return whole(file, client);
        };
        if self.trick == Trick::IgnoresRanges {
            return whole(file, client);
        }
        let mut part = file.get(from..(to + 1).min(file.len())).unwrap_or_default().to_vec();
        part.resize(to + 1 - from, 0);
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nETag: \"{tag}\"\r\n\
             Content-Range: bytes {from}-{to}/{length}\r\n\r\n",
            part.len(),
        );
        client.write_all(head.as_bytes()).ok()?;
        if self.trick == Trick::Truncates && from > file.len() / 2 && part.len() > 4096 {
            client.shutdown(std::net::Shutdown::Both).ok()?;
            return None;
        }
        client.write_all(&part).ok()
    }
}

fn whole(file: &[u8], client: &mut TcpStream) -> Option<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", file.len());
    client.write_all(head.as_bytes()).ok()?;
    client.write_all(file).ok()
}

/// First and last byte of `first-last`, `first-` or `-count`.
fn bounds(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.split_once('-')?;
    let end = length.checked_sub(1)?;
    match (first, last) {
        ("", count) => Some((length.saturating_sub(count.parse().ok()?), end)),
        (first, "") => Some((first.parse().ok()?, end)),
        (first, last) => Some((first.parse().ok()?, last.parse::<usize>().ok()?.min(end))),
    }
    .filter(|(from, to)| from <= to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_in_their_three_forms() {
        assert_eq!(bounds("0-3", 10), Some((0, 3)));
        assert_eq!(bounds("5-99", 10), Some((5, 9)));
        assert_eq!(bounds("5-", 10), Some((5, 9)));
        assert_eq!(bounds("-4", 10), Some((6, 9)));
        assert_eq!(bounds("8-2", 10), None);
    }
}
