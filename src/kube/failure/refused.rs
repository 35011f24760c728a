//! Why an object was not accepted, and what would help.

use std::collections::BTreeSet;

use ::kube::core::{Status, response::StatusCause};

use super::{
    Subject,
    refuser::{Refuser, refuser},
    request_failed, unreachable,
    words::{self, Problem},
};
use crate::{
    error::{Error, Kind},
    kube::ownership::holds::holds_data,
};

pub fn refused(verb: &str, subject: &Subject<'_>, server: &str, error: &::kube::Error) -> Error {
    let ::kube::Error::Api(status) = error else {
        return match error {
            ::kube::Error::Service(_) | ::kube::Error::HyperError(_) => {
                unreachable(server, error).detail(format!("while trying to {verb} {}", subject.name()))
            }
            other => Error::new(Kind::Platform, format!("cannot {verb} {}", subject.name())).caused_by(other),
        };
    };
    if status.code == 401 {
        return request_failed(verb, server, error);
    }
    if !conflicts(status).is_empty() {
        return conflict(verb, subject, status);
    }
    if let Some(who) = refuser(&status.message) {
        return not_admitted(verb, subject, &who);
    }
    if let Some(fields) = unknown_fields(&status.message) {
        return unknown(subject, &fields);
    }
    if is_too_large(status) {
        return too_large(subject, None, status);
    }
    if status.is_invalid() {
        return told(subject.error(format!("{} is invalid", subject.name())), &causes(status));
    }
    if status.is_not_found() && status.message.starts_with("namespaces ") {
        return subject
            .error(format!("cannot {verb} {}: its namespace does not exist", subject.name()))
            .cause(&status.message);
    }
    let problems = words::problems(&status.message);
    let made = match words::is_about_content(&status.message) {
        true => subject.error(format!("{} is invalid", subject.name())),
        false => subject.error(format!("the API server refused to {verb} {}", subject.name())),
    };
    told(made, &problems)
}

/// One problem is the cause, several are details.
fn told(error: Error, problems: &[Problem]) -> Error {
    match problems {
        [only] => error.cause(only.line()),
        several => error.details(several.iter().map(Problem::line)),
    }
}

/// What is wrong with an invalid object, field by field.
fn causes(status: &Status) -> Vec<Problem> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let found: Vec<Problem> = causes.map(problem).collect();
    if found.is_empty() { words::problems(&status.message) } else { found }
}

fn problem(cause: &StatusCause) -> Problem {
    // The object itself has several spellings.
    let field = Some(cause.field.as_str()).filter(|field| !matches!(*field, "" | "<nil>" | "[]"));
    Problem { field: field.map(str::to_owned), why: words::plain(&cause.message) }
}

/// A cause as the user reads it.
pub fn line(cause: &StatusCause) -> String {
    problem(cause).line()
}

/// A field that another manager owns.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    pub manager: String,
    pub field: String,
}

pub fn conflicts(status: &Status) -> Vec<Conflict> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| Conflict {
            // conflict with "kubectl" using apps/v1 at 2026-01-01T00:00:00Z
            manager: cause.message.split('"').nth(1).unwrap_or("another manager").to_owned(),
            field: cause.field.trim_start_matches('.').to_owned(),
        })
        .collect()
}

fn conflict(verb: &str, subject: &Subject<'_>, status: &Status) -> Error {
    let conflicts = conflicts(status);
    let managers: BTreeSet<_> = conflicts.iter().map(|c| format!("\"{}\"", c.manager)).collect();
    let managers = managers.into_iter().collect::<Vec<_>>().join(", ");
    subject
        .error(format!("cannot {verb} {}: {managers} owns fields that the stack sets", subject.name()))
        .details(conflicts.iter().map(|c| format!("{} is owned by \"{}\"", c.field, c.manager)))
        .hint("take the fields over with --force-conflicts, or leave them out of the manifest")
}

/// The fields of an object that can never be changed on it. `differing`: paths at which it would change.
pub fn immutable(subject: &Subject<'_>, fields: &[StatusCause], differing: &[String]) -> Error {
    let names: Vec<_> = fields.iter().map(|cause| cause.field.as_str()).collect();
    let error = subject
        .error(format!("cannot change {} of {}: the field is immutable", names.join(", "), subject.name()))
        .details(fields.iter().map(line));
    // A server may name no more than the part that holds the field.
    let below = |path: &&String| {
        names.iter().any(|name| path.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '['])))
    };
    let changed: Vec<&str> = differing.iter().filter(below).map(String::as_str).collect();
    let error = match changed.is_empty() {
        true => error,
        false => error.detail(format!("what would change: {}", changed.join(", "))),
    };
    error.hint(match holds_data(subject.key) {
        true => "--replace with --prune-data deletes the object, with the data that it holds, and creates it anew",
        false => "--replace deletes the object and creates it anew",
    })
}

/// What others have set does not go together with the change.
pub fn in_the_way(subject: &Subject<'_>, fields: &[StatusCause], owners: &BTreeSet<String>) -> Error {
    let owners: Vec<_> = owners.iter().map(|owner| format!("\"{owner}\"")).collect();
    let owners = owners.join(", ");
    subject
        .error(format!("cannot change {}: what {owners} has set does not fit the change", subject.name()))
        .details(fields.iter().map(line))
        .hint("take these fields away with --force-conflicts, or --replace the object")
}

/// Names of the fields that the schema doesn't know, in the two ways the server words it.
pub fn unknown_fields(message: &str) -> Option<Vec<String>> {
    if let Some((_, list)) = message.split_once("strict decoding error: ") {
        let fields: Vec<_> = list
            .split("unknown field \"")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
            .collect();
        return (!fields.is_empty()).then_some(fields);
    }
    let lines = message.lines().filter_map(|line| {
        let (before, _) = line.split_once(": field not declared in schema")?;
        Some(before.rsplit(": ").next()?.trim().trim_start_matches('.').to_owned())
    });
    let fields: Vec<String> = lines.collect();
    (!fields.is_empty()).then_some(fields)
}

fn unknown(subject: &Subject<'_>, fields: &[String]) -> Error {
    subject
        .error(format!("{} has a field that its kind does not know: {}", subject.name(), fields.join(", ")))
        .hint("check the spelling and the place of the field against `kubectl explain`")
}

fn not_admitted(verb: &str, subject: &Subject<'_>, who: &Refuser) -> Error {
    let error = subject.error(format!("cannot {verb} {}: {}", subject.name(), who.says()));
    let error = match who.details().as_slice() {
        [only] => error.cause(only),
        several => error.details(several),
    };
    who.hint(subject.key.namespace.as_deref()).into_iter().fold(error, Error::hint)
}

/// The object as a whole, not one of its fields.
pub fn is_too_large(status: &Status) -> bool {
    let causes = || status.details.iter().flat_map(|details| &details.causes);
    let whole = causes().any(|cause| cause.reason == "FieldValueTooLong" && problem(cause).field.is_none());
    // The limits of etcd and of a request.
    whole || status.code == 413 || status.message.contains("etcdserver: request is too large")
}

/// `size`: of what counts towards the limit, in bytes, if it is known.
pub fn too_large(subject: &Subject<'_>, size: Option<usize>, status: &Status) -> Error {
    let largest = |text: &str| -> Option<u64> {
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).max()
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let limit = causes.filter_map(|cause| largest(&cause.message)).max().or(largest(&status.message));
    let size = size.map_or(String::new(), |size| format!(": {size} bytes"));
    let limit = limit.map_or(String::new(), |limit| format!("; the limit is {limit} bytes"));
    subject
        .error(format!("{} is too large{size}{limit}", subject.name()))
        .hint("split it, or bring large files in an image or on a volume")
}
