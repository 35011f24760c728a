//! Finds lines in the logs of containers, as they come. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use regex::Regex;

use crate::stack::claims::{LogClaim, Pattern};

/// So many last lines of a container are shown where something is missing.
const SHOWN: usize = 5;
/// Lines are cut at this length when they are shown.
const WIDTH: usize = 300;
/// So many containers are shown.
const CONTAINERS: usize = 6;
/// So many ways to go on with different texts for the groups are followed.
const WAYS: usize = 1000;

/// What was seen of one claim, in all of its containers.
pub struct Search<'a> {
    claim: &'a LogClaim,
    /// By pod and container.
    logs: BTreeMap<(String, String), Log>,
}

struct Log {
    ways: Vec<Way>,
    last: VecDeque<String>,
}

/// The patterns that were met so far, and what their groups stand for.
#[derive(Clone)]
struct Way {
    /// Positions of patterns that were not met, in their order.
    open: Vec<usize>,
    texts: BTreeMap<String, String>,
    /// What is looked for: the first of them, or all where the order does not matter.
    wanted: Vec<Regex>,
}

impl Way {
    fn new(claim: &LogClaim, open: Vec<usize>, texts: BTreeMap<String, String>) -> Way {
        let sought = if claim.any_order { open.as_slice() } else { &open[..open.len().min(1)] };
        let filled = |at: &usize| claim.matches[*at].filled(|name| texts.get(name).map(String::as_str)).ok();
        let wanted = sought.iter().filter_map(filled).collect();
        Way { open, texts, wanted }
    }

    /// How it goes on after this line, if that meets something.
    fn after(&self, claim: &LogClaim, line: &str) -> Option<Way> {
        let at = self.wanted.iter().position(|regex| regex.is_match(line))?;
        let mut texts = self.texts.clone();
        if !claim.any_order {
            let found = self.wanted[at].captures(line)?;
            let groups = self.wanted[at].capture_names().flatten();
            texts.extend(groups.filter_map(|name| Some((name.to_owned(), found.name(name)?.as_str().to_owned()))));
        }
        let mut open = self.open.clone();
        open.remove(at);
        Some(Way::new(claim, open, texts))
    }
}

impl<'a> Search<'a> {
    pub fn new(claim: &'a LogClaim) -> Search<'a> {
        Search { claim, logs: BTreeMap::new() }
    }

    pub fn line(&mut self, pod: &str, container: &str, line: &str) {
        let claim = self.claim;
        let start = || Log {
            ways: vec![Way::new(claim, (0..claim.matches.len()).collect(), BTreeMap::new())],
            last: VecDeque::new(),
        };
        let log = self.logs.entry((pod.to_owned(), container.to_owned())).or_insert_with(start);
        if log.last.len() == SHOWN {
            log.last.pop_front();
        }
        log.last.push_back(line.chars().take(WIDTH).collect());
        let mut ways = Vec::new();
        for way in std::mem::take(&mut log.ways) {
            let next = way.after(claim, line);
            // A later line may give the groups another text; without groups the first line is as good as any.
            let is_settled = next.as_ref().is_some_and(|next| next.texts.len() == way.texts.len());
            if !is_settled {
                ways.push(way);
            }
            ways.extend(next);
        }
        let mut known = BTreeSet::new();
        ways.retain(|way| known.insert((way.open.clone(), way.texts.clone())));
        // The oldest stay: they are those from which all others can begin.
        ways.truncate(WAYS);
        log.ways = ways;
    }

    /// Whether the claim holds of these pods, which are all that there are now.
    pub fn holds(&self, pods: &[String]) -> bool {
        match self.claim.every {
            true => !pods.is_empty() && pods.iter().all(|pod| self.has_all(pod)),
            false => self.logs.values().any(Log::has_all),
        }
    }

    fn has_all(&self, pod: &str) -> bool {
        self.logs.iter().any(|((of, _), log)| of == pod && log.has_all())
    }

    /// What is missing, and the last lines of where it was looked for. `pods`: as for `holds`.
    pub fn missing(&self, pods: &[String]) -> String {
        let LogClaim { selector, matches, every, .. } = self.claim;
        if pods.is_empty() && self.logs.is_empty() {
            return format!("{selector} selects no pod");
        }
        let lacking: Vec<&String> = pods.iter().filter(|pod| !self.has_all(pod)).collect();
        let logs = self.logs.iter().filter(|((pod, _), log)| !log.has_all() && (!every || lacking.contains(&pod)));
        let logs: Vec<_> = logs.collect();
        let Some((_, furthest)) = logs.iter().min_by_key(|(_, log)| log.open()) else {
            let pods = if *every { lacking.into_iter().cloned().collect() } else { pods.to_vec() };
            let what = shown(matches.first(), &BTreeMap::new());
            return format!("no line matches {what}: {} logged nothing", pods.join(", "));
        };
        let (at, way) = furthest.next();
        let count = if matches.len() > 1 { format!(" ({} of {})", at + 1, matches.len()) } else { String::new() };
        let silent = lacking.iter().filter(|_| *every).filter(|pod| !self.logs.keys().any(|(of, _)| of == **pod));
        let names: BTreeSet<&str> =
            logs.iter().map(|((pod, _), _)| pod.as_str()).chain(silent.map(|pod| pod.as_str())).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let pattern = shown(matches.get(at), &way.texts);
        let mut lines = vec![format!("no line matches {pattern}{count} in the log of {}", names.join(", "))];
        for ((pod, container), log) in logs.iter().take(CONTAINERS) {
            lines.push(format!("last lines of {pod}.{container}:"));
            lines.extend(log.last.iter().map(|line| format!("  {line}")));
        }
        if logs.len() > CONTAINERS {
            lines.push(format!("and of {} containers more", logs.len() - CONTAINERS));
        }
        lines.join("\n")
    }
}

impl Log {
    fn has_all(&self) -> bool {
        self.open() == 0
    }

    fn open(&self) -> usize {
        self.ways.iter().map(|way| way.open.len()).min().unwrap_or(0)
    }

    /// The pattern that the furthest way waits for.
    fn next(&self) -> (usize, &Way) {
        let way = self.ways.iter().min_by_key(|way| way.open.len()).unwrap_or(&self.ways[0]);
        (way.open.first().copied().unwrap_or_default(), way)
    }
}

/// The pattern as it was looked for.
fn shown(pattern: Option<&Pattern>, texts: &BTreeMap<String, String>) -> String {
    let mut text = pattern.map(|pattern| pattern.0.clone()).unwrap_or_default();
    for (name, value) in texts {
        text = text.replace(&format!("$({name})"), value);
    }
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(matches: &[&str]) -> LogClaim {
        let matches = matches.iter().map(|text| Pattern((*text).to_owned())).collect();
        LogClaim { selector: "app=web".into(), container: None, matches, every: false, any_order: false }
    }

    fn searched<'a>(claim: &'a LogClaim, lines: &[(&str, &str)]) -> Search<'a> {
        let mut search = Search::new(claim);
        for (pod, line) in lines {
            search.line(pod, "app", line);
        }
        search
    }

    fn names(pods: &[&str]) -> Vec<String> {
        pods.iter().map(|pod| (*pod).to_owned()).collect()
    }

    #[test]
    fn lines_come_in_order_in_one_pod() {
        let two = claim(&["one", "two"]);
        assert!(searched(&two, &[("a", "one"), ("a", "x"), ("a", "two")]).holds(&names(&["a"])));
        assert!(!searched(&two, &[("a", "two"), ("a", "one")]).holds(&names(&["a"])));
        assert!(!searched(&two, &[("a", "one"), ("b", "two")]).holds(&names(&["a", "b"])));
        assert!(!searched(&two, &[("a", "one two")]).holds(&names(&["a"])), "one line is not two");
        let any = LogClaim { any_order: true, ..claim(&["one", "two"]) };
        assert!(searched(&any, &[("a", "two"), ("a", "one")]).holds(&names(&["a"])));
    }

    #[test]
    fn a_group_is_the_same_text_in_later_lines() {
        let claim = claim(&[r"Received (?<m>\S+): .*body", "Deleted $(m)$"]);
        let one = [("a", "Received 1: body"), ("a", "Received 2: other"), ("a", "Deleted 2")];
        let search = searched(&claim, &one);
        assert!(!search.holds(&names(&["a"])));
        assert!(search.missing(&names(&["a"])).starts_with("no line matches `Deleted 1$` (2 of 2) in the log of a\n"));
        let other = [("a", "Received 1: body"), ("a", "Received 1.5: body"), ("a", "Deleted 1.5")];
        assert!(searched(&claim, &other).holds(&names(&["a"])), "the second message is deleted, too");
        assert!(!searched(&claim, &[("a", "Received 1.5: body"), ("a", "Deleted 1x5")]).holds(&names(&["a"])));
    }

    #[test]
    fn every_pod_has_them_where_that_is_claimed() {
        let every = LogClaim { every: true, ..claim(&["ready"]) };
        let search = searched(&every, &[("a", "ready"), ("b", "starting"), ("old", "ready")]);
        assert!(search.holds(&names(&["a"])) && !search.holds(&names(&["a", "b"])) && !search.holds(&[]));
        let missing = search.missing(&names(&["a", "b", "c"]));
        assert_eq!(missing, "no line matches `ready` in the log of b, c\nlast lines of b.app:\n  starting");
    }

    #[test]
    fn what_is_missing_is_told_with_the_last_lines() {
        let one = claim(&["ready"]);
        assert_eq!(Search::new(&one).missing(&[]), "app=web selects no pod");
        let silent = Search::new(&one).missing(&names(&["a", "b"]));
        assert_eq!(silent, "no line matches `ready`: a, b logged nothing");
        let lines: Vec<String> = (0..9).map(|nth| format!("line {nth}")).collect();
        let lines: Vec<(&str, &str)> = lines.iter().map(|line| ("a", line.as_str())).collect();
        let missing = searched(&one, &lines).missing(&names(&["a"]));
        assert!(missing.ends_with("a.app:\n  line 4\n  line 5\n  line 6\n  line 7\n  line 8"), "{missing}");
    }
}
