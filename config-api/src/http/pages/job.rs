// SPDX-License-Identifier: MIT OR Apache-2.0
//! A change as it goes: its state in one line that is read aloud, its steps, and at its end where
//! the device answers or what was left behind.

use super::fault_views::list;
use super::layout::{Page, Refresh, lost};
use super::words::{left_behind, state, step};
use crate::jobs::{Job, JobEvent, JobState};
use axum::http::StatusCode;
use maud::{Markup, html};

/// So many of the newest steps are shown.
const STEPS: usize = 40;

/// Said while the page cannot follow.
const LOST: &str = "The connection is lost. This page tries again by itself. Where the device has got \
    another address, open it there: the steps below may name it.";

/// The page of a job.
pub(super) fn page(job: &Job) -> Page {
    let id = job.id.to_string();
    let over = job.state.is_final();
    let main = html! {
        h1 { "Your configuration" }
        div hx-ext=[(!over).then_some("sse")]
            sse-connect=[(!over).then(|| format!("/ui/jobs/{id}/events"))]
            sse-close=[(!over).then_some("done")] {
            p #state role="status" sse-swap=[(!over).then_some("state")] { (state(job)) }
            (lost(LOST))
            div #job sse-swap=[(!over).then_some("job")] { (progress(job)) }
        }
    };
    let title = match job.state {
        JobState::Submitted | JobState::Running => "Being applied",
        JobState::Succeeded => "Done",
        JobState::Failed => "Failed",
    };
    let mut page = Page::new(StatusCode::OK, title, main);
    if !over {
        page.refresh = Refresh::UntilOver;
    }
    page
}

/// Everything below the one line.
fn progress(job: &Job) -> Markup {
    html! {
        @match job.state {
            JobState::Submitted | JobState::Running => {
                p {
                    "Leave the device switched on. Should this page fall silent, "
                    a href={ "/ui/jobs/" (job.id.to_string()) } { "look again" } "."
                }
            }
            JobState::Succeeded => (succeeded(job)),
            JobState::Failed => (failed(job)),
        }
        @if !job.events.is_empty() {
            h2 { "Steps" }
            ol .steps {
                @for event in job.events.iter().skip(job.events.len().saturating_sub(STEPS)) {
                    li { (step_line(event)) }
                }
            }
        }
    }
}

fn succeeded(job: &Job) -> Markup {
    let result = job.result.clone().unwrap_or_default();
    html! {
        section .good aria-labelledby="address-title" {
            h2 #address-title { "Where the device answers from now on" }
            @match result.forwarding_url.as_deref() {
                Some(url) if url.starts_with("http://") => {
                    p .address { a href=(url) { (url) } }
                    p { "From its LAN only. Your computer may have to ask for a new address first: take the cable out and put it in again." }
                }
                Some(_) | None => p { "On the LAN address of the configuration." }
            }
        }
        @if !result.warnings.is_empty() {
            h2 { "What may surprise" }
            ul { @for warning in &result.warnings { li { (warning) } } }
        }
    }
}

fn failed(job: &Job) -> Markup {
    html! {
        section .bad aria-labelledby="why-title" {
            h2 #why-title { "Why" }
            p { (job.error.as_deref().unwrap_or("nobody saw")) }
            @if let Some(rollback) = job.rollback_status { p { (left_behind(rollback)) } }
            (list(&job.faults))
        }
        p { a href="/" { "To the first page" } }
    }
}

fn step_line(event: &JobEvent) -> Markup {
    html! {
        span .quiet { (format!("{:.2}", event.elapsed_seconds)) " s " }
        (step(&event.step))
        @if let Some(service) = &event.service { " " code { (service) } }
        @if let Some(status) = &event.status { " (" (status) ")" }
        @if let Some(message) = &event.message { ": " (message) }
    }
}

/// A job as events of a page: its line when that changed, the rest, and the end.
pub(super) fn events(last: Option<&Job>, job: &Job) -> Option<String> {
    let mut events = String::new();
    let line = state(job);
    if last.map(state).as_ref() != Some(&line) {
        events += &event("state", &html! { (line) }.into_string());
    }
    events += &event("job", &progress(job).into_string());
    if job.state.is_final() {
        events += &event("done", "");
    }
    Some(events)
}

/// One event; each line of its data is a line of the stream.
fn event(name: &str, data: &str) -> String {
    let mut event = format!("event: {name}\nretry: 1000\n");
    for line in data.split(['\n', '\r']) {
        event += "data: ";
        event += line;
        event.push('\n');
    }
    event.push('\n');
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{JobChange, JobId, JobResult, ReportedFault, RollbackStatus};

    fn running() -> Job {
        let mut job = Job::new(JobId::new([7; 16]));
        job.change(JobChange::Start).unwrap();
        job
    }

    #[test]
    fn what_a_service_says_is_text_and_no_markup_nor_event() {
        let mut job = running();
        let evil = "<script>alert(1)</script>\r\nevent: done\r\rdata: \"'&";
        let mut said = JobEvent::step(evil);
        (said.message, said.service, said.status) =
            (Some(evil.to_owned()), Some(evil.to_owned()), Some(evil.to_owned()));
        job.events.push(said);
        job.current_step = evil.to_owned();
        job.error = Some(evil.to_owned());
        job.faults = vec![ReportedFault {
            path: evil.to_owned(),
            problem: evil.to_owned(),
            hint: Some(evil.to_owned()),
            ..ReportedFault::default()
        }];
        for state in [JobState::Running, JobState::Failed, JobState::Succeeded] {
            job.state = state;
            let warnings = vec![evil.to_owned()];
            let forwarding_url = Some("javascript:alert(1)".to_owned());
            job.result = Some(JobResult { warnings, forwarding_url, ..JobResult::default() });
            let page = page(&job).main.into_string();
            assert!(!page.contains("<script>") && !page.contains("javascript:"), "{page}");
            let stream = events(None, &job).unwrap();
            let names: Vec<&str> =
                stream.split('\n').filter_map(|line| line.strip_prefix("event: ")).collect();
            let end: &[&str] = if state.is_final() { &["done"] } else { &[] };
            assert_eq!(names, [&["state", "job"], end].concat());
            assert!(!stream.contains('\r'));
        }
    }

    #[test]
    fn the_line_that_is_read_aloud_is_told_only_when_it_changes() {
        let mut job = running();
        let before = job.clone();
        job.events.push(JobEvent::step("running"));
        assert!(!events(Some(&before), &job).unwrap().contains("event: state"));
        job.change(JobChange::Step(JobEvent::step("validate"))).unwrap();
        assert!(events(Some(&before), &job).unwrap().contains("Under way: checking"));
    }

    #[test]
    fn the_end_says_where_the_device_is_or_what_was_left_behind() {
        let mut job = running();
        let forwarding_url = Some("http://10.0.0.1:8080".to_owned());
        let result = JobResult { forwarding_url, ..JobResult::default() };
        job.change(JobChange::Succeed { result, duration_seconds: 1.0 }).unwrap();
        let done = page(&job);
        assert_eq!(done.refresh, Refresh::Never);
        let main = done.main.into_string();
        assert!(main.contains(r#"<a href="http://10.0.0.1:8080">"#) && !main.contains("sse-"));
        let mut lost = running();
        lost.change(JobChange::Interrupt { rollback: RollbackStatus::Discarded }).unwrap();
        assert!(page(&lost).main.into_string().contains("as it was delivered"));
    }
}
