// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens next? Events in the order of virtual time, and of those of one moment in the order
//! in which they were planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What happens to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happening {
    /// Its agent wakes.
    Wake,
    /// A piece of a transfer is through, or is not.
    Piece,
    /// The power goes, for so many seconds.
    Cut(u64),
    /// It starts.
    Boot,
    /// The verifier judges the system that runs.
    Verdict,
    /// The system that runs gives up, and the device starts again.
    Dies,
    /// A report that did not arrive is due again.
    Report,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// When.
    pub at: Duration,
    order: u64,
    /// To which device.
    pub device: u32,
    /// In which of its lives.
    pub life: u32,
    /// What.
    pub what: Happening,
}

/// The events to come.
#[derive(Default)]
pub struct Queue {
    events: BinaryHeap<Reverse<Event>>,
    planned: u64,
}

impl Queue {
    /// Plans an event.
    pub fn plan(&mut self, at: Duration, (device, life): (u32, u32), what: Happening) {
        self.planned += 1;
        self.events.push(Reverse(Event { at, order: self.planned, device, life, what }));
    }

    /// The next one, if it is before `end`.
    pub fn next(&mut self, end: Duration) -> Option<Event> {
        let is_due = self.events.peek().is_some_and(|Reverse(event)| event.at < end);
        if is_due { self.events.pop().map(|Reverse(event)| event) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_and_not_beyond_the_end() {
        let mut queue = Queue::default();
        let at = Duration::from_secs;
        queue.plan(at(5), (1, 0), Happening::Wake);
        queue.plan(at(2), (2, 0), Happening::Boot);
        queue.plan(at(2), (0, 0), Happening::Cut(9));
        let devices: Vec<u32> =
            std::iter::from_fn(|| queue.next(at(5))).map(|event| event.device).collect();
        assert_eq!(devices, [2, 0]);
        assert_eq!(queue.next(at(6)).map(|event| event.what), Some(Happening::Wake));
    }
}
