//! What minikube says of its work: one CloudEvent a line.

use serde::Deserialize;

use crate::{
    error::{Error, Kind},
    provider::local::said,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The beginning of a step, in our words.
    Step(String),
    /// Anything else that it lets people know. Of an "error" without an exit code too: some come in runs that succeed.
    Told(String),
    Fatal(Fatal),
}

/// What ended minikube, with its own id and advice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fatal {
    /// `RSRC_INSUFFICIENT_REQ_MEMORY`
    pub id: String,
    pub message: String,
    pub advice: String,
    pub url: String,
}

#[derive(Deserialize)]
struct Envelope {
    r#type: String,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    name: String,
    message: String,
    exitcode: String,
    advice: String,
    url: String,
}

/// None: the line is no event, or one without words, such as the progress of a download.
pub fn read(line: &str) -> Option<Event> {
    let Envelope { r#type, data } = serde_json::from_str(line.trim()).ok()?;
    match r#type.rsplit('.').next()? {
        "step" => said::step(&data.message).map(Event::Step),
        "error" if !data.exitcode.is_empty() => {
            Some(Event::Fatal(Fatal { id: data.name, message: data.message, advice: data.advice, url: data.url }))
        }
        _ => Some(data.message).filter(|message| !message.is_empty()).map(Event::Told),
    }
}

impl Fatal {
    /// What it makes of `what`, such as "minikube could not make the cluster one".
    pub fn error(&self, what: String) -> Error {
        // What the machine or the request lacks, as opposed to what failed on the way.
        let asked = ["RSRC_", "DRV_", "PROVIDER_", "MK_USAGE", "GUEST_DRIVER_MISMATCH", "K8S_"];
        let is_asked = asked.iter().any(|family| self.id.starts_with(family));
        let kind = if is_asked { Kind::Preflight } else { Kind::Platform };
        let message = self.message.split_whitespace().collect::<Vec<_>>().join(" ");
        let error = Error::new(kind, what).cause(format!("{}: {message}", self.id));
        let advice = self.advice.split_whitespace().collect::<Vec<_>>().join(" ");
        let error = if advice.is_empty() { error } else { error.hint(advice) };
        let error = match self.id.as_str() {
            "DRV_AS_ROOT" => error.hint("run stackctl as an ordinary user, or with --minikube-flag=--force"),
            "RSRC_INSUFFICIENT_REQ_MEMORY" => error.hint("ask for more: --memory 2g"),
            _ => error,
        };
        if self.url.is_empty() { error } else { error.hint(format!("see {}", self.url)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As minikube v1.38.1 wrote it.
    fn all(text: &str) -> Vec<Event> {
        text.lines().filter_map(read).collect()
    }

    fn fatal(text: &str) -> Fatal {
        let found = all(text).into_iter().find_map(|event| match event {
            Event::Fatal(fatal) => Some(fatal),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("nothing fatal in {text}"))
    }

    #[test]
    fn the_steps_of_a_start_become_progress_and_its_harmless_errors_are_not_fatal() {
        let events = all(include_str!("testdata/start.jsonl"));
        let steps: Vec<&str> = events
            .iter()
            .filter_map(|event| match event {
                Event::Step(step) => Some(step.as_str()),
                _ => None,
            })
            .collect();
        assert!(steps.contains(&"booting up control plane"), "{steps:?}");
        assert!(steps.contains(&"creating docker container (CPUs=2, Memory=2200MB)"), "{steps:?}");
        assert!(events.contains(&Event::Told("Using Docker driver with root privileges".to_owned())));
        assert!(!events.iter().any(|event| matches!(event, Event::Fatal(_))));
    }

    #[test]
    fn a_failure_is_told_by_its_id_and_advice() {
        let memory = fatal(include_str!("testdata/memory.jsonl")).error("no".to_owned());
        assert_eq!(memory.kind, Kind::Preflight);
        assert!(memory.causes[0].starts_with("RSRC_INSUFFICIENT_REQ_MEMORY: Requested memory"), "{memory:?}");
        let driver = fatal(include_str!("testdata/driver.jsonl")).error("no".to_owned());
        assert!(driver.hints[0].starts_with("Delete the existing 'mk1' cluster"), "{driver:?}");
        // The same message comes without an exit code before, and is not what is told.
        let root = fatal(include_str!("testdata/root.jsonl"));
        assert_eq!(root.id, "DRV_AS_ROOT");
        assert!(root.error("no".to_owned()).hints.iter().any(|hint| hint.contains("--force")));
    }

    #[test]
    fn what_is_no_event_is_nothing() {
        for line in ["", "plain text", "{\"type\":\"io.k8s.sigs.minikube.step\",\"data\":{}}", "[1]"] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
