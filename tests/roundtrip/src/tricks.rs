// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server of one file that does not do what it should.

use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// Every request is answered with the whole file.
    IgnoresRanges,
    /// Answers end in the middle of the file; what ends it comes whole.
    Truncates,
    /// After some requests there is another file of the same length, with another ETag.
    Changes,
    /// As before, but the ETag stays.
    ChangesSilently,
    /// As before, without any ETag.
    ChangesUntagged,
    /// Answers stop in the middle of the file, and never go on.
    Stalls,
    /// From the middle of the file on, some bytes a second.
    Drips,
    /// It says that the file is longer than it is.
    LiesAboutLength,
}

/// Answers of so many bytes come whole from every server: they are asked for before the image.
const AT_ONCE: usize = 4096;

/// Between two bytes of one that drips.
const DROP: Duration = Duration::from_millis(100);

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
        let changes =
            matches!(self.trick, Trick::Changes | Trick::ChangesSilently | Trick::ChangesUntagged);
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
        let untagged = self.trick == Trick::ChangesUntagged;
        let tag = if untagged { String::new() } else { format!("ETag: \"{tag}\"\r\n") };
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\n{tag}\
             Content-Range: bytes {from}-{to}/{length}\r\n\r\n",
            part.len(),
        );
        client.write_all(head.as_bytes()).ok()?;
        // The image is there; hash tree and signature, which are asked for first, end the file.
        let middle = file.len() / 3..file.len() / 3 * 2;
        if from >= middle.end || to < middle.start || part.len() <= AT_ONCE {
            return client.write_all(&part).ok();
        }
        let (good, rest) = part.split_at_checked(middle.start.saturating_sub(from))?;
        self.spoil(good, rest, client)
    }

    /// The part of an answer before the middle of the file, and what comes then.
    fn spoil(&self, good: &[u8], rest: &[u8], client: &mut TcpStream) -> Option<()> {
        client.write_all(good).ok()?;
        match self.trick {
            Trick::Truncates => {
                client.shutdown(std::net::Shutdown::Both).ok()?;
                None
            }
            // Until the client has had enough.
            Trick::Stalls => client.read_exact(&mut [0]).ok(),
            Trick::Drips => rest.iter().try_for_each(|byte| {
                thread::sleep(DROP);
                client.write_all(&[*byte]).ok()
            }),
            Trick::IgnoresRanges
            | Trick::Changes
            | Trick::ChangesSilently
            | Trick::ChangesUntagged
            | Trick::LiesAboutLength => client.write_all(rest).ok(),
        }
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
