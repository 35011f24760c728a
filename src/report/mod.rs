//! The only module that prints. stdout carries data, stderr everything else.
//!
//! - `--output text`: results on stdout; on stderr the groups of the run as they go on when it is a terminal, else one
//!   line per step that ends.
//! - `--output json`: exactly one document on stdout, at the end: what the command has to say or `{"error": …}`, or
//!   both in one object. On stderr one JSON object per line for each event, with `--quiet` for warnings alone.
//! - `--quiet`: warnings and errors only. `-v`: every step, and the output of builds and children line by
//!   line, too.

pub mod ask;
pub mod document;
mod failure;
mod groups;
mod junit;
mod lines;
mod live;
mod load;
mod out;
mod plain;
mod plan;
mod record;
mod status;
mod style;
mod svg;
mod text;
mod timings;
mod timings_html;
mod xml;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use schemars::JsonSchema;
use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::MissedTickBehavior,
};

use self::{
    document::Document,
    lines::Lines,
    live::{Canvas, Layout, frame},
    plain::Plain,
    record::Record,
    timings::{Timing, Timings},
};
pub use self::{
    junit::junit,
    load::{load_comparison, load_page, load_summary},
    out::{closed, data, lost, screen, written},
    plan::{plan_summary, plan_text},
    status::{status_screen, url_table},
    style::Paint,
    svg::terminal_svg,
    text::{Kept, Prefixes, diff_text, proof_lines, receipt, removed, table},
};
pub use crate::error::words::count;
use crate::{
    error::Error,
    event::{Event, Level},
};

const TICK: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub output: Format,
    pub color: bool,
    pub quiet: bool,
    pub verbose: u8,
    /// stderr is a terminal that can move its cursor.
    pub interactive: bool,
    /// `.json`: data; anything else: an HTML page.
    pub timings: Option<PathBuf>,
}

impl Settings {
    pub fn paint(&self) -> Paint {
        Paint { color: self.color }
    }
}

/// What happened, for the final document.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub elapsed_ms: u64,
    pub steps: Vec<Timing>,
    pub warnings: Vec<String>,
}

/// Shows events until `finish`.
#[derive(Debug)]
pub struct Reporter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Summary>,
}

impl Reporter {
    /// Times in events count from about now. Needs a tokio runtime.
    pub fn start(settings: Settings, receiver: mpsc::UnboundedReceiver<Event>) -> Reporter {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(show(settings, receiver, stopped));
        Reporter { stop, task }
    }

    /// Shows what was sent until now, prints the last lines, writes the timings. Senders may live on.
    pub async fn finish(self) -> Summary {
        let _ = self.stop.send(());
        self.task.await.unwrap_or_default()
    }
}

async fn show(
    settings: Settings,
    mut receiver: mpsc::UnboundedReceiver<Event>,
    mut stopped: oneshot::Receiver<()>,
) -> Summary {
    let started = Instant::now();
    let mut record = Record::default();
    let mut screen = Screen::new(&settings);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut stopping = false;
    loop {
        tokio::select! {
            event = receiver.recv() => match event {
                Some(event) => {
                    record.add(&event);
                    screen.event(&record, &event, started.elapsed());
                }
                None => break,
            },
            _ = &mut stopped, if !stopping => {
                stopping = true;
                receiver.close();
            }
            _ = ticks.tick() => screen.tick(&record, started.elapsed()),
        }
    }
    let elapsed = started.elapsed();
    screen.finish(&record, elapsed);
    let timings = Timings::new(&record, elapsed);
    if let Some(file) = &settings.timings
        && let Err(error) = write_timings(file, &timings)
    {
        let message = format!("the timings could not be written to {}: {error}", file.display());
        screen.warn(message.clone());
        record.warnings.push(message);
    }
    Summary { elapsed_ms: timings.elapsed_ms, steps: timings.steps, warnings: record.warnings }
}

fn write_timings(file: &Path, timings: &Timings) -> std::io::Result<()> {
    let json = file.extension().is_some_and(|extension| extension == "json");
    std::fs::write(file, if json { timings.json() } else { timings_html::page(timings) })
}

/// The four ways to show a run.
enum Screen {
    Quiet(Lines),
    Json { quiet: bool },
    Plain(Plain),
    Live { lines: Lines, canvas: Canvas },
}

impl Screen {
    fn new(settings: &Settings) -> Screen {
        let live = settings.output == Format::Text && settings.interactive && !settings.quiet;
        let layout = if live && settings.verbose == 0 { Layout::Groups } else { Layout::Steps };
        let lines = Lines { paint: settings.paint(), verbose: settings.verbose > 0, layout };
        match settings.output {
            Format::Json => Screen::Json { quiet: settings.quiet },
            Format::Text if settings.quiet => Screen::Quiet(lines),
            Format::Text if live => Screen::Live { lines, canvas: Canvas::default() },
            Format::Text => Screen::Plain(Plain::new(lines)),
        }
    }

    fn event(&mut self, record: &Record, event: &Event, now: Duration) {
        let warning = matches!(event, Event::Notice { level: Level::Warning, .. });
        match self {
            Screen::Quiet(_) | Screen::Json { quiet: true } if !warning => {}
            Screen::Quiet(lines) => lines.of(record, event).iter().for_each(|line| out::progress(line)),
            Screen::Json { .. } => out::progress(&document::line(event)),
            Screen::Plain(plain) => plain.event(record, event, now).iter().for_each(|line| out::progress(line)),
            Screen::Live { lines, canvas } => {
                let stay = lines.of(record, event);
                if !stay.is_empty() {
                    draw(canvas, lines, record, now, &stay);
                }
            }
        }
    }

    fn tick(&mut self, record: &Record, now: Duration) {
        match self {
            Screen::Quiet(_) | Screen::Json { .. } => {}
            Screen::Plain(plain) => plain.tick(record, now).iter().for_each(|line| out::progress(line)),
            Screen::Live { lines, canvas } => draw(canvas, lines, record, now, &[]),
        }
    }

    fn finish(&mut self, record: &Record, elapsed: Duration) {
        match self {
            Screen::Quiet(_) | Screen::Json { .. } => {}
            Screen::Plain(plain) => {
                plain.lines.last(record, elapsed).iter().for_each(|line| out::progress(line));
            }
            Screen::Live { lines, canvas } => {
                let columns = out::terminal_size().map_or(80, |(columns, _)| columns);
                out::raw(&canvas.draw(&lines.last(record, elapsed), Vec::new(), columns));
            }
        }
    }

    fn warn(&mut self, message: String) {
        let event = Event::Notice { level: Level::Warning, message };
        self.event(&Record::default(), &event, Duration::ZERO);
    }
}

fn draw(canvas: &mut Canvas, lines: &Lines, record: &Record, now: Duration, stay: &[String]) {
    let size = out::terminal_size().unwrap_or((80, 24));
    let text = canvas.draw(stay, frame(record, lines.layout, now, lines.paint, size), size.0);
    if !text.is_empty() {
        out::raw(&text);
    }
}

/// An error as text without colours, for files.
pub fn error_text(error: &Error) -> String {
    failure::text(error, Paint { color: false })
}

/// Columns that tables may take; None where nobody said.
pub fn width() -> Option<u16> {
    out::terminal_size().and_then(|(columns, _)| u16::try_from(columns).ok())
}

/// The final document of a command; with the error, where it has results and failed all the same.
pub fn show_document(value: &impl Document, error: Option<&Error>) {
    out::data(&document::pretty(value, error));
}

/// One document of a command that has one for each of many things, such as lines of a log.
pub fn document_line(value: &impl Document) {
    out::data(&document::line(value));
}

/// The same of a look that failed while the next one may not.
pub fn failure_line(error: &Error) {
    out::data(&document::failure_line(error));
}

/// Prints why a command failed: text on stderr, or the final document on stdout.
pub fn error(settings: &Settings, error: &Error) {
    match settings.output {
        Format::Text => out::progress(&failure::text(error, settings.paint())),
        Format::Json => out::data(&document::failure(error)),
    }
}

/// That data could not be written, and the command's own failure where its document is what was lost.
pub fn lost_output(settings: &Settings, lost: &Error, own: Option<&Error>) {
    if let Some(own) = own.filter(|_| settings.output == Format::Json) {
        out::progress(&failure::text(own, settings.paint()));
    }
    out::progress(&failure::text(lost, settings.paint()));
}

/// A hint or closing remark, such as how to go on; not printed with `--quiet` and `--output json`.
pub fn remark(settings: &Settings, line: &str) {
    if !settings.quiet && settings.output == Format::Text {
        out::progress(line);
    }
}

#[cfg(test)]
mod tests {
    use super::{record::fixture, *};
    use crate::event::{Events, Outcome};

    fn settings(timings: Option<PathBuf>) -> Settings {
        Settings { output: Format::Text, color: false, quiet: true, verbose: 0, interactive: false, timings }
    }

    #[tokio::test]
    async fn finish_returns_although_a_sender_lives() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("timings.json");
        let (events, receiver) = Events::channel();
        let reporter = Reporter::start(settings(Some(file.clone())), receiver);
        fixture::hello().into_iter().for_each(|event| events.send(event));
        let summary = reporter.finish().await;
        assert_eq!(summary.steps.iter().filter(|step| step.outcome == Some(Outcome::Done)).count(), 6);
        let written: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(written["steps"][0]["id"], "cluster:kind");
        drop(events);
    }

    #[tokio::test]
    async fn timings_that_cannot_be_written_are_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let (_events, receiver) = Events::channel();
        let reporter = Reporter::start(settings(Some(folder.path().join("missing/timings.html"))), receiver);
        assert_eq!(reporter.finish().await.warnings.len(), 1);
    }
}
