//! Folders of a stack, embedded or on disk, seen alike.

use std::{
    io::ErrorKind,
    path::{Component, Path, PathBuf},
};

use crate::stack::{
    embedded::{Found, Tree},
    model::Source,
};

/// A folder that holds a stack.yaml or a component.yaml.
#[derive(Debug, Clone)]
pub struct Folder {
    place: Place,
    /// As the user would name it.
    pub shown: String,
}

#[derive(Debug, Clone)]
enum Place {
    /// `manifests/hello`
    Embedded(Tree, String),
    /// Absolute, symbolic links resolved.
    Disk(PathBuf),
}

impl Folder {
    pub fn embedded(tree: Tree, path: &str) -> Folder {
        Folder { place: Place::Embedded(tree, path.to_owned()), shown: path.to_owned() }
    }

    pub fn disk(path: &Path) -> std::io::Result<Folder> {
        Ok(Folder { place: Place::Disk(path.canonicalize()?), shown: path.display().to_string() })
    }

    /// The folder `path` relative to this one, if it exists.
    pub fn folder(&self, path: &str) -> Option<Folder> {
        let shown = normalise(&Path::new(&self.shown).join(path));
        match &self.place {
            Place::Embedded(tree, at) => match tree.find(&normalise(&Path::new(at).join(path)))? {
                Found::Folder(_) => Some(Folder::embedded(*tree, &shown)),
                Found::File(_) => None,
            },
            Place::Disk(at) => {
                let at = at.join(path).canonicalize().ok().filter(|at| at.is_dir())?;
                Some(Folder { place: Place::Disk(at), shown })
            }
        }
    }

    /// Where a service's context is: below this folder, or below the repository whose `manifests/NAME` this folder is.
    pub fn context(&self, path: &str) -> Option<Folder> {
        self.folder(path).or_else(|| self.folder(&format!("../../{path}")))
    }

    pub fn source(&self) -> Option<Source> {
        match &self.place {
            Place::Disk(at) => Some(Source::Folder(at.clone())),
            Place::Embedded(tree, at) => match tree.find(at)? {
                Found::Folder(dir) => Some(Source::Embedded(dir)),
                Found::File(_) => None,
            },
        }
    }

    /// The name under which problems in a file are reported.
    pub fn shown_file(&self, path: &str) -> String {
        normalise(&Path::new(&self.shown).join(path))
    }

    /// The content of a file, or why it cannot be had.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let missing =
            || format!("there is no file `{path}` in {}", if self.shown.is_empty() { "." } else { &self.shown });
        if Path::new(path).is_absolute() {
            return Err(format!("`{path}` must be relative to {}", self.shown));
        }
        match &self.place {
            Place::Embedded(tree, at) => match tree.find(&normalise(&Path::new(at).join(path))) {
                Some(Found::File(bytes)) => Ok(bytes.to_vec()),
                Some(Found::Folder(_)) => Err(format!("`{path}` is a folder; name its files")),
                None => Err(missing()),
            },
            Place::Disk(at) => {
                let file = at.join(path);
                // A pipe or a device could be read for ever.
                match file.metadata() {
                    Ok(data) if data.is_dir() => return Err(format!("`{path}` is a folder; name its files")),
                    Ok(data) if !data.is_file() => return Err(format!("`{path}` is no regular file")),
                    _ => {}
                }
                std::fs::read(&file).map_err(|error| match error.kind() {
                    ErrorKind::NotFound | ErrorKind::NotADirectory => missing(),
                    _ => format!("`{path}` cannot be read: {error}"),
                })
            }
        }
    }

    pub fn has(&self, path: &str) -> bool {
        match &self.place {
            Place::Embedded(tree, at) => {
                matches!(tree.find(&normalise(&Path::new(at).join(path))), Some(Found::File(_)))
            }
            Place::Disk(at) => at.join(path).is_file(),
        }
    }
}

/// Without `.` and, where the parent is known, without `..`.
fn normalise(path: &Path) -> String {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_a_person_would_write_them() {
        let shown = |path: &str| normalise(Path::new(path));
        assert_eq!(shown("./shop/stack.yaml"), "shop/stack.yaml");
        assert_eq!(shown("shop/../components/x"), "components/x");
        assert_eq!(shown("./../components/x"), "../components/x");
        assert_eq!(shown("/a/./b/../c"), "/a/c");
    }

    #[test]
    fn context_is_found_in_both_shapes() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["manifests/shop/own", "services/web", "single"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let shop = Folder::disk(&root.path().join("manifests/shop")).unwrap();
        let ends = |found: Option<Folder>, end: &str| {
            let Some(Source::Folder(path)) = found.and_then(|folder| folder.source()) else { panic!("{end}") };
            assert!(path.ends_with(end), "{path:?}");
        };
        ends(shop.context("own"), "manifests/shop/own");
        ends(shop.context("services/web"), "services/web");
        assert!(shop.context("services/none").is_none());
    }

    #[test]
    fn reading_says_what_is_in_the_way() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("sub")).unwrap();
        std::fs::write(root.path().join("a.yaml"), "a").unwrap();
        let folder = Folder::disk(root.path()).unwrap();
        assert_eq!(folder.read("a.yaml").unwrap(), b"a");
        assert!(folder.read("b.yaml").unwrap_err().starts_with("there is no file `b.yaml` in "));
        assert!(folder.read("a.yaml/b").unwrap_err().starts_with("there is no file"));
        assert_eq!(folder.read("sub").unwrap_err(), "`sub` is a folder; name its files");
        assert!(folder.read("/etc/passwd").unwrap_err().contains("must be relative"));
    }
}
