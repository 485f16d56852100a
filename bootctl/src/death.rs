// SPDX-License-Identifier: MIT OR Apache-2.0
//! What do a dead kernel's last words say, in one line?
//!
//! pstore keeps the end of a kernel's log in memory that outlives a reset. The text is foreign: the
//! kernel that wrote it may have been broken in any way, and memory decays. So it is bounded before
//! it gets here, nothing of it is obeyed, and what is kept of it is one short line without control
//! characters.

use crate::SlotId;
use crate::record::{DeathMark, TEXT_MAX};
use crate::record_codec::first_bytes;

/// Most bytes of one word of pstore that are worth reading.
pub const DEATH_TEXT_MAX: usize = 256 * 1024;

/// What a kernel says when it cannot go on; the first that is found is taken.
const LAST_WORDS: [&str; 5] = [
    "Kernel panic - not syncing: ",
    "Internal error: ",
    "Unable to handle kernel ",
    "kernel BUG at ",
    "watchdog: BUG: ",
];

/// Functions that every trace begins with: they tell of the panic's way to the console only.
const TELLERS: [&str; 9] = [
    "dump_backtrace",
    "show_stack",
    "dump_stack",
    "panic",
    "vpanic",
    "nmi_panic",
    "die",
    "oops_",
    "__warn",
];

/// What somebody says of a boot that died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The slot that ran, where the word itself tells.
    pub slot: Option<SlotId>,
    /// What tells this word from others.
    pub mark: DeathMark,
    /// What it says, in few words.
    pub cause: String,
}

impl Death {
    /// What the end of a kernel's log says; nothing where no kernel died in it.
    #[must_use]
    pub fn from_kernel_log(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..DEATH_TEXT_MAX).unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes);
        let message = LAST_WORDS.into_iter().find_map(|words| last_line_from(&text, words))?;
        let mut cause = harmless(message);
        if let Some(function) = first_of_trace(&text) {
            let at = format!(", in {}", harmless(function));
            // The message is told in any case; its end gives way to the place.
            let room = TEXT_MAX.saturating_sub(at.len());
            cause = format!("{}{at}", first_bytes(&cause, room));
        }
        Some(Self { slot: slot_of(&text), mark: DeathMark::of(bytes), cause })
    }

    /// What a watchdog says of the reset before this boot, by the bits of Linux's `bootstatus`;
    /// nothing where it did not bite.
    #[must_use]
    pub fn from_watchdog(bits: u32, boot: &[u8]) -> Option<Self> {
        const CARD_RESET: u32 = 0x20;
        const OVERHEAT: u32 = 0x01;
        let cause = match bits {
            bits if bits & CARD_RESET != 0 => "the watchdog reset the board",
            bits if bits & OVERHEAT != 0 => "the board was reset because it was too hot",
            _ => return None,
        };
        Some(Self { slot: None, mark: DeathMark::of(boot), cause: cause.to_owned() })
    }
}

impl DeathMark {
    /// The mark of a whole word: its checksum and its length. It tells chance apart, not malice;
    /// who can write here can write anything.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let [a, b, c, d] = crc32fast::hash(bytes).to_le_bytes();
        let [e, f, g, h] = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        Self([a, b, c, d, e, f, g, h])
    }
}

/// The rest of the last line that has `words`, with them.
fn last_line_from<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let at = text.rfind(words)?;
    text.get(at..)?.lines().next()
}

/// The first function of the last trace that is not one of those every trace begins with.
fn first_of_trace<'a>(text: &'a str) -> Option<&'a str> {
    let at = text.rfind("Call trace:").or_else(|| text.rfind("Call Trace:"))?;
    let lines = text.get(at..)?.lines().skip(1).take(16);
    // `<4>[    1.234567]  name+0x12/0x34`
    let name = |line: &'a str| {
        let word = line.rsplit(']').next()?.split_whitespace().next()?;
        word.split_once("+0x").map(|(name, _)| name)
    };
    lines.filter_map(name).find(|name| !TELLERS.iter().any(|teller| name.starts_with(teller)))
}

/// The slot on the command line of the kernel that died, where its log reaches back so far.
fn slot_of(text: &str) -> Option<SlotId> {
    let (_, after) = text.rsplit_once("rauc.slot=")?;
    after.split_ascii_whitespace().next()?.parse().ok()
}

/// One line for a terminal: control characters are shown, not sent.
fn harmless(text: &str) -> String {
    let mut line = String::new();
    for character in text.trim().chars().take(TEXT_MAX) {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANIC: &str = "Panic#1 Part1\n\
        <5>[    0.000000] Kernel command line: console=ttyAMA0 rauc.slot=B atomix.reason=trying\n\
        <6>[    5.010000] Run /sbin/init as init process\n\
        <0>[    5.123456] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\n\
        <4>[    5.123460] CPU: 0 PID: 1 Comm: init Not tainted 6.12.0-arm64 #1\n\
        <4>[    5.123470] Call trace:\n\
        <4>[    5.123471]  dump_backtrace+0x98/0x118 (P)\n\
        <4>[    5.123472]  show_stack+0x20/0x38 (C)\n\
        <4>[    5.123473]  dump_stack_lvl+0x60/0x80\n\
        <4>[    5.123474]  panic+0x168/0x360\n\
        <4>[    5.123475]  do_exit+0x8f8/0x9b8\n\
        <4>[    5.123476]  do_group_exit+0x3c/0xa0\n";

    #[test]
    fn a_panic_is_told_by_its_message_its_place_and_its_slot() {
        let death = Death::from_kernel_log(PANIC.as_bytes()).unwrap();
        assert_eq!(death.slot, Some(SlotId::B));
        assert_eq!(
            death.cause,
            "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100, in do_exit"
        );
        assert!(death.cause.len() <= TEXT_MAX);
    }

    /// What Debian's arm64 kernel 6.12 left in ramoops over a reset of QEMU's board, shortened.
    #[test]
    fn a_real_dump_is_told() {
        let dump = "Panic#1 Part1\n\
            <6>[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x410fd034]\n\
            <5>[    0.000000] Kernel command line: console=ttyAMA0 mem=448M panic=1 rauc.slot=B \
            loglevel=7\n\
            <0>[   48.891563] Kernel panic - not syncing: sysrq triggered crash\n\
            <4>[   48.892379] CPU: 0 UID: 0 PID: 1 Comm: init Not tainted 6.12.107+deb13-arm64\n\
            <4>[   48.892830] Hardware name: linux,dummy-virt (DT)\n\
            <4>[   48.941454] Call trace:\n\
            <4>[   48.941897]  dump_backtrace+0xd8/0x130\n\
            <4>[   48.942633]  show_stack+0x20/0x38\n\
            <4>[   48.942791]  dump_stack_lvl+0x60/0x80\n\
            <4>[   48.942935]  dump_stack+0x18/0x28\n\
            <4>[   48.943036]  panic+0x164/0x378\n\
            <4>[   48.943126]  sysrq_handle_crash+0x20/0x28\n\
            <4>[   48.943232]  __handle_sysrq+0xa4/0x1a8\n";
        let death = Death::from_kernel_log(dump.as_bytes()).unwrap();
        assert_eq!(death.slot, Some(SlotId::B));
        assert_eq!(
            death.cause,
            "Kernel panic - not syncing: sysrq triggered crash, in sysrq_handle_crash"
        );
    }

    #[test]
    fn a_log_in_which_nothing_died_says_nothing() {
        for log in ["", "<6>[    1.0] Kernel command line: rauc.slot=A panic=10\n", "\u{0}\u{ff}"] {
            assert_eq!(Death::from_kernel_log(log.as_bytes()), None, "{log}");
        }
    }

    #[test]
    fn the_last_panic_counts_and_an_oops_is_told_where_there_is_none() {
        let twice = format!("{PANIC}<0>[ 9.0] Kernel panic - not syncing: again\n");
        let death = Death::from_kernel_log(twice.as_bytes()).unwrap();
        assert!(death.cause.starts_with("Kernel panic - not syncing: again"), "{}", death.cause);
        assert_ne!(death.mark, Death::from_kernel_log(PANIC.as_bytes()).unwrap().mark);
        let oops = "<1>[ 3.0] Internal error: Oops: 0000000096000004 [#1] SMP\n";
        let death = Death::from_kernel_log(oops.as_bytes()).unwrap();
        assert_eq!((death.slot, death.cause.as_str()), (None, oops[10..].trim()));
    }

    /// Memory decays, and a hostile kernel writes what it likes.
    #[test]
    fn foreign_bytes_become_one_short_harmless_line() {
        let long = "x".repeat(100_000);
        for rest in ["\u{1b}[2J\u{7}bell", &long, "\u{0}\u{9b}31m", "ä\u{85}ö", ""] {
            let mut bytes = b"Kernel panic - not syncing: ".to_vec();
            bytes.extend(rest.as_bytes());
            bytes.extend(b"\n\xff\xfe Call trace:\n[1] \x1b[31mevil+0x1/0x2\n");
            let death = Death::from_kernel_log(&bytes).unwrap();
            assert!(!death.cause.chars().any(char::is_control), "{:?}", death.cause);
            assert!(death.cause.chars().count() <= 4 * TEXT_MAX, "{}", death.cause.len());
        }
    }

    #[test]
    fn a_watchdog_that_bit_says_so_and_another_one_nothing() {
        let told = |bits| Death::from_watchdog(bits, b"boot").map(|death| death.cause);
        assert_eq!(told(0x20).as_deref(), Some("the watchdog reset the board"));
        assert_eq!(told(0x8000), None);
        assert_eq!(told(0), None);
    }
}
