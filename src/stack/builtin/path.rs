//! The way from an object to one of its fields.

use std::fmt;

#[derive(Debug, Clone, Copy)]
pub enum Path<'p> {
    Root,
    /// A key, and the fields of the struct that it is in; none where it is in a map.
    Key(&'p Path<'p>, &'p str, &'p [&'static str]),
    Index(&'p Path<'p>, usize),
}

impl Path<'_> {
    /// The key that it begins with.
    pub fn first(&self) -> Option<&str> {
        match self {
            Path::Root => None,
            Path::Key(Path::Root, key, _) => Some(key),
            Path::Key(parent, ..) | Path::Index(parent, _) => parent.first(),
        }
    }

    /// The nearest struct above this one that has the field, as the path of that field.
    pub fn above(&self, field: &str) -> Option<String> {
        match self {
            Path::Root => None,
            Path::Index(parent, _) => parent.above(field),
            Path::Key(parent, _, fields) if fields.contains(&field) => Some(Path::Key(parent, field, &[]).to_string()),
            Path::Key(parent, ..) => parent.above(field),
        }
    }
}

/// `spec.containers[0].image`
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, key, _) => f.write_str(key),
            Path::Key(parent, key, _) => write!(f, "{parent}.{key}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
