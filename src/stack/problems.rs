//! Collects everything that is wrong with a stack, so that one run reports all of it.

use crate::error::{Error, Kind, Result};
use crate::object::Origin;

/// `origin` None: the command line, not a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    origin: Option<Origin>,
    message: String,
}

#[derive(Debug, Default)]
pub struct Problems {
    problems: Vec<Problem>,
    /// What is no mistake, and yet not done as it is written.
    notes: Vec<Problem>,
}

impl Problems {
    pub fn at(&mut self, origin: Origin, message: impl Into<String>) {
        self.problems.push(Problem { origin: Some(origin), message: message.into() });
    }

    pub fn note(&mut self, origin: Origin, message: impl Into<String>) {
        self.notes.push(Problem { origin: Some(origin), message: message.into() });
    }

    /// About an option such as `--set`, which has no place in a file.
    pub fn option(&mut self, message: impl Into<String>) {
        self.problems.push(Problem { origin: None, message: message.into() });
    }

    pub fn len(&self) -> usize {
        self.problems.len()
    }

    /// Options first, then by file, line and column; each problem once.
    pub fn lines(self) -> Vec<String> {
        lines(self.problems)
    }

    pub fn take_notes(&mut self) -> Vec<String> {
        lines(std::mem::take(&mut self.notes))
    }

    /// Usage error with one detail per problem, unless there is none.
    pub fn into_result(self, stack: &str) -> Result<()> {
        let lines = self.lines();
        match lines.len() {
            0 => Ok(()),
            1 => Err(Error::new(Kind::Usage, format!("1 problem in stack {stack}")).details(lines)),
            n => Err(Error::new(Kind::Usage, format!("{n} problems in stack {stack}")).details(lines)),
        }
    }
}

fn lines(mut problems: Vec<Problem>) -> Vec<String> {
    problems.sort();
    problems.dedup();
    let line = |Problem { origin, message }| match origin {
        Some(origin) => format!("{origin}: {message}"),
        None => message,
    };
    problems.into_iter().map(line).collect()
}

/// The known word that was probably meant.
pub fn closest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let near = |word: &&str| {
        let word = word.to_lowercase();
        let edits = strsim::osa_distance(&given, &word);
        edits < word.len() && (edits <= 1 || strsim::jaro_winkler(&given, &word) >= 0.8)
    };
    known.into_iter().filter(near).min_by_key(|word| strsim::osa_distance(&given, &word.to_lowercase()))
}

/// `; did you mean x?`, or nothing.
pub fn suggestion<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    closest(given, known).map(|word| format!("; did you mean `{word}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(file: &str, line: usize) -> Origin {
        Origin { file: file.into(), line, column: 1 }
    }

    #[test]
    fn sorted_once_each_and_counted() {
        let mut problems = Problems::default();
        problems.at(origin("b.yaml", 1), "one");
        problems.at(origin("a.yaml", 10), "two");
        problems.at(origin("a.yaml", 9), "three");
        problems.at(origin("a.yaml", 9), "three");
        problems.option("--set x=1: four");
        let error = problems.into_result("shop").unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert_eq!(error.message, "4 problems in stack shop");
        assert_eq!(error.details, ["--set x=1: four", "a.yaml:9:1: three", "a.yaml:10:1: two", "b.yaml:1:1: one"]);
        assert!(Problems::default().into_result("shop").is_ok());
    }

    #[test]
    fn suggests_only_what_is_near() {
        assert_eq!(closest("manifest", ["values", "manifests"]), Some("manifests"));
        assert_eq!(closest("wbe", ["app", "web"]), Some("web"));
        assert_eq!(closest("x", ["y"]), None);
        assert_eq!(closest("zzz", ["values", "manifests"]), None);
        assert_eq!(suggestion("helo", ["hello"]), "; did you mean `hello`?");
    }
}
