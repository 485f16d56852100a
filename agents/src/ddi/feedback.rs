// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is the server told, and in which words of its own?
//!
//! What hawkBit does with each is in `docs/agents-hawkbit.md`. Two of its words do not do what
//! they say: `rejected` about a deployment is a mere remark (the action stays open), and `canceled`
//! about a cancellation is one that it does not know. Nothing here is longer than hawkBit keeps.

use super::limits::{MAX_ATTRIBUTE_CHARS, MAX_ATTRIBUTES, MAX_DETAIL_CHARS, MAX_DETAILS};
use super::server::ActionId;
use bundle::UnixTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Where an action stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Execution {
    /// It is over.
    Closed,
    /// It is worked on.
    Proceeding,
    /// It was given up.
    Canceled,
    /// It will be done later.
    Scheduled,
    /// It goes on after a restart.
    Resumed,
    /// It cannot be done now.
    Rejected,
    /// Its artifact is on the device.
    Downloaded,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finished {
    /// Well.
    Success,
    /// Not.
    Failure,
    /// Not yet.
    None,
}

/// One status entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// See there.
    pub execution: Execution,
    /// See there.
    pub finished: Finished,
    /// Of a hundred, where it is about progress.
    pub percent: Option<u8>,
    /// In words.
    pub details: Vec<String>,
}

impl Feedback {
    /// About something that goes on.
    #[must_use]
    pub fn ongoing(execution: Execution, words: &str) -> Self {
        Self { execution, finished: Finished::None, percent: None, details: vec![words.to_owned()] }
    }

    /// The end, with its reason.
    #[must_use]
    pub fn end(finished: Finished, words: &str) -> Self {
        Self {
            execution: Execution::Closed,
            finished,
            percent: None,
            details: vec![words.to_owned()],
        }
    }

    /// The body of the request. The time is left out where nobody has set the clock: hawkBit takes
    /// its own then.
    #[must_use]
    pub fn body(&self, id: ActionId, at: Option<UnixTime>) -> Vec<u8> {
        let mut result = json!({ "finished": self.finished });
        if let Some(percent) = self.percent {
            set(&mut result, "progress", json!({ "cnt": percent, "of": 100 }));
        }
        let details: Vec<String> = bounded(&self.details);
        let status = json!({
            "execution": self.execution, "result": result, "details": details,
        });
        // hawkBit before 0.3 wants the number; later ones do not look at it.
        let mut body = json!({ "id": id.to_string(), "status": status });
        if let Some(millis) = at.and_then(|at| at.0.checked_mul(1000)) {
            set(&mut body, "timestamp", json!(millis));
        }
        body.to_string().into_bytes()
    }
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

/// The body of a yes or no to an action that waits for one.
#[must_use]
pub fn confirmation_body(is_confirmed: Confirmed, words: &str) -> Vec<u8> {
    let confirmation = match is_confirmed {
        Confirmed::Yes => "confirmed",
        Confirmed::No => "denied",
    };
    let details = bounded(&[words.to_owned()]);
    json!({ "confirmation": confirmation, "details": details }).to_string().into_bytes()
}

/// A yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confirmed {
    /// It may be installed.
    Yes,
    /// It may not.
    No,
}

/// What becomes of the attributes that the server already has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttributeMode {
    /// They stay beside the new ones.
    #[default]
    Merge,
    /// They go.
    Replace,
}

/// The body of the device's attributes: at most as many as hawkBit takes, in the alphabet that it
/// takes; whatever else would make it refuse all of them.
#[must_use]
pub fn attributes_body(attributes: &BTreeMap<String, String>, mode: AttributeMode) -> Vec<u8> {
    let data: BTreeMap<String, String> = attributes
        .iter()
        .filter(|(key, _)| !key.is_empty())
        .take(MAX_ATTRIBUTES)
        .map(|(key, value)| (attribute(key), attribute(value)))
        .collect();
    json!({ "mode": mode, "data": data }).to_string().into_bytes()
}

fn attribute(text: &str) -> String {
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || " _-!@#$%^&*()+=[]{}|;:'\",.<>/\\?".contains(c);
    let clean: String = text.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    clean.chars().take(MAX_ATTRIBUTE_CHARS).collect()
}

fn bounded(details: &[String]) -> Vec<String> {
    details.iter().take(MAX_DETAILS).map(|text| shorten(text, MAX_DETAIL_CHARS)).collect()
}

/// A text of one line and at most so many characters, as servers and logs can show it.
pub(super) fn shorten(text: &str, limit: usize) -> String {
    let mut short: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(limit).collect();
    if text.chars().nth(limit).is_some() {
        let _ = short.pop();
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_entry_has_the_words_of_the_interface() {
        let mut feedback = Feedback::ongoing(Execution::Proceeding, "Downloaded 40%");
        feedback.percent = Some(40);
        let body: Value =
            serde_json::from_slice(&feedback.body(ActionId(5), Some(UnixTime(10)))).unwrap();
        let status = json!({
            "execution": "proceeding",
            "result": { "finished": "none", "progress": { "cnt": 40, "of": 100 } },
            "details": ["Downloaded 40%"],
        });
        assert_eq!(body, json!({ "id": "5", "timestamp": 10_000, "status": status }));
        let end = Feedback::end(Finished::Failure, "no\nspace");
        let body: Value = serde_json::from_slice(&end.body(ActionId(-1), None)).unwrap();
        assert!(body["timestamp"].is_null() && body["id"] == "-1");
        assert_eq!(body["status"]["details"][0], "no space");
        assert_eq!(body["status"]["result"]["finished"], "failure");
    }

    #[test]
    fn nothing_is_longer_than_hawkbit_keeps() {
        let mut end = Feedback::end(Finished::Failure, &"é".repeat(5000));
        end.details.extend((0..100).map(|n| n.to_string()));
        let body: Value = serde_json::from_slice(&end.body(ActionId(1), None)).unwrap();
        let details = body["status"]["details"].as_array().unwrap();
        assert_eq!(details.len(), MAX_DETAILS);
        assert_eq!(details[0].as_str().unwrap().chars().count(), MAX_DETAIL_CHARS);
        assert!(details[0].as_str().unwrap().ends_with('…'));
    }

    #[test]
    fn attributes_are_what_hawkbit_takes() {
        let mut attributes = BTreeMap::from([("ü~".to_owned(), "a\u{7}b".repeat(100))]);
        attributes.insert(String::new(), "dropped".to_owned());
        attributes.extend((0..200).map(|n| (format!("k{n}"), "v".to_owned())));
        let body: Value =
            serde_json::from_slice(&attributes_body(&attributes, AttributeMode::Replace)).unwrap();
        let data = body["data"].as_object().unwrap();
        assert_eq!((body["mode"].as_str(), data.len()), (Some("replace"), MAX_ATTRIBUTES));
        assert!(data.values().all(|value| value.as_str().unwrap().len() <= MAX_ATTRIBUTE_CHARS));
        assert!(!data.contains_key(""));
    }
}
