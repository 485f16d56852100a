// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a bundle come over a link that loses things? In pieces; a transfer that breaks off goes
//! on behind the last whole one, at once a few times and then at the next question, also after the
//! power has failed.

use crate::device::Told;
use crate::meter::Request;
use crate::queue::Happening;
use crate::server::Fate;
use crate::turn::{Mistake, Turn};
use agents::{Asked, InstallStage};
use bootctl::{Activation, Command, Entry};
use std::time::Duration;
use storage::ByteLen;

/// What is verified and durable as a whole.
const PIECE: u64 = 4 << 20;
/// After so many breaks without a piece between the agent asks anew first.
const MOST_BREAKS: u32 = 5;
/// How long a pause there is before a broken transfer goes on.
const PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// Writing, reading back and sealing the slot behind the last piece.
const SEAL: Duration = Duration::from_secs(20);

impl Turn<'_> {
    /// Asks for the rest of the bundle.
    pub fn connect(&mut self) {
        match self.request(self.device.server(), Request::Fetch) {
            Fate::Answered => self.plan_piece(),
            Fate::AnswerLost | Fate::Lost => self.broke_off(),
        }
    }

    fn plan_piece(&mut self) {
        let Some(job) = &self.device.job else { return };
        let piece = job.left.min(PIECE);
        let seal = if job.left <= PIECE { SEAL } else { Duration::ZERO };
        let millis = piece.saturating_mul(1000) / self.device.link.rate.max(1);
        self.plan(Duration::from_millis(millis) + seal, Happening::Piece);
    }

    /// A piece is through, or the connection broke within it.
    pub fn piece(&mut self) {
        let (now, which) = (self.now, self.device.server());
        let away = self.servers.away.as_ref().is_some_and(|away| away.contains(&now));
        let breaks = away || self.device.random.happens(self.device.link.loss);
        let Some(job) = self.device.job.as_mut() else { return };
        let piece = job.left.min(PIECE);
        if breaks {
            // Half of it was on the way; it is fetched again.
            self.count(which, piece / 2);
            return self.broke_off();
        }
        job.left -= piece;
        job.breaks = 0;
        let (left, manifest) = (job.left, job.order.manifest);
        let whole = job.version.looked(ByteLen::ZERO).transfer.get();
        let has = ByteLen::new(whole.saturating_sub(left));
        self.device.have = Some((manifest, has));
        self.count(which, piece);
        if self.device.told == Told::Hawkbit {
            let percent = has.get().saturating_mul(100).checked_div(whole).unwrap_or(100);
            self.hawkbit_progress(u8::try_from(percent).unwrap_or(100));
        }
        // The server's answer may have been to stop.
        if self.device.job.is_none() {
            return;
        }
        if left > 0 { self.plan_piece() } else { self.written() }
    }

    /// Bytes on the way, with what the link wants twice.
    fn count(&mut self, which: crate::server::Which, bytes: u64) {
        let sent = bytes.saturating_mul(1000) / (1000 - self.device.link.loss.min(900));
        self.servers.send(which, sent);
        let shown = self.device.clock(self.now).now;
        self.device.memory.spend(shown, ByteLen::new(bytes));
    }

    fn broke_off(&mut self) {
        let Some(job) = self.device.job.as_mut() else { return };
        if self.rules.mistake == Mistake::FetchesAnew {
            job.left = job.version.looked(ByteLen::ZERO).transfer.get();
            self.device.have = None;
        }
        job.breaks += 1;
        if job.breaks <= MOST_BREAKS {
            // The next piece stands for the next connection.
            let pause = self.device.random.between(PAUSE.0, PAUSE.1);
            self.now += pause;
            return self.connect();
        }
        let action = job.action;
        self.device.job = None;
        self.device.is_unanswered();
        match action {
            Some(action) => self.hawkbit_stopped(action),
            None => self.sleep(Asked::Failed { retry_after: None }, None),
        }
    }

    /// The slot is whole.
    fn written(&mut self) {
        let Some(job) = self.device.job.take() else { return };
        let (slot, bundle) = (job.order.slot, job.version.id());
        let finish =
            Command::FinishInstall { target: slot, bundle, activation: Activation::Activate };
        if self.device.board.command(&finish).is_err() {
            return self.sleep(Asked::Answered { sleep: None }, None);
        }
        let version = job.version.text().to_owned();
        self.device.board.note(Entry::InstallFinished { slot, version, bundle }, self.now);
        if let Some(install) = &mut self.device.memory.install {
            install.stage = InstallStage::Written;
        }
        self.device.have = None;
        match job.action {
            Some(action) => self.hawkbit_written(action, slot),
            None => {
                if !self.restart_if_due() {
                    self.sleep(Asked::Answered { sleep: None }, None);
                }
            }
        }
    }
}
