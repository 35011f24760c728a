//! The live region: the groups of a run, or with `-v` its tree: running steps as roots, under each what waits for it.
//! Frames are pure; `Canvas` turns them into terminal control.

use std::{collections::BTreeMap, time::Duration};

use super::{
    groups,
    load::charts,
    record::Record,
    style::{Paint, clean, duration},
};
use crate::error::words::count;

const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/// How many levels of waiting steps are shown when there is room.
const DEPTH: usize = 4;

/// How the steps of a run are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Groups,
    Steps,
}

/// The lines of the live region: at most `rows`, each at most `columns` wide. The charts of a load run, then the steps.
pub fn frame(
    record: &Record,
    layout: Layout,
    now: Duration,
    paint: Paint,
    (columns, rows): (usize, usize),
) -> Vec<String> {
    let steps = match layout {
        Layout::Groups => grouped(record, now, paint, (columns, rows)),
        Layout::Steps => tree(record, now, paint, (columns, rows)),
    };
    let Some(watch) = &record.load else { return steps };
    let room = rows.saturating_sub(2 + steps.len()).max(1);
    let mut frame = charts(watch, paint.color, (columns, room));
    frame.extend(steps);
    frame
}

fn grouped(record: &Record, now: Duration, paint: Paint, (columns, rows): (usize, usize)) -> Vec<String> {
    let mut frame = groups::frame(record, now, paint, (columns, rows.saturating_sub(2).max(1)));
    if !frame.is_empty() {
        frame.push(total(record, "", now, paint, columns));
    }
    frame
}

/// `12 of 67 steps · 41.0 s`
fn total(record: &Record, more: &str, now: Duration, paint: Paint, columns: usize) -> String {
    let visible = || record.steps.iter().filter(|step| !step.hidden);
    let ended = visible().filter(|step| step.outcome.is_some()).count();
    let all = count(visible().count(), "step");
    paint.dim(cut(&format!("{more}{ended} of {all} · {}", duration(now)), columns))
}

fn tree(record: &Record, now: Duration, paint: Paint, (columns, rows): (usize, usize)) -> Vec<String> {
    let items = items(record);
    if items.is_empty() {
        return Vec::new();
    }
    let room = rows.saturating_sub(2).max(1);
    let tree = Tree::new(record, &items);
    let mut lines = Vec::new();
    for depth in (0..=DEPTH).rev() {
        lines = tree.lines(depth);
        if lines.len() <= room {
            break;
        }
    }
    let lines_wanted = lines.len();
    lines.truncate(room);
    let mut frame: Vec<String> =
        lines.iter().map(|(guide, item)| line(record, item, guide, now, paint, columns)).collect();
    let more = if lines_wanted > room { format!("{} more · ", lines_wanted - room) } else { String::new() };
    frame.push(total(record, &more, now, paint, columns));
    frame
}

/// One line of the tree: a step, or a wave of many.
#[derive(Debug)]
struct Item {
    steps: Vec<usize>,
    running: bool,
}

/// What has not ended, in the order of the plan.
fn items(record: &Record) -> Vec<Item> {
    let mut items: BTreeMap<usize, Item> = BTreeMap::new();
    for (at, step) in record.steps.iter().enumerate() {
        if step.hidden {
            continue;
        }
        let steps = record.fold_of(at).map_or_else(|| vec![at], <[usize]>::to_vec);
        if steps.iter().any(|&at| record.steps[at].outcome.is_none()) {
            let running = steps.iter().any(|&at| record.steps[at].start.is_some());
            items.entry(steps[0]).or_insert(Item { steps, running });
        }
    }
    items.into_values().collect()
}

struct Tree<'a> {
    items: &'a [Item],
    roots: Vec<usize>,
    children: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Tree<'a> {
    /// A waiting item hangs below the one of its needs that has most left before it.
    fn new(record: &Record, items: &'a [Item]) -> Tree<'a> {
        let mut item_of = BTreeMap::new();
        for (number, item) in items.iter().enumerate() {
            item_of.extend(item.steps.iter().map(|&step| (step, number)));
        }
        let mut tree = Tree { items, roots: Vec::new(), children: BTreeMap::new() };
        // Needs come first in a plan, so their depth is known.
        let mut depths: Vec<usize> = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let needs = item.steps.iter().flat_map(|&step| record.visible_needs(step));
            let parent = needs
                .filter_map(|need| item_of.get(&need).copied())
                .filter(|&need| need < number)
                .max_by_key(|&need| (depths[need], need));
            depths.push(parent.map_or(0, |parent| depths[parent] + 1));
            match parent {
                Some(parent) if !item.running => tree.children.entry(parent).or_default().push(number),
                _ => tree.roots.push(number),
            }
        }
        tree
    }

    /// Guides and items down to `depth` levels below the roots; at depth 0 only what runs.
    fn lines(&self, depth: usize) -> Vec<(String, &'a Item)> {
        let mut lines = Vec::new();
        for &root in &self.roots {
            if depth > 0 || self.items[root].running {
                lines.push((String::new(), &self.items[root]));
                self.below(root, "", depth, &mut lines);
            }
        }
        lines
    }

    fn below(&self, parent: usize, guide: &str, depth: usize, lines: &mut Vec<(String, &'a Item)>) {
        let Some(children) = self.children.get(&parent).filter(|_| depth > 0) else { return };
        for (n, &child) in children.iter().enumerate() {
            let last = n + 1 == children.len();
            lines.push((format!("{guide}{}", if last { "└ " } else { "├ " }), &self.items[child]));
            self.below(child, &format!("{guide}{}", if last { "  " } else { "│ " }), depth - 1, lines);
        }
    }
}

fn line(record: &Record, item: &Item, guide: &str, now: Duration, paint: Paint, columns: usize) -> String {
    let first = &record.steps[item.steps[0]];
    let title = match item.steps.as_slice() {
        [_] => first.id.to_string(),
        many => {
            let ended = many.iter().filter(|&&at| record.steps[at].outcome.is_some()).count();
            let set = first.group.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("apply:{set}  {ended} of {}", many.len())
        }
    };
    let before = guide.chars().count() + 2;
    if !item.running {
        let title = cut(&title, columns.saturating_sub(before));
        return paint.dim(format!("{guide}· {title}"));
    }
    let start = item.steps.iter().filter_map(|&at| record.steps[at].start).min().unwrap_or(now);
    let time = seconds(now.saturating_sub(start));
    // On a very narrow terminal the name matters more than the time.
    let time = if columns < before + time.len() + 12 { String::new() } else { time };
    let title = cut(&title, columns.saturating_sub(before + time.len() + 2));
    let newest = item.steps.iter().rev().map(|&at| &record.steps[at]).find(|step| step.running());
    let message = newest.and_then(|step| step.says());
    let room = columns.saturating_sub(before + title.chars().count() + time.chars().count() + 4);
    let message = message.map(|message| cut(message, room)).unwrap_or_default();
    let glyph = paint.busy(spinner(now));
    format!("{guide}{glyph} {}  {}  {message}", paint.bold(title), paint.dim(time)).trim_end().to_owned()
}

pub fn spinner(now: Duration) -> char {
    SPINNER[(now.as_millis() / 100) as usize % SPINNER.len()]
}

/// The age of something that goes on: in tenths of seconds from its beginning, so that it does not jump.
pub fn seconds(age: Duration) -> String {
    if age < Duration::from_secs(60) { format!("{:.1} s", age.as_secs_f64()) } else { duration(age) }
}

/// At most `width` characters, with an ellipsis when something was cut.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        short.push('…');
    }
    short
}

/// Redraws the live region in place.
#[derive(Debug, Default)]
pub struct Canvas {
    drawn: Vec<String>,
}

impl Canvas {
    /// Terminal control that replaces the last frame by `lines`, which stay, and `frame`. Empty when nothing changes.
    pub fn draw(&mut self, lines: &[String], frame: Vec<String>, columns: usize) -> String {
        if lines.is_empty() && frame == self.drawn {
            return String::new();
        }
        // A terminal that became narrower has wrapped the old frame.
        let rows: usize =
            self.drawn.iter().map(|line| clean(line).chars().count().div_ceil(columns.max(1)).max(1)).sum();
        let mut text = String::from("\x1b[?2026h");
        if rows > 0 {
            text += &format!("\x1b[{rows}A\r\x1b[J");
        }
        for line in lines {
            text += line;
            text.push('\n');
        }
        // No wrapping within a frame: characters wider than counted must not make it taller.
        text += "\x1b[?7l";
        for line in &frame {
            text += line;
            text.push('\n');
        }
        text += "\x1b[?7h\x1b[?2026l";
        self.drawn = frame;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{super::record::fixture::*, *};
    use crate::event::Outcome;

    fn frame_of(record: &Record, now: u64, size: (usize, usize)) -> String {
        frame(record, Layout::Steps, Duration::from_millis(now), Paint { color: false }, size).join("\n")
    }

    #[test]
    fn running_steps_carry_what_waits_for_them() {
        let record = record(&hello()[..4]);
        insta::assert_snapshot!(frame_of(&record, 4_210, (80, 24)), @r###"
        ⠹ cluster:kind  4.2 s
        ├ · registry
        │ └ · push:hello
        │   └ · apply:Deployment/hello-service
        │     └ · await:hello
        └ · apply:Namespace/hello
        ⠹ build:hello  4.2 s  [3/7] RUN npm ci
        0 of 7 steps · 4.2 s
        "###);
    }

    #[test]
    fn a_low_terminal_shows_what_runs() {
        let record = record(&hello()[..4]);
        insta::assert_snapshot!(frame_of(&record, 4_210, (80, 5)), @r###"
        ⠹ cluster:kind  4.2 s
        ⠹ build:hello  4.2 s  [3/7] RUN npm ci
        0 of 7 steps · 4.2 s
        "###);
    }

    #[test]
    fn lines_never_exceed_the_columns() {
        let mut events = hello()[..4].to_vec();
        events.push(said("build:hello", &"very long ".repeat(40)));
        let record = record(&events);
        for columns in [10, 20, 40, 80, 120] {
            for line in frame_of(&record, 100_000, (columns, 24)).lines() {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn a_large_wave_is_one_item() {
        let ids: Vec<String> = (0..12).map(|n| format!("apply:ConfigMap/c{n}")).collect();
        let steps: Vec<(&str, &[&str])> = ids.iter().map(|id| (id.as_str(), &[] as &[&str])).collect();
        let mut events = vec![planned(&steps)];
        events.extend(ids.iter().map(|id| started(id, 0)));
        events.extend(ids[..5].iter().map(|id| finished(id, 100, Outcome::Done)));
        insta::assert_snapshot!(frame_of(&record(&events), 200, (80, 24)), @r###"
        ⠹ apply:web  5 of 12  0.2 s
        5 of 12 steps · 200 ms
        "###);
    }

    #[test]
    fn nothing_is_left_when_all_has_ended() {
        assert_eq!(frame_of(&record(&hello()), 30_000, (80, 24)), "");
    }

    #[test]
    fn groups_have_the_total_below_them() {
        let lines =
            frame(&record(&hello()[..4]), Layout::Groups, Duration::from_secs(4), Paint { color: false }, (80, 24));
        assert_eq!(lines.last().map(String::as_str), Some("0 of 7 steps · 4.0 s"));
    }

    #[test]
    fn the_canvas_clears_what_it_drew() {
        let mut canvas = Canvas::default();
        let first = canvas.draw(&[], vec!["a".repeat(80), "b".into()], 80);
        assert!(!first.contains('A'));
        assert_eq!(canvas.draw(&[], vec!["a".repeat(80), "b".into()], 80), "");
        // Half as wide: the first line now takes two rows.
        assert!(canvas.draw(&["done".into()], vec![], 40).starts_with("\x1b[?2026h\x1b[3A\r\x1b[Jdone\n"));
    }
}
