//! BuildKit's progress, as it comes in over a build: what runs now, what was cached, and what failed with which output.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bollard::moby::buildkit::v1::StatusResponse;

use crate::event::Progress;
use crate::image::dockerfile;

/// Lines of output kept for a failure.
const KEPT: usize = 20;

#[derive(Debug, Default)]
pub struct Trace {
    steps: HashMap<String, Step>,
    pub cached: usize,
    /// The images that the build looked up, whatever its Dockerfile was taken to say.
    pub images: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Step {
    name: String,
    started: bool,
    cached: bool,
    error: String,
    partial: String,
    lines: VecDeque<String>,
}

impl Trace {
    pub fn update(&mut self, status: StatusResponse, progress: &Progress) {
        for vertex in status.vertexes {
            let step = self.steps.entry(vertex.digest).or_default();
            step.name = vertex.name;
            if let Some(image) = step.name.strip_prefix("[internal] load metadata for ") {
                self.images.insert(image.trim().to_owned());
            }
            // Inner workings are named [internal]; a step of the Dockerfile is "[2/5] RUN …".
            let shown = !step.name.starts_with("[internal]");
            if vertex.cached && !step.cached {
                step.cached = true;
                self.cached += usize::from(shown && step.name.starts_with('['));
            }
            if vertex.started.is_some() && !step.started {
                step.started = true;
                if shown && !vertex.cached {
                    progress.say(step.name.clone());
                }
            }
            if !vertex.error.is_empty() {
                step.error = vertex.error;
            }
        }
        for log in status.logs {
            let step = self.steps.entry(log.vertex).or_default();
            step.partial.push_str(&String::from_utf8_lossy(&log.msg));
            while let Some(end) = step.partial.find('\n') {
                let line: String = step.partial.drain(..=end).collect();
                step.line(&line, progress);
            }
        }
    }

    /// The step that failed and its last lines of output. A step that was cancelled because another failed is not it.
    pub fn failed(&mut self, progress: &Progress) -> Option<(String, Vec<String>)> {
        let step = self
            .steps
            .values_mut()
            .filter(|step| !step.error.is_empty())
            .max_by_key(|step| (!step.error.contains("context canceled"), step.name.starts_with('[')))?;
        let rest = std::mem::take(&mut step.partial);
        if !rest.is_empty() {
            step.line(&rest, progress);
        }
        Some((step.name.clone(), step.lines.drain(..).collect()))
    }
}

impl Step {
    fn line(&mut self, line: &str, progress: &Progress) {
        let line = line.trim_end();
        // What a progress bar overwrote is not output.
        let line = line.rsplit_once('\r').map_or(line, |(_, last)| last);
        progress.output(line);
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }
}

/// The instruction behind a step such as "[build 3/7] RUN npm ci", and its line.
pub fn instruction(text: &str, step: &str) -> Option<dockerfile::Instruction> {
    let (position, shown) = step.strip_prefix('[')?.split_once("] ")?;
    let (stage, number) = position.rsplit_once(' ').unwrap_or(("", position));
    let number: usize = number.split_once('/')?.0.parse().ok()?;
    let mut stages: Vec<(String, Vec<dockerfile::Instruction>)> = Vec::new();
    for instruction in dockerfile::instructions(text) {
        match instruction.keyword.as_str() {
            "FROM" => {
                let words: Vec<&str> = instruction.rest.split_whitespace().collect();
                let named = words.len() > 2 && words[words.len() - 2].eq_ignore_ascii_case("as");
                let name =
                    if named { words[words.len() - 1].to_lowercase() } else { format!("stage-{}", stages.len()) };
                stages.push((name, vec![instruction]));
            }
            "RUN" | "COPY" | "ADD" | "WORKDIR" => stages.last_mut()?.1.push(instruction),
            _ => {}
        }
    }
    let (_, counted) = if stage.is_empty() { stages.last() } else { stages.iter().find(|(name, _)| name == stage) }?;
    let found = counted.get(number.checked_sub(1)?)?;
    shown.starts_with(&found.keyword).then(|| found.clone())
}

#[cfg(test)]
mod tests {
    use bollard::moby::buildkit::v1::{Vertex, VertexLog};

    use super::*;
    use crate::event::{Event, Events};

    fn vertex(digest: &str, name: &str, cached: bool, error: &str) -> Vertex {
        Vertex {
            digest: digest.into(),
            name: name.into(),
            cached,
            started: Some(Default::default()),
            error: error.into(),
            ..Default::default()
        }
    }

    fn log(vertex: &str, text: &str) -> VertexLog {
        VertexLog { vertex: vertex.into(), msg: text.as_bytes().to_vec(), ..Default::default() }
    }

    #[test]
    fn the_failed_step_keeps_its_last_lines() {
        let (events, mut receiver) = Events::channel();
        let progress = events.progress("build:hello");
        let mut trace = Trace::default();
        let vertexes = vec![
            vertex("i", "[internal] load build context", false, ""),
            vertex("m", "[internal] load metadata for docker.io/library/node:22-slim", false, ""),
            vertex("a", "[1/3] FROM node:22-slim", true, ""),
            vertex("b", "[2/3] RUN npm ci", false, ""),
        ];
        trace.update(StatusResponse { vertexes, ..Default::default() }, &progress);
        let many: String = (0..30).map(|number| format!("line {number}\n")).collect();
        trace.update(
            StatusResponse { logs: vec![log("b", &many), log("b", "50%\r10")], ..Default::default() },
            &progress,
        );
        trace.update(StatusResponse { logs: vec![log("b", "0%\r\nend")], ..Default::default() }, &progress);
        let vertexes = vec![
            vertex("c", "[other 2/2] RUN sleep", false, "context canceled"),
            vertex("b", "[2/3] RUN npm ci", false, "exit code: 1"),
        ];
        trace.update(StatusResponse { vertexes, ..Default::default() }, &progress);
        let (name, lines) = trace.failed(&progress).unwrap();
        assert_eq!(name, "[2/3] RUN npm ci");
        assert_eq!(lines.len(), KEPT);
        assert_eq!(lines[KEPT - 2..], ["100%", "end"]);
        assert_eq!(trace.cached, 1);
        assert_eq!(trace.images.into_iter().collect::<Vec<_>>(), ["docker.io/library/node:22-slim"]);
        let mut said = Vec::new();
        while let Ok(event) = receiver.try_recv() {
            if let Event::Progress { message, .. } = event {
                said.push(message);
            }
        }
        assert_eq!(said, ["[2/3] RUN npm ci", "[other 2/2] RUN sleep"]);
    }

    #[test]
    fn steps_lead_back_to_lines() {
        let text =
            "FROM a AS build\nENV X=1\nWORKDIR /x\nRUN one \\\n  two\nFROM b\nCOPY --from=build x y\nRUN three\n";
        let line = |step| instruction(text, step).map(|found| found.line);
        assert_eq!(line("[build 3/3] RUN one   two"), Some(4));
        assert_eq!(line("[stage-1 3/3] RUN three"), Some(8));
        assert_eq!(line("[build 2/3] RUN moved by a trigger"), None);
        assert_eq!(line("[internal] load metadata"), None);
        assert_eq!(line("exporting to image"), None);
        assert_eq!(instruction("FROM a\nRUN x", "[2/2] RUN x").unwrap().line, 2);
    }
}
