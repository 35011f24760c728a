//! Why objects do not become ready, as data: so that many objects with one cause are told together.

use crate::error::{Error, Kind};

/// So many names are listed; of more, the number of the others.
const NAMED: usize = 20;
/// Lines of evidence for each object where several failed.
const LINES: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An image, as the pod names it, that the nodes cannot pull.
    Image(String),
    /// `Secret web-tls`, `key ca.crt of ConfigMap trust`: it does not exist, and nothing in the stack makes it.
    Missing(String),
    /// Anything else, as a sentence that follows the object's name.
    Other(String),
}

/// A root cause and the object that suffers from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// `Deployment/web`
    pub subject: String,
    pub what: What,
}

/// All of them in one sentence.
pub fn sentence<'a>(whats: impl IntoIterator<Item = &'a What>) -> String {
    let (mut images, mut missing, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for what in whats {
        let (list, text) = match what {
            What::Image(image) => (&mut images, image),
            What::Missing(name) => (&mut missing, name),
            What::Other(text) => (&mut others, text),
        };
        if !list.contains(&text.as_str()) {
            list.push(text.as_str());
        }
    }
    let mut parts = Vec::new();
    match images.as_slice() {
        [] => {}
        [image] => parts.push(format!("image {image} cannot be pulled")),
        _ => parts.push(format!("{} images cannot be pulled: {}", images.len(), listed(&images))),
    }
    match missing.as_slice() {
        [] => {}
        [name] => parts.push(format!("{name} does not exist, and nothing in the stack makes it")),
        _ => parts.push(format!("{} do not exist, and nothing in the stack makes them", listed(&missing))),
    }
    parts.extend(others.iter().map(|text| (*text).to_owned()));
    parts.join("; ")
}

fn listed(names: &[&str]) -> String {
    match names.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..NAMED].join(", ")),
    }
}

/// One error for all the failures of a run, in the order in which they came.
pub fn together(failures: Vec<Error>) -> Option<Error> {
    if failures.len() > 1 && failures.iter().all(|failure| !failure.roots.is_empty()) {
        return Some(of_roots(failures));
    }
    let mut failures = failures.into_iter();
    let first = failures.next()?;
    Some(first.beside(failures))
}

fn of_roots(failures: Vec<Error>) -> Error {
    let roots: Vec<Root> = failures.iter().flat_map(|failure| failure.roots.clone()).collect();
    let groups = groups(&roots);
    let mut error = match groups.as_slice() {
        [one] => Error::new(Kind::NotReady, one),
        _ => Error::new(Kind::NotReady, format!("{} objects are not ready", subjects(&roots).len())).details(&groups),
    };
    for failure in failures {
        let subject = failure.roots.first().map(|root| root.subject.clone()).unwrap_or_default();
        let skipped = failure.details.len().saturating_sub(LINES);
        error = error.details(failure.details.iter().skip(skipped).map(|line| format!("{subject}: {line}")));
        for hint in failure.hints {
            if !error.hints.contains(&hint) {
                error.hints.push(hint);
            }
        }
    }
    error.roots = roots;
    error
}

/// A line for each kind of cause: images are counted, a missing thing names all that need it.
fn groups(roots: &[Root]) -> Vec<String> {
    let mut lines = Vec::new();
    let images: Vec<&What> =
        roots.iter().map(|root| &root.what).filter(|what| matches!(what, What::Image(_))).collect();
    if !images.is_empty() {
        lines.push(sentence(images));
    }
    let mut told: Vec<&What> = Vec::new();
    for root in roots.iter().filter(|root| !matches!(root.what, What::Image(_))) {
        if told.contains(&&root.what) {
            continue;
        }
        told.push(&root.what);
        let same: Vec<Root> = roots.iter().filter(|other| other.what == root.what).cloned().collect();
        let subjects = subjects(&same);
        lines.push(match &root.what {
            What::Missing(_) => format!("{}: needed by {}", sentence([&root.what]), listed(&subjects)),
            _ => format!("{}: {}", listed(&subjects), sentence([&root.what])),
        });
    }
    lines
}

fn subjects(roots: &[Root]) -> Vec<&str> {
    let mut subjects: Vec<&str> = Vec::new();
    for root in roots {
        if !subjects.contains(&root.subject.as_str()) {
            subjects.push(&root.subject);
        }
    }
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str) -> What {
        What::Image(name.to_owned())
    }

    fn failure(subject: &str, what: What, evidence: &str) -> Error {
        let mut error = Error::new(Kind::NotReady, format!("{subject} will not become ready: {}", sentence([&what])));
        error.roots.push(Root { subject: subject.to_owned(), what });
        error.detail(evidence).hint("look")
    }

    #[test]
    fn causes_of_one_object_are_one_sentence() {
        let missing = |name: &str| What::Missing(name.to_owned());
        assert_eq!(sentence([&image("a:1"), &image("a:1")]), "image a:1 cannot be pulled");
        assert_eq!(
            sentence([&image("a:1"), &missing("Secret tls"), &image("b:1")]),
            "2 images cannot be pulled: a:1, b:1; Secret tls does not exist, and nothing in the stack makes it"
        );
        assert_eq!(
            sentence([&missing("Secret a"), &missing("ConfigMap b")]),
            "Secret a, ConfigMap b do not exist, and nothing in the stack makes them"
        );
    }

    #[test]
    fn many_objects_with_one_kind_of_cause_are_one_error() {
        let failures = (0..12).map(|n| failure(&format!("Deployment/d{n}"), image(&format!("bad:{n}")), "not found"));
        let error = together(failures.collect()).unwrap();
        assert!(error.message.starts_with("12 images cannot be pulled: bad:0, bad:1, "), "{}", error.message);
        assert_eq!((error.details.len(), error.details[3].as_str()), (12, "Deployment/d3: not found"));
        assert_eq!(error.hints, ["look"]);
    }

    #[test]
    fn several_kinds_of_causes_are_listed_by_kind() {
        let tls = || What::Missing("Secret tls".to_owned());
        let failures = vec![
            failure("Deployment/a", image("a:1"), "a"),
            failure("Deployment/b", tls(), "b"),
            failure("Deployment/c", tls(), "c"),
            failure("Job/d", What::Other("the job failed".to_owned()), "d"),
        ];
        let error = together(failures).unwrap();
        assert_eq!(error.message, "4 objects are not ready");
        assert_eq!(
            error.details[..3],
            [
                "image a:1 cannot be pulled",
                "Secret tls does not exist, and nothing in the stack makes it: needed by Deployment/b, Deployment/c",
                "Job/d: the job failed",
            ]
        );
    }

    #[test]
    fn a_failure_of_another_kind_leads_and_the_others_follow() {
        let refused = Error::new(Kind::Refused, "no");
        let error = together(vec![refused, failure("Deployment/a", image("a:1"), "a")]).unwrap();
        assert_eq!((error.kind, error.others.len()), (Kind::Refused, 1));
        assert!(together(Vec::new()).is_none());
    }
}
