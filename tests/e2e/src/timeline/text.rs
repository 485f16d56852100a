// SPDX-License-Identifier: MIT OR Apache-2.0
//! The timeline on a terminal of 80 columns: a table, and below it a bar for each boot.

use super::{Boot, Stage, Timeline};
use std::fmt::Write as _;

/// Columns that the bars may take, after the boot's number.
const BAR_COLUMNS: usize = 75;

/// The columns after the boot's begin, each with the letter of the bar up to it.
const COLUMNS: [(Stage, &str, char); 5] = [
    (Stage::Kernel, "kernel", 'f'),
    (Stage::Initrd, "initrd", 'k'),
    (Stage::Root, "root", 'i'),
    (Stage::Agent, "agent", 's'),
    (Stage::Confirmed, "good", '.'),
];

/// Draws it.
#[must_use]
pub fn draw(name: &str, timeline: &Timeline) -> String {
    let mut text = format!("{name}: {} boots in {:.1} s\n", timeline.boots.len(), timeline.over);
    text.push_str(" # slot reason        left     at");
    for (_, title, _) in COLUMNS {
        // Writing into a String cannot fail.
        let _ = write!(text, "{title:>7}");
    }
    text.push_str("   end\n");
    for (number, boot) in timeline.boots.iter().enumerate() {
        draw_row(&mut text, number + 1, boot);
    }
    for (at, note) in &timeline.notes {
        let _ = writeln!(text, "   {at:7.1} s  {note:.66}");
    }
    let secs_per_mark = (timeline.over / BAR_COLUMNS as f64).max(0.1);
    let _ = writeln!(
        text,
        "one mark is {secs_per_mark:.1} s: f firmware  k kernel  i initrd  s systemd  . up  # good"
    );
    for (number, boot) in timeline.boots.iter().enumerate() {
        let bar = draw_bar(boot, secs_per_mark);
        let _ = writeln!(text, "{:2} {bar}", number + 1);
    }
    text
}

fn draw_row(text: &mut String, number: usize, boot: &Boot) {
    let (slot, reason, left) = boot.selected.as_ref().map_or(("-", "-", None), |selected| {
        (selected.slot.as_str(), selected.reason.as_str(), selected.left)
    });
    let left = left.map_or("-".to_owned(), |left| left.to_string());
    let _ = write!(text, "{number:2} {slot:4} {reason:14}{left:>3}{:8.1}", boot.at);
    for (stage, _, _) in COLUMNS {
        let _ = match boot.after(stage) {
            Some(secs) => write!(text, "{secs:7.1}"),
            None => write!(text, "{:>7}", "-"),
        };
    }
    let _ = writeln!(text, "  {}", boot.end.word());
}

fn draw_bar(boot: &Boot, secs_per_mark: f64) -> String {
    let column = |secs: f64| columns(secs / secs_per_mark);
    let mut bar = " ".repeat(column(boot.at));
    let mut reached = boot.at;
    for (stage, _, letter) in COLUMNS {
        let Some(at) = boot.stages.get(&stage) else { break };
        bar.extend(std::iter::repeat_n(letter, column(*at).saturating_sub(column(reached))));
        reached = *at;
    }
    let last = COLUMNS.iter().rev().find(|(stage, _, _)| boot.stages.contains_key(stage));
    let rest = match last {
        // What runs after a stage has the letter that leads to the next one.
        Some((stage, _, _)) => following(*stage),
        None => 'f',
    };
    bar.extend(std::iter::repeat_n(rest, column(boot.ended_at).saturating_sub(column(reached))));
    bar.push('|');
    bar
}

const fn following(stage: Stage) -> char {
    match stage {
        Stage::Chosen => 'f',
        Stage::Kernel => 'k',
        Stage::Initrd => 'i',
        Stage::Root => 's',
        Stage::Agent => '.',
        Stage::Confirmed => '#',
    }
}

/// Whole columns of a length; what is out of range is cut to it.
fn columns(length: f64) -> usize {
    (0..BAR_COLUMNS).take_while(|column| (*column as f64) < length - 0.5).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::story;

    #[test]
    fn the_table_fits_a_terminal_and_tells_each_boot() {
        let drawn = draw("story", &story());
        assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
        let rows: Vec<&str> = drawn.lines().collect();
        assert_eq!(rows[0], "story: 5 boots in 70.0 s");
        let one = " 1 A    normal          2     0.0    0.6    4.0    4.5   12.0   22.0  reboot";
        assert_eq!(rows[2], one);
        let two = " 2 B    trying          2    26.1    0.6      -      -      -      -  panic";
        assert_eq!(rows[3], two);
        assert!(rows[4].ends_with("CUT") && rows[6].contains("fallback"), "{drawn}");
        assert!(rows[7].contains("25.0 s  installed"), "{drawn}");
    }

    #[test]
    fn bars_stand_where_their_boots_were() {
        let drawn = draw("story", &story());
        let bars: Vec<&str> = drawn.lines().skip(9).collect();
        assert_eq!(bars.len(), 5);
        assert!(bars[0].contains("kkk") && bars[0].contains("ssss") && bars[0].ends_with("#|"));
        let begin = |bar: &str| bar[3..].find(|mark| mark != ' ').unwrap();
        assert!(begin(bars[1]) > begin(bars[0]) && begin(bars[4]) > begin(bars[3]), "{drawn}");
    }
}
