//! What every command is given: the common options, a place to send events to, the interruption, a voice.

use std::{
    io::{IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{Common, Output},
    error::{Error, Kind, Result},
    event::Events,
    machine::Machine,
    report::{self, Reporter, Summary, document::Document},
    settings,
};

pub struct App {
    pub common: Common,
    pub events: Events,
    /// Cancelled by Ctrl-C or SIGTERM.
    pub cancel: CancellationToken,
    pub view: report::Settings,
    quiet_end: Arc<AtomicBool>,
    reporter: Mutex<Option<Reporter>>,
    summary: OnceCell<Summary>,
}

impl App {
    pub fn new(
        common: Common,
        events: Events,
        cancel: CancellationToken,
        quiet_end: Arc<AtomicBool>,
        view: report::Settings,
        reporter: Reporter,
    ) -> App {
        let reporter = Mutex::new(Some(reporter));
        App { common, events, cancel, view, quiet_end, reporter, summary: OnceCell::new() }
    }

    /// The cluster that the settings mean, and this machine.
    pub async fn machine(&self, settings: &settings::Settings) -> Result<Machine> {
        self.machine_of(settings::DEFAULT_STACK, settings).await
    }

    /// The same for this stack: there are providers with which each has a cluster of its own.
    pub async fn machine_of(&self, stack: &str, settings: &settings::Settings) -> Result<Machine> {
        Machine::open(&settings.clone().of_stack(stack), &self.events, &self.cancel).await
    }

    /// For commands that go on until they are stopped: the first Ctrl-C ends them, and needs no comment. So does the end of
    /// whoever reads what they print.
    pub fn end_quietly(&self) -> CancellationToken {
        self.quiet_end.store(true, Ordering::Relaxed);
        let ended = self.cancel.clone();
        tokio::spawn(async move {
            report::closed().await;
            ended.cancel();
        });
        self.cancel.clone()
    }

    /// Lets the reporter say its last, so that what follows stands below it.
    pub async fn settle(&self) -> &Summary {
        let reporter = self.reporter.lock().await.take();
        let finished = async {
            match reporter {
                Some(reporter) => reporter.finish().await,
                None => Summary::default(),
            }
        };
        self.summary.get_or_init(|| finished).await
    }

    /// The final data of a command: text as given, or the value as JSON.
    pub async fn show(&self, text: impl FnOnce() -> String, value: &impl Document) {
        self.settle().await;
        match self.view.output {
            report::Format::Text => report::data(&text()),
            report::Format::Json => report::show_document(value, None),
        }
    }

    /// Data with a failure: the text (if any) on stdout and the error on stderr, or one document.
    pub async fn fail_with(&self, text: impl FnOnce() -> String, value: &impl Document, error: Error) -> Result<()> {
        self.settle().await;
        match self.view.output {
            report::Format::Text => {
                report::data(&text());
                Err(error)
            }
            report::Format::Json => {
                report::show_document(value, Some(&error));
                Err(error.shown())
            }
        }
    }

    pub async fn remark(&self, line: &str) {
        self.settle().await;
        report::remark(&self.view, line);
    }

    /// Asks before something that cannot be taken back; without a terminal the answer is no.
    pub fn confirm(&self, question: &str) -> Result<()> {
        self.agreed(question, &format!("{question} [y/N] "), &["y", "Y", "yes"])
    }

    /// The same where a yes is typed too easily: the answer is the name of what is about to be changed.
    pub fn confirm_by_name(&self, warning: &str, name: &str) -> Result<()> {
        self.agreed(warning, &format!("{warning}. To go on, type {name}: "), &[name])
    }

    fn agreed(&self, what: &str, prompt: &str, answers: &[&str]) -> Result<()> {
        if self.common.yes {
            return Ok(());
        }
        let refused = || Error::new(Kind::Usage, format!("aborted: confirmation required: {what}"));
        if !std::io::stdin().is_terminal() {
            return Err(refused().hint("--yes answers in advance"));
        }
        let mut stderr = std::io::stderr();
        let _ = write!(stderr, "{prompt}");
        let _ = stderr.flush();
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        match read.is_ok() && answers.contains(&answer.trim()) {
            true => Ok(()),
            false => Err(refused()),
        }
    }
}

/// How things are shown, from the command line and the terminal.
pub fn view(common: &Common) -> report::Settings {
    let interactive = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let no_color = common.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    report::Settings {
        output: match common.output {
            Output::Text => report::Format::Text,
            Output::Json => report::Format::Json,
        },
        color: interactive && !no_color,
        quiet: common.quiet,
        verbose: common.verbose,
        interactive: interactive && std::env::var_os("CI").is_none(),
        timings: common.timings.clone(),
    }
}
