//! What a node says of itself while its cluster is being made: whether its kubelet runs, and its last words.

use std::{convert::Infallible, time::Duration};

use bollard::Docker;
use futures::future::join_all;

use super::klog_level;
use crate::{
    event::Progress,
    provider::{
        kind::KindCluster,
        local::{engine, engine::Container},
    },
};

const WITHIN: Duration = Duration::from_secs(20);
/// Between two looks at kubelets while kind waits for them.
const PAUSE: Duration = Duration::from_secs(5);
/// systemd starts a kubelet again a second after it ended; one that waits for another program needs a few attempts.
const WORRYING_RESTARTS: u32 = 5;
/// Lines that are kept of each log.
const LINES: usize = 400;

/// A node of a cluster that could not be made.
#[derive(Debug, Default)]
pub struct Node {
    pub name: String,
    pub running: bool,
    pub(super) kubelet: Kubelet,
    /// The kubelet's unit, oldest first, each line as `journalctl --output=short` shows it, without the host.
    pub journal: Vec<String>,
    /// What the container printed: systemd's own boot.
    pub container: Vec<String>,
}

/// None: it could not be asked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kubelet {
    pub runs: Option<bool>,
    /// How often systemd started it again.
    pub restarts: u32,
}

impl Node {
    /// A kubelet that was never started has nothing to answer for.
    pub fn is_healthy(&self) -> bool {
        self.running && self.kubelet.restarts < WORRYING_RESTARTS && self.kubelet.runs != Some(false)
    }

    pub fn runs_its_kubelet(&self) -> bool {
        self.kubelet.runs == Some(true)
    }

    /// The last error that tells why it does not work.
    pub fn last_error(&self) -> Option<String> {
        if self.running { last_error(&self.journal) } else { self.container.last().map(|line| line.trim().to_owned()) }
    }

    /// The end of what it said.
    pub fn last_lines(&self) -> Vec<String> {
        let lines = if self.running { &self.journal } else { &self.container };
        // One that fails again and again says the same again and again.
        let mut seen: Vec<&str> = Vec::new();
        // Nor does systemd's account of its attempts tell anything.
        let idle = |line: &str| {
            ["Scheduled restart", "Stopped ", "Starting ", "Started "].iter().any(|word| line.contains(word))
        };
        let told = |line: &&String| speaker(line) != "systemd" || !idle(line);
        let lines = lines.iter().filter(told).map(|line| message(line));
        for line in lines.filter(|line| !matches!(klog_level(line), Some('I'))) {
            seen.retain(|known| *known != line);
            seen.push(line);
        }
        seen.into_iter().map(str::to_owned).collect()
    }
}

/// Asks all nodes, as far as they answer.
pub async fn examine(docker: &Docker, nodes: &[Container]) -> Vec<Node> {
    let one = |node: Container| async move {
        let (kubelet, journal) = if node.running { ask(docker, &node.name).await } else { Default::default() };
        let container = engine::log(docker, &node.name, LINES).await.unwrap_or_default();
        let container = container.iter().map(|line| without_colours(line)).collect();
        Node { name: node.name, running: node.running, kubelet, journal, container }
    };
    join_all(nodes.iter().cloned().map(one)).await
}

/// Tells what a kubelet says that fails again and again, while kind waits for it as long as kubeadm does.
pub async fn tell_of_kubelets(cluster: &KindCluster, progress: &Progress) -> Infallible {
    loop {
        tokio::time::sleep(PAUSE).await;
        let Ok(nodes) = cluster.nodes().await else { continue };
        for node in nodes.iter().filter(|node| node.running) {
            let (kubelet, journal) = ask(&cluster.docker, &node.name).await;
            if kubelet.restarts >= WORRYING_RESTARTS
                && let Some(said) = last_error(&journal)
            {
                progress.say(format!("the kubelet of {} does not start: {said}", node.name));
            }
        }
    }
}

/// Its unit's state and journal. Where kubeadm has not configured it yet it has no reason to run.
async fn ask(docker: &Docker, node: &str) -> (Kubelet, Vec<String>) {
    let script = format!(
        "[ -f /var/lib/kubelet/config.yaml ] && systemctl show kubelet --property=SubState,NRestarts; echo; \
         journalctl --no-pager --quiet --output=short --no-hostname --unit=kubelet --lines={LINES}"
    );
    let Ok(said) = engine::run(docker, node, &["sh", "-c", &script], WITHIN).await else { return Default::default() };
    let mut lines = said.lines();
    let mut kubelet = Kubelet::default();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        match line.split_once('=') {
            Some(("SubState", state)) => kubelet.runs = Some(state == "running"),
            Some(("NRestarts", count)) => kubelet.restarts = count.parse().unwrap_or_default(),
            _ => {}
        }
    }
    (kubelet, lines.map(str::to_owned).collect())
}

/// systemd's boot is written for a terminal.
fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        text + &part[end..]
    })
}

/// `Nov 30 01:02:03 kubelet[12]: what it says`: who says it.
fn speaker(line: &str) -> &str {
    let (head, _) = line.split_once("]: ").unwrap_or_default();
    head.rsplit_once('[').and_then(|(head, _)| head.rsplit(' ').next()).unwrap_or_default()
}

fn message(line: &str) -> &str {
    line.split_once("]: ").map_or(line, |(_, message)| message)
}

/// The kubelet's own last error, else what systemd says of it.
fn last_error(journal: &[String]) -> Option<String> {
    let (systemds, kubelets): (Vec<&String>, Vec<&String>) =
        journal.iter().partition(|line| matches!(speaker(line), "systemd" | "(kubelet)"));
    let kubelets: Vec<&str> = kubelets.into_iter().map(|line| message(line)).collect();
    let errors = || kubelets.iter().rev().filter(|line| matches!(klog_level(line), Some('E' | 'F')));
    // The one with which it ended, else any.
    let fatal = errors().find(|line| line.contains("\"command failed\"")).or_else(|| errors().next());
    let plain = || {
        let plain = || kubelets.iter().rev().filter(|line| klog_level(line).is_none() && !line.trim().is_empty());
        let telling =
            |line: &&&str| ["error", "fail", "panic", "cannot"].iter().any(|word| line.to_lowercase().contains(word));
        plain().find(telling).or_else(|| plain().next())
    };
    if let Some(said) = fatal.or_else(plain) {
        return Some(in_words(said));
    }
    let failed = systemds.iter().rev().map(|line| message(line)).find(|line| line.contains("ailed"));
    failed.map(str::to_owned)
}

/// `E1130 01:02:03.4 12 run.go:72] "command failed" err="why"`: why.
fn in_words(line: &str) -> String {
    let text = match klog_level(line) {
        Some(_) => line.split_once("] ").map_or(line, |(_, text)| text),
        None => line,
    };
    let quoted = text.split_once(" err=").map(|(_, rest)| rest).filter(|rest| rest.starts_with('"'));
    let error = quoted.and_then(|rest| serde_json::Deserializer::from_str(rest).into_iter::<String>().next()?.ok());
    error.unwrap_or_else(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| format!("Nov 30 01:02:03 {line}")).collect()
    }

    #[test]
    fn the_error_with_which_a_kubelet_ended_is_its_last_word() {
        let lines = journal(&[
            "systemd[1]: Started kubelet.service - kubelet.",
            "kubelet[12]: E1130 01:02:03.000001      12 kubelet.go:1] \"Eviction manager\" err=\"no stats\"",
            "kubelet[12]: E1130 01:02:03.000004      12 run.go:72] \"command failed\" err=\"failed to run Kubelet: \
             cgroup [\\\"kubelet\\\"] has some missing paths\"",
            "systemd[1]: kubelet.service: Failed with result 'exit-code'.",
        ]);
        assert_eq!(last_error(&lines).unwrap(), "failed to run Kubelet: cgroup [\"kubelet\"] has some missing paths");
    }

    #[test]
    fn what_is_no_log_line_counts_as_well_and_systemd_speaks_for_what_never_ran() {
        let lines = journal(&[
            "kubelet[12]: I1130 01:02:03.000001      12 server.go:1] \"Starting\"",
            "kubelet[13]: kubelet: no such cgroup",
            "systemd[1]: kubelet.service: Main process exited, code=exited, status=1/FAILURE",
        ]);
        assert_eq!(last_error(&lines).unwrap(), "kubelet: no such cgroup");
        let lines = journal(&[
            "(kubelet)[9]: kubelet.service: Failed to locate executable /usr/bin/kubelet: No such file or directory",
            "systemd[1]: kubelet.service: Main process exited, code=exited, status=203/EXEC",
        ]);
        assert!(last_error(&lines).unwrap().contains("No such file"), "{lines:?}");
        assert_eq!(last_error(&[]), None);
    }

    #[test]
    fn a_node_is_healthy_unless_it_stopped_or_its_kubelet_fails() {
        let node = |running, runs, restarts| {
            Node { running, kubelet: Kubelet { runs, restarts }, ..Node::default() }.is_healthy()
        };
        assert!(node(true, Some(true), 1) && node(true, None, 0));
        assert!(!node(false, None, 0) && !node(true, Some(false), 3) && !node(true, Some(true), 9));
    }

    #[test]
    fn colours_are_left_out() {
        let line = "[\u{1b}[0;32m  OK  \u{1b}[0m] Started \u{1b}[0;1;39mcontainerd\u{1b}[0m - runtime.";
        assert_eq!(without_colours(line), "[  OK  ] Started containerd - runtime.");
    }

    #[test]
    fn what_is_said_again_is_told_once() {
        let lines =
            journal(&["kubelet[1]: no", "systemd[1]: Failed.", "systemd[1]: Started kubelet.", "kubelet[2]: no"]);
        let node = Node { running: true, journal: lines, ..Node::default() };
        assert_eq!(node.last_lines(), ["Failed.", "no"]);
    }
}
