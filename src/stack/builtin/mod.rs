//! Holds manifests of built-in kinds against the types of the API: wrong types and unknown fields, each at its place.

mod fields;
mod kinds;
mod node;
mod path;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

use crate::stack::{
    located::{Mark, Node},
    problems::Problems,
    reader::with_field,
};
use node::At;
use path::Path;

/// What is checked, and what was found so far.
struct Check {
    /// A patch has directives such as `$patch: delete` among its fields.
    patch: bool,
    /// Values of a Secret are not repeated.
    secret: bool,
    found: RefCell<Vec<(Mark, String)>>,
}

impl Check {
    fn problem(&self, mark: Mark, message: &str, path: &Path) {
        self.found.borrow_mut().push((mark, with_field(message, &path.to_string())));
    }
}

/// Reports what the API server would refuse in this object for its form. Kinds that are not built in pass.
pub fn check(object: &Node, patch: bool, file: &str, problems: &mut Problems) {
    let text = |key| object.get(key).and_then(Node::as_str).unwrap_or_default();
    if let Some((field, message)) = kinds::mistake(text("apiVersion"), text("kind")) {
        let mark = object.get(field).map_or(object.mark, |node| node.mark);
        problems.at(mark.in_file(file), with_field(&message, field));
    }
    let Some(read) = kinds::find(text("apiVersion"), text("kind")) else { return };
    let check = Check { patch, secret: text("kind") == "Secret", found: RefCell::default() };
    if let Err(stop) = read(At::new(object, &Path::Root, &check)) {
        stop.report(object.mark, &Path::Root, &check);
    }
    for (mark, message) in check.found.into_inner() {
        problems.at(mark.in_file(file), message);
    }
}
