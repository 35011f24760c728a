//! The stacks, components and services that the binary carries, in the shape of the repository they come from.

use include_dir::{Dir, DirEntry, include_dir};

pub static MANIFESTS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/manifests");
pub static SERVICES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/services");

/// A repository's `manifests/` and `services/`.
#[derive(Debug, Clone, Copy)]
pub struct Tree {
    pub manifests: &'static Dir<'static>,
    pub services: &'static Dir<'static>,
}

pub const BUILT_IN: Tree = Tree { manifests: &MANIFESTS, services: &SERVICES };

#[derive(Debug, Clone, Copy)]
pub enum Found {
    Folder(&'static Dir<'static>),
    File(&'static [u8]),
}

impl Tree {
    /// `path` as in the repository, normalised: `manifests/hello/stack.yaml`.
    pub fn find(&self, path: &str) -> Option<Found> {
        let (top, rest) = path.split_once('/').unwrap_or((path, ""));
        let root = match top {
            "manifests" => self.manifests,
            "services" => self.services,
            _ => return None,
        };
        if rest.is_empty() {
            return Some(Found::Folder(root));
        }
        match root.get_entry(rest)? {
            DirEntry::Dir(dir) => Some(Found::Folder(dir)),
            DirEntry::File(file) => Some(Found::File(file.contents())),
        }
    }

    /// Names of the folders of `manifests/` that hold a stack.
    pub fn stacks(&self) -> Vec<String> {
        self.names("manifests", "stack.yaml")
    }

    pub fn components(&self) -> Vec<String> {
        self.names("manifests/components", "component.yaml")
    }

    fn names(&self, under: &str, file: &str) -> Vec<String> {
        let Some(Found::Folder(folder)) = self.find(under) else { return Vec::new() };
        let has = |dir: &&Dir| dir.get_file(dir.path().join(file)).is_some();
        let mut names: Vec<String> =
            folder.dirs().filter(has).filter_map(|dir| Some(dir.path().file_name()?.to_str()?.to_owned())).collect();
        names.sort();
        names
    }
}
