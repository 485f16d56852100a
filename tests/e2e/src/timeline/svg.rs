// SPDX-License-Identifier: MIT OR Apache-2.0
//! The timeline as a picture for the documents: one row for each boot, time from left to right.

use super::{Boot, End, Stage, Timeline};
use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
/// Where time begins; left of it stand slot, reason and attempts.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 70.0;
const TOP: f64 = 70.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
const NOTE_ROW: f64 = 16.0;

/// Time up to a stage, or after the last one, with colour and name.
const SPANS: [(Stage, &str, &str); 5] = [
    (Stage::Kernel, "#9ca3af", "U-Boot"),
    (Stage::Initrd, "#3b82f6", "kernel"),
    (Stage::Root, "#8b5cf6", "initrd"),
    (Stage::Agent, "#06b6d4", "systemd"),
    (Stage::Confirmed, "#facc15", "up, not confirmed"),
];
const CONFIRMED: (&str, &str) = ("#22c55e", "confirmed");

/// Draws it.
#[must_use]
pub fn draw(title: &str, timeline: &Timeline) -> String {
    let rows = timeline.boots.len() as f64 * ROW;
    let height = TOP + rows + 34.0 + timeline.notes.len() as f64 * NOTE_ROW + 10.0;
    let scale = (WIDTH - LEFT - RIGHT) / timeline.over.max(1.0);
    let place = |secs: f64| LEFT + secs * scale;
    // Writing into a String cannot fail.
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#1f2937\">\n\
         <rect width=\"{WIDTH}\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n"
    );
    label(&mut svg, 12.0, 24.0, "start", &format!("{title}: {:.0} s", timeline.over), "16");
    draw_legend(&mut svg);
    draw_axis(&mut svg, timeline.over, rows, &place);
    for (number, boot) in timeline.boots.iter().enumerate() {
        draw_boot(&mut svg, TOP + number as f64 * ROW, boot, &place);
    }
    for (number, (at, note)) in timeline.notes.iter().enumerate() {
        let x = place(*at);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#6b7280\" \
             stroke-dasharray=\"2 3\"/>",
            TOP + rows
        );
        let y = TOP + rows + 40.0 + number as f64 * NOTE_ROW;
        label(&mut svg, LEFT - 8.0, y, "end", &format!("{at:.1} s"), "11");
        label(&mut svg, LEFT, y, "start", note, "11");
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_legend(svg: &mut String) {
    let mut x = LEFT;
    let all = SPANS.iter().map(|(_, colour, name)| (*colour, *name)).chain([CONFIRMED]);
    for (colour, name) in all {
        rect(svg, x, 42.0, 10.0, 10.0, colour);
        label(svg, x + 14.0, 51.0, "start", name, "11");
        x += 30.0 + 6.2 * name.len() as f64;
    }
}

fn draw_axis(svg: &mut String, over: f64, rows: f64, place: &dyn Fn(f64) -> f64) {
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0];
    let step = steps.into_iter().find(|step| over / step <= 12.0).unwrap_or(600.0);
    let mut at = 0.0;
    while at <= over {
        let x = place(at);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#e5e7eb\"/>",
            TOP + rows
        );
        label(svg, x, TOP + rows + 16.0, "middle", &format!("{at:.0}"), "11");
        at += step;
    }
    label(svg, WIDTH - 12.0, TOP + rows + 16.0, "end", "seconds", "11");
}

fn draw_boot(svg: &mut String, y: f64, boot: &Boot, place: &dyn Fn(f64) -> f64) {
    let name = boot.selected.as_ref().map_or("no choice".to_owned(), |selected| {
        let left = selected.left.map_or(String::new(), |left| format!(", {left} left"));
        format!("{} {}{left}", selected.slot, selected.reason)
    });
    let middle = y + BAR - 3.5;
    label(svg, LEFT - 8.0, middle, "end", &name, "12");
    let mut from = boot.at;
    let mut colours = SPANS.iter().map(|(_, colour, _)| *colour).chain([CONFIRMED.0]);
    for (stage, _, _) in SPANS {
        let Some(at) = boot.stages.get(&stage) else { break };
        let colour = colours.next().unwrap_or_default();
        rect(svg, place(from), y, place(*at) - place(from), BAR, colour);
        from = *at;
    }
    let colour = colours.next().unwrap_or_default();
    rect(svg, place(from), y, place(boot.ended_at) - place(from), BAR, colour);
    let colour = match boot.end {
        End::Panic | End::LoadFailed | End::Cut | End::Reset => "#dc2626",
        End::Reboot | End::Off | End::Running => "#374151",
    };
    let _ = write!(svg, "<g fill=\"{colour}\">");
    label(svg, place(boot.ended_at) + 4.0, middle, "start", boot.end.word(), "11");
    svg.push_str("</g>\n");
}

fn rect(svg: &mut String, x: f64, y: f64, width: f64, height: f64, colour: &str) {
    let width = width.max(0.0);
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
    );
}

fn label(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str, size: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{text}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::story;

    #[test]
    fn the_picture_names_every_boot_and_its_end() {
        let drawn = draw("a < b", &story());
        for wanted in ["B trying, 1 left", "A fallback, 1 left", ">CUT<", ">panic<", "a &lt; b"] {
            assert!(drawn.contains(wanted), "{wanted}\n{drawn}");
        }
        assert_eq!(drawn.matches("<text").count(), drawn.matches("</text>").count());
    }

    #[test]
    fn nothing_is_drawn_outside_of_the_picture() {
        let drawn = draw("story", &story());
        let numbers = |name: &str| {
            drawn
                .split(&format!(" {name}=\""))
                .skip(1)
                .filter_map(|rest| rest.split('"').next()?.parse::<f64>().ok())
                .collect::<Vec<_>>()
        };
        assert!(numbers("x").iter().all(|x| (0.0..=WIDTH).contains(x)));
        assert!(numbers("width").iter().all(|width| (0.0..=WIDTH).contains(width)));
    }
}
