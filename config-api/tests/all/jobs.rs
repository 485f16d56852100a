// SPDX-License-Identifier: MIT OR Apache-2.0
//! A job is told as it went, one runs at a time, and a new service knows what became of the old
//! one's.

use config_api::jobs::{
    Job, JobChange, JobError, JobEvent, JobId, JobResult, JobState, JobStore, MAX_EVENTS, MAX_JOBS,
    ReportedFault, RollbackStatus, seconds,
};
use serde_json::json;
use std::path::Path;
use storage::{Files, HostFiles, MemoryFiles};

const DIR: &str = "/var/lib/jobs";

fn id(number: u8) -> JobId {
    JobId::new([number; 16])
}

fn store(files: MemoryFiles) -> JobStore<MemoryFiles> {
    JobStore::load(files, Path::new(DIR)).unwrap()
}

fn fail() -> JobChange {
    JobChange::Fail {
        error: "web did not become healthy\nin time".to_owned(),
        faults: Vec::new(),
        rollback: RollbackStatus::Completed,
        duration_seconds: 1.5,
    }
}

fn succeed() -> JobChange {
    JobChange::Succeed { result: JobResult::default(), duration_seconds: seconds(61_239) }
}

#[test]
fn a_fault_names_the_place_that_it_has() {
    let whole = ReportedFault { problem: "is no text".to_owned(), ..ReportedFault::default() };
    assert_eq!(whole.to_string(), "is no text");
    let path = "users.admin.shell".to_owned();
    let placed = ReportedFault { line: 3, column: 9, path, ..whole };
    assert_eq!(placed.to_string(), "line 3, column 9: users.admin.shell: is no text");
}

#[test]
fn a_job_is_told_in_the_contracts_words() {
    let mut job = Job::new(id(1));
    job.change(JobChange::Start).unwrap();
    let event = JobEvent {
        elapsed_seconds: seconds(1239),
        service: Some("web.service".to_owned()),
        ..JobEvent::step("service-status")
    };
    job.change(JobChange::Step(event)).unwrap();
    job.change(succeed()).unwrap();
    let expected = json!({
        "id": "01010101-0101-4101-8101-010101010101",
        "state": "succeeded",
        "current_step": "completed",
        "events": [
            {"step": "service-status", "elapsed_seconds": 1.23, "service": "web.service"}
        ],
        "result": {"warnings": []},
        "duration_seconds": 61.23,
    });
    assert_eq!(serde_json::to_value(&job).unwrap(), expected);
}

#[test]
fn every_change_out_of_turn_is_refused_and_changes_nothing() {
    let changes = || {
        let step = JobChange::Step(JobEvent::step("validate"));
        let interrupt = JobChange::Interrupt { rollback: RollbackStatus::Skipped };
        [JobChange::Start, step, succeed(), fail(), interrupt]
    };
    // By state: which of the five changes it takes.
    let table = [
        (vec![], [true, false, false, true, true]),
        (vec![JobChange::Start], [false, true, true, true, true]),
        (vec![JobChange::Start, succeed()], [false; 5]),
        (vec![JobChange::Start, fail()], [false; 5]),
    ];
    for (before, taken) in table {
        for (change, taken) in changes().into_iter().zip(taken) {
            let mut job = Job::new(id(1));
            for step in &before {
                job.change(step.clone()).unwrap();
            }
            let untouched = job.clone();
            assert_eq!(job.change(change.clone()).is_ok(), taken, "{before:?} {change:?}");
            if !taken {
                assert_eq!(job, untouched);
            }
        }
    }
}

#[test]
fn events_and_texts_are_bounded_and_the_newest_step_shows() {
    let mut job = Job::new(id(1));
    job.change(JobChange::Start).unwrap();
    for number in 0..=MAX_EVENTS {
        let message = Some(format!("line\n{}", "x".repeat(5000)));
        let event = JobEvent { message, ..JobEvent::step(format!("step-{number}")) };
        job.change(JobChange::Step(event)).unwrap();
    }
    assert_eq!(job.events.len(), MAX_EVENTS);
    assert_eq!(job.current_step, format!("step-{MAX_EVENTS}"));
    let message = job.events.last().unwrap().message.clone().unwrap();
    assert!(message.len() == 2000 && message.starts_with("line x"));
}

#[test]
fn one_change_is_under_way_at_a_time() {
    let mut store = store(MemoryFiles::default());
    store.submit(id(1)).unwrap();
    assert!(matches!(store.submit(id(2)), Err(JobError::Busy { running }) if running == id(1)));
    store.change(&id(1), JobChange::Start).unwrap();
    assert!(matches!(store.submit(id(2)), Err(JobError::Busy { .. })));
    store.change(&id(1), fail()).unwrap();
    assert!(store.submit(id(2)).is_ok());
    assert!(matches!(store.change(&id(9), JobChange::Start), Err(JobError::Unknown { .. })));
}

#[test]
fn a_new_service_knows_what_ended_and_what_did_not() {
    let dir = tempfile::tempdir().unwrap();
    let load = || JobStore::load(HostFiles::new(dir.path()), Path::new(DIR)).unwrap();
    let mut first = load();
    first.submit(id(1)).unwrap();
    first.change(&id(1), JobChange::Start).unwrap();
    first.change(&id(1), succeed()).unwrap();
    first.submit(id(2)).unwrap();
    first.change(&id(2), JobChange::Start).unwrap();
    drop(first);
    let mut second = load();
    assert_eq!(second.unsettled(), [id(2)]);
    assert!(matches!(second.submit(id(3)), Err(JobError::Busy { .. })), "its end is not known yet");
    second.change(&id(2), JobChange::Interrupt { rollback: RollbackStatus::Completed }).unwrap();
    assert_eq!(second.get(&id(1)).unwrap().state, JobState::Succeeded);
    let lost = second.get(&id(2)).unwrap();
    assert_eq!(lost.state, JobState::Failed);
    assert_eq!(lost.rollback_status, Some(RollbackStatus::Completed));
    let told = lost.clone();
    assert_eq!(load().get(&id(2)), Some(&told), "a second start changes nothing");
}

#[test]
fn the_newest_are_kept_in_memory_and_on_disk() {
    let mut files = MemoryFiles::default();
    files.replace(&Path::new(DIR).join("readme.txt"), b"not ours").unwrap();
    files.replace(&Path::new(DIR).join(format!("{}.json", id(200))), b"{}").unwrap();
    let mut store = store(files);
    assert_eq!(store.unreadable().len(), 2);
    for number in 0..70 {
        store.submit(id(number)).unwrap();
        store.change(&id(number), fail()).unwrap();
    }
    let kept: Vec<JobId> = store.list().map(|job| job.id).collect();
    let newest: Vec<JobId> = (0..70).rev().take(MAX_JOBS).map(id).collect();
    assert_eq!(kept, newest);
    assert!(store.get(&id(5)).is_none());
}

#[test]
fn a_jobs_name_has_one_form() {
    let text = id(7).to_string();
    assert_eq!(JobId::parse(&text), Some(id(7)));
    for other in [text.to_uppercase(), format!("{{{text}}}"), text.replace('-', "")] {
        if other != text {
            assert_eq!(JobId::parse(&other), None, "{other}");
        }
    }
    assert_eq!(JobId::parse("../../etc/passwd"), None);
}
