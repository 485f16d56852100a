// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does an event look in a file? RAUC's four formats.

use super::Event;
use crate::LogFormat;
use crate::status::timestamp_text;
use bootctl::Timestamp;

/// What stands where the clock was not set.
const NO_TIME: &str = "1970-01-01T00:00:00Z";
/// Fields that people are shown, and under which name.
const SHOWN: [(&str, &str); 6] = [
    ("TRANSACTION_ID", "transaction ID"),
    ("BOOT_ID", "boot ID"),
    ("BUNDLE_HASH", "bundle hash"),
    ("BUNDLE_VERSION", "bundle version"),
    ("SLOT_NAME", "slot"),
    ("SLOT_BOOTNAME", "bootname"),
];
/// As wide as the time and its colon.
const INDENT: &str = "                      ";

/// The text of an event, without the end of its last line.
#[must_use]
pub(super) fn format_event(event: &Event, at: Timestamp, format: LogFormat) -> String {
    let time = timestamp_text(at).unwrap_or_else(|| NO_TIME.to_owned());
    match format {
        LogFormat::Short => format!("{time}: {}", one_line(&event.message)),
        LogFormat::Readable => readable(event, &time),
        LogFormat::Json => json(event, &time, ["", "", ":"]),
        LogFormat::JsonPretty => json(event, &time, ["\n", "  ", " : "]),
    }
}

fn readable(event: &Event, time: &str) -> String {
    let mut text = format!("{time}: {}", one_line(&event.message));
    for (key, value) in event.fields() {
        if let Some((_, name)) = SHOWN.iter().find(|(field, _)| *field == key) {
            text.push_str(&format!("\n{INDENT}{name}: {}", one_line(value)));
        }
    }
    text
}

/// A message with an end of line in it must not look like two events.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn json(event: &Event, time: &str, [line, indent, colon]: [&str; 3]) -> String {
    let mut text = String::from("{");
    let fields = std::iter::once(("TS", time)).chain(event.fields());
    for (number, (key, value)) in fields.enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let value = serde_json::Value::from(value);
        text.push_str(&format!("{comma}{line}{indent}\"{key}\"{colon}{value}"));
    }
    text.push_str(line);
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_unix(1_795_230_000);

    #[test]
    fn readable_shows_known_fields_below_the_message_and_short_is_one_line() {
        let event = Event::install_started("01234567-89ab");
        assert_eq!(
            format_event(&event, AT, LogFormat::Readable),
            "2026-11-21T03:00:00Z: Installation 01234567 started\n\
             \u{20}                     transaction ID: 01234567-89ab"
        );
        let two = Event::plain(crate::event_log::EventKind::Service, "one\ntwo");
        assert_eq!(format_event(&two, AT, LogFormat::Short), "2026-11-21T03:00:00Z: one two");
    }

    #[test]
    fn both_json_forms_are_one_object_with_every_field() {
        let event = Event::plain(crate::event_log::EventKind::Boot, "say \"hi\"\n");
        let compact = format_event(&event, AT, LogFormat::Json);
        assert_eq!(
            compact,
            "{\"TS\":\"2026-11-21T03:00:00Z\",\"MESSAGE\":\"say \\\"hi\\\"\\n\",\"PRIORITY\":\"5\",\
             \"GLIB_DOMAIN\":\"rauc-event\",\"RAUC_EVENT_TYPE\":\"boot\"}"
        );
        let pretty = format_event(&event, Timestamp::UNKNOWN, LogFormat::JsonPretty);
        assert!(pretty.starts_with("{\n  \"TS\" : \"1970-01-01T00:00:00Z\",\n"), "{pretty}");
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parse(&pretty)["MESSAGE"], parse(&compact)["MESSAGE"]);
    }
}
