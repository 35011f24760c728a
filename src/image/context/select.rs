//! The part of a context that a build asks for: paths with wildcards, and what the links among them lead to. The same
//! for what is hashed and for what is sent, after fsutil's FollowLinks.

use std::{cmp::Ordering, collections::BTreeSet};

use super::{Content, Entry};

/// Links that lead to each other are followed so often.
const HOPS: usize = 255;

/// Indices of the entries at and beneath these paths, with the directories above them. What cannot be told apart from
/// here selects all.
pub fn select(entries: &[Entry], wanted: &[String]) -> Vec<usize> {
    let mut selection = Selection { entries, found: BTreeSet::new(), all: false };
    for path in wanted {
        let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        selection.follow(&[], &parts, 0);
        if selection.all {
            return (0..entries.len()).collect();
        }
    }
    selection.found.into_iter().collect()
}

struct Selection<'a> {
    entries: &'a [Entry],
    found: BTreeSet<usize>,
    all: bool,
}

impl Selection<'_> {
    /// `at` is a directory without links on its way; `parts` is the rest of the path.
    fn follow(&mut self, at: &[String], parts: &[String], hops: usize) {
        let Some((part, rest)) = parts.split_first() else {
            self.take(at);
            return;
        };
        if hops > HOPS {
            return;
        }
        match part.as_str() {
            "" | "." => return self.follow(at, rest, hops),
            // Nothing is above the context.
            ".." => return self.follow(&at[..at.len().saturating_sub(1)], rest, hops),
            part if part.contains(['[', '\\']) || part.contains("**") => {
                self.all = true;
                return;
            }
            _ => {}
        }
        if !part.contains(['*', '?']) {
            let path = [at, std::slice::from_ref(part)].concat();
            self.step(&path, rest, hops);
            return;
        }
        for child in self.children(at) {
            let name = self.entries[child].path.rsplit('/').next().unwrap_or_default();
            if matches(part, name) {
                let path = [at, &[name.to_owned()]].concat();
                self.step(&path, rest, hops);
            }
        }
    }

    /// Goes on from `path`, which may be a link.
    fn step(&mut self, path: &[String], rest: &[String], hops: usize) {
        let entries = self.entries;
        let Some(index) = self.index(path) else { return };
        match &entries[index].content {
            Content::Symlink(target) => {
                self.take(path);
                let from = if target.starts_with('/') { &[] } else { &path[..path.len() - 1] };
                // A link's target has no wildcards, whatever its letters are.
                if target.contains(['*', '?', '[', '\\']) {
                    self.all = true;
                    return;
                }
                let target = target.split('/').map(str::to_owned);
                let parts: Vec<String> = target.chain(rest.iter().cloned()).collect();
                self.follow(from, &parts, hops + 1);
            }
            Content::Directory => self.follow(path, rest, hops),
            Content::File(_) if rest.iter().all(|part| matches!(part.as_str(), "" | ".")) => self.take(path),
            Content::File(_) => {}
        }
    }

    /// The entry, all beneath it, and the directories above.
    fn take(&mut self, path: &[String]) {
        if path.is_empty() {
            self.all = true;
            return;
        }
        let Some(index) = self.index(path) else { return };
        self.found.extend(index..self.end(index));
        for depth in 1..path.len() {
            let above = self.index(&path[..depth]);
            self.found.extend(above);
        }
    }

    fn index(&self, path: &[String]) -> Option<usize> {
        self.entries.binary_search_by(|entry| compare(&entry.path, path)).ok()
    }

    /// Where the entries beneath this one end.
    fn end(&self, index: usize) -> usize {
        let path = &self.entries[index].path;
        let beneath = |entry: &Entry| entry.path.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'));
        index + 1 + self.entries[index + 1..].partition_point(beneath)
    }

    fn children(&self, at: &[String]) -> Vec<usize> {
        let (mut next, end) = match self.index(at) {
            Some(index) => (index + 1, self.end(index)),
            None if at.is_empty() => (0, self.entries.len()),
            None => return Vec::new(),
        };
        let mut children = Vec::new();
        while next < end {
            children.push(next);
            next = self.end(next);
        }
        children
    }
}

fn compare(path: &str, parts: &[String]) -> Ordering {
    path.split('/').cmp(parts.iter().map(String::as_str))
}

/// `*` and `?` within one name.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // After each character of the pattern: which lengths of the name it can have matched.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for wanted in pattern {
        let before = std::mem::replace(&mut reached, vec![false; name.len() + 1]);
        for (length, _) in before.iter().enumerate().filter(|(_, matched)| **matched) {
            match wanted {
                '*' => reached[length..].fill(true),
                wanted if name.get(length).is_some_and(|char| wanted == '?' || *char == wanted) => {
                    reached[length + 1] = true;
                }
                _ => {}
            }
        }
    }
    reached[name.len()]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::File, *};

    /// Paths that end in `/` are directories, `a>b` is a link.
    fn entries(paths: &[&str]) -> Vec<Entry> {
        let mut entries: Vec<Entry> = paths
            .iter()
            .map(|text| {
                let (path, content) = match text.split_once('>') {
                    Some((path, target)) => (path, Content::Symlink(target.to_owned())),
                    None if text.ends_with('/') => (text.trim_end_matches('/'), Content::Directory),
                    None => (*text, Content::File(File::Memory(Arc::from(&b""[..])))),
                };
                Entry { path: path.to_owned(), mode: 0o644, modified: 0, content }
            })
            .collect();
        entries.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
        entries
    }

    fn selected(paths: &[&str], wanted: &[&str]) -> String {
        let entries = entries(paths);
        let wanted: Vec<String> = wanted.iter().map(|path| (*path).to_owned()).collect();
        select(&entries, &wanted).into_iter().map(|index| entries[index].path.clone()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn paths_bring_what_is_beneath_and_above() {
        let tree = ["a/", "a/b/", "a/b/c", "a/d", "a-b", "big.img"];
        assert_eq!(selected(&tree, &["a/b"]), "a a/b a/b/c");
        assert_eq!(selected(&tree, &["a-b", "a/d"]), "a a/d a-b");
        assert_eq!(selected(&tree, &["./a//d/"]), "a a/d");
        assert_eq!(selected(&tree, &["none", "a/none", "big.img/x"]), "");
        assert_eq!(selected(&tree, &["a/.."]).split(' ').count(), tree.len());
        assert_eq!(selected(&tree, &[]), "");
    }

    #[test]
    fn wildcards_stay_within_a_name() {
        let tree = ["a.js", "b.js", "c.md", "src/", "src/d.js", "lib/", "lib/x/", "lib/x/e.js"];
        assert_eq!(selected(&tree, &["*.js"]), "a.js b.js");
        assert_eq!(selected(&tree, &["?.md", "s*"]), "c.md src src/d.js");
        assert_eq!(selected(&tree, &["*/x"]), "lib lib/x lib/x/e.js");
        assert_eq!(selected(&tree, &["[ab].js"]).split(' ').count(), tree.len());
    }

    #[test]
    fn links_are_followed_and_come_along() {
        let tree = ["a>b/c", "b/", "b/c>../d", "d/", "d/file", "loop>loop", "out>../../etc", "abs>/d"];
        assert_eq!(selected(&tree, &["a"]), "a b b/c d d/file");
        assert_eq!(selected(&tree, &["a/file"]), "a b b/c d d/file");
        assert_eq!(selected(&tree, &["abs/*"]), "abs d d/file");
        assert_eq!(selected(&tree, &["loop"]), "loop");
        assert_eq!(selected(&tree, &["out"]), "out");
        assert_eq!(selected(&["l*>d", "d"], &["*"]), "d l*");
        // A link in a directory that is copied is copied as a link.
        assert_eq!(selected(&["s/", "s/link>../d", "d"], &["s"]), "s s/link");
    }
}
