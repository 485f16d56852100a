// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults on a page: all of them in a list that has the focus, and each at its place in the text.

use super::excerpt::excerpt;
use super::words::count;
use crate::jobs::ReportedFault;
use maud::{Markup, html};

/// What can be done about a fault at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The text stands in the form.
    Edit,
    /// It came in a file that is not shown.
    SendAgain,
}

fn where_it_is(fault: &ReportedFault) -> Markup {
    html! {
        @if fault.line > 0 { "Line " (fault.line) ", column " (fault.column) }
        @else { "The file as a whole" }
    }
}

fn problem(fault: &ReportedFault) -> Markup {
    html! {
        @if !fault.path.is_empty() { code { (fault.path) } ": " }
        (fault.problem)
    }
}

/// How many faults there are, and a link to each.
pub(super) fn summary(faults: &[ReportedFault]) -> Markup {
    html! {
        section #faults .bad tabindex="-1" autofocus aria-labelledby="faults-title" {
            h2 #faults-title { (count(faults.len(), "fault")) " – nothing was changed" }
            ol {
                @for (index, fault) in faults.iter().enumerate() {
                    li { a href={ "#fault-" (index + 1) } { (where_it_is(fault)) } " " (problem(fault)) }
                }
            }
        }
    }
}

/// Each fault with the lines around it.
pub(super) fn places(faults: &[ReportedFault], text: &str, remedy: Remedy) -> Markup {
    let lines: Vec<&str> = text.lines().collect();
    html! {
        section aria-labelledby="places-title" {
            h2 #places-title { "Where they are" }
            ol .places {
                @for (index, fault) in faults.iter().enumerate() {
                    li id={ "fault-" (index + 1) } tabindex="-1" {
                        h3 { (where_it_is(fault)) }
                        (lines_of(&lines, fault))
                        p .problem { (problem(fault)) }
                        @if let Some(hint) = &fault.hint { p { "Hint: " (hint) } }
                        @if remedy == Remedy::Edit && fault.line > 0 {
                            p {
                                a href="#config" data-line=(fault.line) data-column=(fault.column) {
                                    "Correct line " (fault.line)
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn lines_of(lines: &[&str], fault: &ReportedFault) -> Markup {
    let number = |number: u32| usize::try_from(number).unwrap_or(0);
    let shown = excerpt(lines, number(fault.line), number(fault.column));
    html! {
        @if !shown.is_empty() {
            pre {
                @for line in &shown {
                    @if line.marked.is_empty() {
                        span .quiet { (format!("{:>4}", line.number)) "  " (line.before) }
                    } @else {
                        (format!("{:>4}", line.number)) "  " (line.before) mark { (line.marked) }
                        (line.after)
                    }
                    "\n"
                }
            }
        }
    }
}

/// Faults of a text that is not at hand.
pub(super) fn list(faults: &[ReportedFault]) -> Markup {
    html! {
        @if !faults.is_empty() {
            h2 { (count(faults.len(), "fault")) " in the configuration" }
            ol {
                @for fault in faults {
                    li {
                        (where_it_is(fault)) ": " (problem(fault))
                        @if let Some(hint) = &fault.hint { br; "Hint: " (hint) }
                    }
                }
            }
        }
    }
}
