// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is an event told to systemd's journal? Its "Native Journal Protocol": one datagram, per field
//! `KEY=value` and a newline, or, when the value has newlines, `KEY`, newline, the value's length
//! as 64 bits little-endian, the value, newline.

use super::Event;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Where the journal listens.
pub const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// Larger datagrams need a memory file; an event has no reason to be that large.
const MAX_VALUE_BYTES: usize = 48 * 1024;

/// The datagram of an event.
#[must_use]
fn encode_journal(event: &Event) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in event.fields().chain([("SYSLOG_IDENTIFIER", "rauc")]) {
        let value = value.as_bytes();
        let value = value.get(..MAX_VALUE_BYTES).unwrap_or(value);
        out.extend_from_slice(key.as_bytes());
        if value.contains(&b'\n') {
            out.push(b'\n');
            out.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            out.push(b'=');
        }
        out.extend_from_slice(value);
        out.push(b'\n');
    }
    out
}

/// Whether the journal took the event.
pub(super) fn send(socket: &Path, event: &Event) -> bool {
    // Not waited for: a journal that stands still must not stop an install.
    let sent = UnixDatagram::unbound().and_then(|sender| {
        sender.set_nonblocking(true)?;
        sender.send_to(&encode_journal(event), socket)
    });
    sent.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_log::{EventKind, EventLog};
    use bootctl::Timestamp;
    use std::collections::BTreeMap;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn journal_gets_each_field_and_values_with_newlines_have_a_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let kept = Kept::default();
        let (mut log, troubles) =
            EventLog::open(&BTreeMap::new(), Some(path.clone()), Box::new(kept.clone()));
        assert!(troubles.is_empty());
        log.write(&Event::plain(EventKind::Service, "a\nb"), Timestamp::UNKNOWN);
        let mut got = vec![0; 4096];
        let len = journal.recv(&mut got).unwrap();
        assert_eq!(
            &got[..len],
            b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\nPRIORITY=5\nGLIB_DOMAIN=rauc-event\n\
              RAUC_EVENT_TYPE=service\nSYSLOG_IDENTIFIER=rauc\n"
        );
        assert!(kept.0.lock().unwrap().is_empty(), "told twice");
        drop(journal);
        log.write(&Event::plain(EventKind::Service, "later"), Timestamp::UNKNOWN);
        let told = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(told, "rauc-event: 1970-01-01T00:00:00Z: later\n");
    }
}
