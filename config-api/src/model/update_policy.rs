// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the owner of the device allow? `[os_upgrade.policy]`, and the words and spans of time
//! that are read alike elsewhere in `[os_upgrade]`.

use super::fault::Sink;
use super::name::trim;
use super::reader::{Item, Table, closest, shortened};
use super::updates::{Day, MeteredRule, RebootRule, TimeOfDay, UpdatePolicy, Window};

pub(crate) const POLICY_KEYS: [&str; 10] = [
    "windows",
    "reboot",
    "metered",
    "rate_limit_kib",
    "max_update_mib",
    "max_day_mib",
    "allow_downgrade",
    "jitter",
    "keep_bundles",
    "before_reboot",
];
const WINDOW_KEYS: [&str; 4] = ["days", "from", "to", "offset"];

/// A slower link never ends an update; a faster one has no need of a limit.
pub(crate) const RATE_KIB: (u32, u32) = (8, 1024 * 1024);
/// Up to a TiB.
pub(crate) const SIZE_MIB: (u32, u32) = (1, 1024 * 1024);
/// Up to a day.
pub(crate) const JITTER_SECS: (u32, u32) = (0, 24 * 3600);
pub(crate) const MAX_WINDOWS: usize = 16;
pub(crate) const MAX_HOOKS: usize = 8;
const MAX_HOOK_CHARS: usize = 64;
/// What the clocks of the world are before or behind UTC at most.
const OFFSET_MINUTES: std::ops::RangeInclusive<i16> = -12 * 60..=14 * 60;

/// Where the image has the programs that a configuration may name.
pub(crate) const HOOKS_DIR: &str = "/etc/atomix/before-reboot";

pub(super) fn read_policy(item: Item<'_, '_>, sink: &mut Sink) -> Option<UpdatePolicy> {
    let table = item.table(sink)?;
    table.only(&POLICY_KEYS, sink);
    let whole = |key, (least, most), sink: &mut Sink| {
        table.get(key).and_then(|item| item.whole(least, most, sink))
    };
    let truth = |key, sink: &mut Sink| table.get(key).and_then(|item| item.boolean(sink));
    let windows = table.get("windows").map(|item| read_windows(&item, sink));
    let hooks = table.get("before_reboot").map(|item| read_hooks(&item, sink));
    Some(UpdatePolicy {
        windows: windows.unwrap_or_default(),
        reboot: table.get("reboot").and_then(|item| read_word(&item, RebootRule::WORDS, sink)),
        metered: table.get("metered").and_then(|item| read_word(&item, MeteredRule::WORDS, sink)),
        rate_limit_kib: whole("rate_limit_kib", RATE_KIB, sink),
        max_update_mib: whole("max_update_mib", SIZE_MIB, sink),
        max_day_mib: whole("max_day_mib", SIZE_MIB, sink),
        allow_downgrade: truth("allow_downgrade", sink),
        jitter_secs: table.get("jitter").and_then(|item| read_duration(&item, JITTER_SECS, sink)),
        keep_bundles: truth("keep_bundles", sink),
        before_reboot: hooks.unwrap_or_default(),
    })
}

fn read_windows(list: &Item<'_, '_>, sink: &mut Sink) -> Vec<Window> {
    let Some(items) = list.filled_list(sink) else { return Vec::new() };
    if items.len() > MAX_WINDOWS {
        list.fault(sink, format!("has {} windows, more than {MAX_WINDOWS}", items.len()), "");
    }
    let mut windows = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let item = Item { node, path: list.path.index(index) };
        windows.extend(item.table(sink).and_then(|table| read_window(&item, &table, sink)));
    }
    windows
}

fn read_window(item: &Item<'_, '_>, table: &Table<'_, '_>, sink: &mut Sink) -> Option<Window> {
    table.only(&WINDOW_KEYS, sink);
    let days = table.get("days").map(|item| read_days(&item, sink));
    let from = read_time(table, "from", sink);
    let to = read_time(table, "to", sink);
    let offset = table.get("offset").map_or(Some(0), |item| read_offset(&item, sink));
    let (from, to, offset_minutes) = (from?, to?, offset?);
    if from == to {
        let hint = "a window that ends at its own beginning has no time in it; without windows an \
                    update may come at any time";
        item.fault(sink, "ends where it begins", hint);
        return None;
    }
    Some(Window { days: days.unwrap_or_default(), from, to, offset_minutes })
}

fn read_days(list: &Item<'_, '_>, sink: &mut Sink) -> Vec<Day> {
    let Some(items) = list.filled_list(sink) else { return Vec::new() };
    let mut days = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let item = Item { node, path: list.path.index(index) };
        let Some(day) = read_word(&item, Day::WORDS, sink) else { continue };
        if days.contains(&day) {
            item.fault(sink, "is named twice", "");
        }
        days.push(day);
    }
    days
}

fn read_time(table: &Table<'_, '_>, key: &str, sink: &mut Sink) -> Option<TimeOfDay> {
    let item = table.require(key, sink)?;
    let text = trim(item.text(sink)?);
    let time = TimeOfDay::parse(text);
    if time.is_none() {
        let problem = format!("is no time of a day: {:?}", shortened(text));
        item.fault(sink, problem, "\"22:30\"; from 00:00 to 23:59");
    }
    time
}

fn read_offset(item: &Item<'_, '_>, sink: &mut Sink) -> Option<i16> {
    let text = trim(item.text(sink)?);
    let minutes = |sign: i16, text: &str| {
        let minutes = i16::try_from(TimeOfDay::parse(text)?.minutes()).ok()?;
        Some(sign * minutes)
    };
    let offset = match text.split_at_checked(1) {
        Some(("+", rest)) => minutes(1, rest),
        Some(("-", rest)) => minutes(-1, rest),
        Some(("Z", "")) => Some(0),
        Some(_) | None => None,
    };
    let offset = offset.filter(|offset| OFFSET_MINUTES.contains(offset));
    if offset.is_none() {
        let problem = format!("is no offset from UTC: {:?}", shortened(text));
        item.fault(sink, problem, "\"+01:00\"; from -12:00 to +14:00");
    }
    offset
}

fn read_hooks(list: &Item<'_, '_>, sink: &mut Sink) -> Vec<String> {
    let Some(items) = list.filled_list(sink) else { return Vec::new() };
    if items.len() > MAX_HOOKS {
        list.fault(sink, format!("has {} names, more than {MAX_HOOKS}", items.len()), "");
    }
    let mut names: Vec<String> = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let item = Item { node, path: list.path.index(index) };
        let Some(text) = item.text(sink) else { continue };
        let name = trim(text);
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=MAX_HOOK_CHARS).contains(&name.len())
            && name.bytes().all(plain)
            && !name.starts_with('-');
        if !is_name {
            let problem = format!("is no name of a hook: {:?}", shortened(name));
            let hint = format!(
                "a name of a program in {HOOKS_DIR} of the image, a-z 0-9 -; no command stands in a \
                 configuration"
            );
            item.fault(sink, problem, hint);
        } else if names.iter().any(|one| one == name) {
            item.fault(sink, "is named twice", "");
        } else {
            names.push(name.to_owned());
        }
    }
    names
}

/// One of some words.
pub(super) fn read_word<T: Copy>(
    item: &Item<'_, '_>,
    words: &[(&str, T)],
    sink: &mut Sink,
) -> Option<T> {
    let text = item.text(sink)?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    if found.is_none() {
        let known = || words.iter().map(|(word, _)| *word);
        let hint = match closest(text, known(), sink) {
            Some(close) => format!("did you mean {close}?"),
            None => format!("known here: {}", known().collect::<Vec<_>>().join(", ")),
        };
        item.fault(sink, format!("is unknown: {:?}", shortened(text)), hint);
    }
    found
}

/// A span of time such as `90s`, `15m`, `1h` or `2d`, in seconds.
pub(super) fn read_duration(
    item: &Item<'_, '_>,
    (least, most): (u32, u32),
    sink: &mut Sink,
) -> Option<u32> {
    let text = trim(item.text(sink)?);
    let Some(secs) = duration_secs(text) else {
        let problem = format!("is no span of time: {:?}", shortened(text));
        item.fault(sink, problem, "a number and s, m, h or d: \"90s\", \"15m\", \"1h\", \"2d\"");
        return None;
    };
    if !(least..=most).contains(&secs) {
        let problem = format!("is {}, not {} to {}", shortened(text), span(least), span(most));
        item.fault(sink, problem, "");
        return None;
    }
    Some(secs)
}

fn duration_secs(text: &str) -> Option<u32> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let digits = text.get(..text.len() - 1)?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // What no number holds is longer than any limit.
    plain.then(|| digits.parse().unwrap_or(u32::MAX).saturating_mul(unit))
}

/// Seconds in the greatest unit that says them whole.
fn span(secs: u32) -> String {
    let units = [(24 * 3600, 'd'), (3600, 'h'), (60, 'm')];
    let whole = units.into_iter().find(|(unit, _)| secs > 0 && secs.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{secs}s"), |(unit, letter)| format!("{}{letter}", secs / unit))
}
