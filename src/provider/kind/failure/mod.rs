//! Why kind could not make a cluster: its own words, those of the program that it ran, and those of the nodes' kubelets.
//! Whatever was said is kept in a file; the error holds what tells the cause, and no stack trace.

mod node;
#[cfg(test)]
mod tests;

use std::{fmt::Write, path::Path};

pub use node::{Node, examine, tell_of_kubelets};

use super::create::{ERROR, Failed};
use crate::error::{Error, Kind};

/// Lines of evidence below an error.
const SHOWN: usize = 8;
/// What kind prints before the output of the command that failed.
const COMMAND_OUTPUT: &str = "Command Output: ";

pub fn error(cluster: &str, failed: &Failed, nodes: &[Node], log: &Path) -> Error {
    let mut error = Error::new(Kind::Platform, format!("kind could not make the cluster {cluster}"));
    error = error.cause(reason(failed));
    let output = output(&failed.lines);
    error.causes.extend(own_words(&output));
    let blamed = nodes.iter().find(|node| !node.is_healthy()).or_else(|| {
        let by_kubeadm = failed.lines.iter().any(|line| line.contains("kubeadm"));
        nodes.iter().find(|node| by_kubeadm && node.last_error().is_some())
    });
    let mut evidence = without_noise(&output);
    if let Some(node) = blamed {
        if let Some(said) = node.last_error() {
            let who = if node.running { "the kubelet of" } else { "the node" };
            error = error.cause(format!("{who} {} says: {said}", node.name));
        }
        evidence = node.last_lines().into_iter().map(|line| format!("{}: {line}", node.name)).collect();
    }
    let all = failed.lines.join("\n");
    for (sign, hint) in HINTS {
        if all.contains(sign) {
            error = error.hint(*hint);
        }
    }
    let last = evidence.len().saturating_sub(SHOWN);
    error.details(evidence.drain(last..)).hint(format!("all that kind and the nodes said is in {}", log.display()))
}

/// What kind itself says, without the command line of what it ran.
pub fn reason(failed: &Failed) -> String {
    let Some(said) = failed.lines.iter().find_map(|line| line.strip_prefix(ERROR)) else {
        return failed.why.clone();
    };
    let (Some((before, rest)), Some((_, status))) =
        (said.split_once("command \""), said.rsplit_once("\" failed with error: "))
    else {
        return said.to_owned();
    };
    let program = rest.split_whitespace().next().unwrap_or_default();
    format!("{before}{program} ended with {}", status.trim_end_matches(']'))
}

/// Whether it is known to pass when it is tried again: something took too long, and no node is broken.
/// `ports_asked`: a port that is taken may have been asked for by number.
pub fn may_pass(failed: &Failed, nodes: &[Node], ports_asked: bool) -> bool {
    let all = failed.lines.join("\n");
    // A kubelet that runs may not have started the API server in time.
    let refused = all.contains("connection refused") && nodes.iter().any(Node::runs_its_kubelet);
    let late = refused || BUSY.iter().any(|sign| all.contains(sign));
    // The API server's port is chosen a moment before it is taken.
    let taken = !ports_asked && PORT_TAKEN.iter().any(|sign| all.contains(sign));
    (late || taken) && nodes.iter().all(Node::is_healthy)
}

/// All that was said, for a file.
pub fn log(failed: &Failed, nodes: &[Node]) -> String {
    let mut text = format!("==> kind create cluster: {}\n{}\n", failed.why, failed.lines.join("\n"));
    for node in nodes {
        let _ = write!(text, "\n==> {}, the kubelet\n{}\n", node.name, node.journal.join("\n"));
        let _ = write!(text, "\n==> {}, the container\n{}\n", node.name, node.container.join("\n"));
    }
    text + "\n"
}

/// The output of the command that kind ran last.
fn output(lines: &[String]) -> Vec<&str> {
    let mut lines = lines.iter().map(String::as_str);
    let first = lines.find_map(|line| line.strip_prefix(COMMAND_OUTPUT));
    first.into_iter().chain(lines).collect()
}

/// A frame of a Go stack is two lines: a function, and its place behind a tab.
fn is_place(line: &str) -> bool {
    let place = line.strip_prefix('\t').and_then(|line| line.rsplit_once(".go:").or_else(|| line.rsplit_once(".s:")));
    place.is_some_and(|(_, number)| number.starts_with(|first: char| first.is_ascii_digit()))
}

/// `I1130 01:02:03.000004 …`, as Kubernetes' programs write; the letter says how bad it is.
fn klog_level(line: &str) -> Option<char> {
    let mut chars = line.chars();
    let level = chars.next().filter(|level| matches!(level, 'I' | 'W' | 'E' | 'F'))?;
    chars.by_ref().take(4).all(|digit| digit.is_ascii_digit()).then_some(())?;
    (chars.next() == Some(' ')).then_some(level)
}

/// What it says apart from stacks and from what went well.
fn without_noise(output: &[&str]) -> Vec<String> {
    let mut kept: Vec<&str> = Vec::new();
    for line in output {
        if is_place(line) {
            kept.pop();
        } else if !line.trim().is_empty() && !matches!(klog_level(line), Some('I' | 'W')) {
            kept.push(line);
        }
    }
    kept.into_iter().map(str::to_owned).collect()
}

/// The failed command's own error, from what it printed.
fn own_words(output: &[&str]) -> Option<String> {
    // kubeadm before 1.34 prints each error of a chain above its own stack, the innermost first.
    let mut chain: Vec<&str> = Vec::new();
    let mut before = "";
    for (at, line) in output.iter().enumerate() {
        let is_function = output.get(at + 1).is_some_and(|next| is_place(next));
        if is_function || is_place(line) {
            if is_function && !before.trim().is_empty() {
                chain.push(before.trim());
            }
            before = "";
        } else {
            before = line;
        }
    }
    let kept = without_noise(output);
    let said = kept.iter().rev().map(String::as_str).find_map(|line| line.strip_prefix("error: "));
    if let Some(said) = said {
        return Some(said.trim().to_owned());
    }
    if let Some(last) = chain.iter().rposition(|line| line.starts_with("error execution phase")) {
        let mut words: Vec<&str> = chain[..=last].iter().rev().copied().collect();
        words.dedup();
        return Some(words.join(": "));
    }
    let telling = |line: &&String| {
        let line = line.to_lowercase();
        line.contains("error") || line.contains("fail") || line.contains("denied")
    };
    kept.iter().rev().find(telling).or(kept.last()).map(|line| line.trim().to_owned())
}

/// Signs of a machine that had too much else to do.
const BUSY: &[&str] = &[
    // A node had 30 s to boot.
    "could not find a log line that matches",
    "context deadline exceeded",
    "timed out waiting for the condition",
    "TLS handshake timeout",
    "request timed out",
    "did not return in time",
    "etcdserver: leader changed",
    "connection reset by peer",
    "unexpected EOF",
    "http2: client connection lost",
];

const PORT_TAKEN: &[&str] = &["port is already allocated", "address already in use"];

/// What kind's output holds, and what to do then.
const HINTS: &[(&str, &str)] = &[
    (
        "port is already allocated",
        "another program has a port that the kind configuration asks for: `stackctl doctor` names it",
    ),
    (
        "failed to pull image",
        "the node image cannot be pulled: check the network, or name one that the engine has with --node-image",
    ),
    (
        "too many open files",
        "raise the inotify limits: sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288",
    ),
    (
        "could not find a log line that matches",
        "a node did not boot: too few inotify instances, too little memory, or a node image that does not fit this engine's cgroups; see `stackctl doctor`",
    ),
    ("no space left on device", "the engine's disk is full: docker system df shows what uses it"),
    ("Cannot connect to the Docker daemon", "start the engine, or point DOCKER_HOST at one"),
];
