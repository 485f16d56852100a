// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes whole lines of what a program writes, whichever way its pipe cuts them.

use programs::OutputStream;

/// A longer line is told in parts: a program that never ends one must not fill the memory.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Collects the bytes of both streams and tells each line without its end.
pub struct Lines<F: FnMut(OutputStream, &str)> {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    tell: F,
}

impl<F: FnMut(OutputStream, &str)> Lines<F> {
    /// `tell` gets each line.
    pub const fn new(tell: F) -> Self {
        Self { stdout: Vec::new(), stderr: Vec::new(), tell }
    }

    /// Takes what came.
    pub fn take(&mut self, stream: OutputStream, bytes: &[u8]) {
        let pending = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        for byte in bytes {
            if *byte == b'\n' || pending.len() >= MAX_LINE_BYTES {
                (self.tell)(stream, &String::from_utf8_lossy(pending));
                pending.clear();
            }
            if *byte != b'\n' {
                pending.push(*byte);
            }
        }
    }

    /// Tells the last lines, which have no end.
    pub fn finish(mut self) {
        for (stream, pending) in
            [(OutputStream::Stdout, &self.stdout), (OutputStream::Stderr, &self.stderr)]
        {
            if !pending.is_empty() {
                (self.tell)(stream, &String::from_utf8_lossy(pending));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut_and_endless_ones_in_parts() {
        let mut told = Vec::new();
        let mut lines = Lines::new(|stream, line: &str| told.push((stream, line.to_owned())));
        for byte in b"one\ntw" {
            lines.take(OutputStream::Stdout, &[*byte]);
        }
        lines.take(OutputStream::Stderr, b"complaint\n\n");
        lines.take(OutputStream::Stdout, b"o\nrest");
        lines.take(OutputStream::Stderr, &vec![b'x'; MAX_LINE_BYTES + 1]);
        lines.finish();
        let (out, err) = (OutputStream::Stdout, OutputStream::Stderr);
        let long = "x".repeat(MAX_LINE_BYTES);
        assert_eq!(
            told,
            [(out, "one"), (err, "complaint"), (err, ""), (out, "two"), (err, &*long)]
                .into_iter()
                .chain([(out, "rest"), (err, "x")])
                .map(|(stream, line)| (stream, line.to_owned()))
                .collect::<Vec<_>>()
        );
    }
}
