// SPDX-License-Identifier: MIT OR Apache-2.0
//! The search of the first boot at this device's console: lines come in, words go out, and once a
//! second everything is looked at.

use crate::cli::FirstBootArgs;
use config_api::first_boot::{HelperDoor, LiveSources, Search, Turn};
use std::io::{BufRead, Read, Write, stdin, stdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at everything.
const PAUSE: Duration = Duration::from_secs(1);

/// A technician who stops in the middle of a configuration stops the search no longer than this.
const MAX_SILENCE: Duration = Duration::from_secs(120);

/// Longest line that is taken; a terminal passes 4096 letters at most.
const MAX_LINE: u64 = 64 * 1024;

/// Searches until the device has a configuration.
pub fn first_boot(args: FirstBootArgs) {
    let door = HelperDoor { socket: args.helper, spool: args.spool };
    let mut search = Search::new(LiveSources::new("/", args.boot), door);
    let lines = console();
    let begun = Instant::now();
    let mut heard = Instant::now();
    loop {
        let now = begun.elapsed().as_secs();
        match lines.recv_timeout(PAUSE) {
            Ok(line) => {
                heard = Instant::now();
                search.hear(&line, now, &mut say);
                if search.is_pasting() {
                    continue;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if search.is_pasting() && heard.elapsed() < MAX_SILENCE {
                    continue;
                }
                if search.is_pasting() {
                    search.hear(".stop", now, &mut say);
                }
            }
            // There is no console: the other places are searched all the same.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(PAUSE),
        }
        if search.turn(now, &mut say) == Turn::Finished {
            return;
        }
    }
}

fn say(words: &str) {
    // A console that is gone hears nothing; the search goes on.
    let mut out = stdout();
    let _ = out.write_all(words.as_bytes()).and_then(|()| out.flush());
}

fn console() -> Receiver<String> {
    // A few lines at most wait: what is pasted faster than it is taken waits in the terminal.
    let (send, lines) = sync_channel(16);
    thread::spawn(move || listen(&send));
    lines
}

fn listen(send: &SyncSender<String>) {
    let mut input = stdin().lock();
    loop {
        let mut line = Vec::new();
        match (&mut input).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        }
    }
}
