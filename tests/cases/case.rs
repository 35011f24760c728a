//! A copy of one input folder, the runs of the binary on it, and the removal of all that they made.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, Once, PoisonError},
};

use serde_json::Value;

use crate::place::{Place, Run};

/// The cluster that the cases share, with a stack in it that keeps it there whatever they remove.
pub struct Ground {
    pub place: Place,
    ready: Once,
    keep: bool,
}

const KEEPER: &str = "keeper";

impl Ground {
    pub fn new() -> Ground {
        let home = std::env::var_os("STACKCTL_CASES_HOME").map(PathBuf::from);
        let keep = home.is_some();
        let cluster = std::env::var("STACKCTL_CASES_CLUSTER").unwrap_or_else(|_| "cases".to_owned());
        let place = home.map_or_else(|| Place::new(&cluster), |home| Place::kept(&cluster, home));
        Ground { place, ready: Once::new(), keep }
    }

    /// Brings the cluster up, once; not at all where only the names of the cases are listed.
    pub fn prepare(&self) {
        self.ready.call_once(|| {
            if !self.keep {
                self.place.ok(&["down", "--cluster", "--yes"]);
            }
            let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: keeper }\n";
            let declaration = format!("name: {KEEPER}\nmanifests: [keeper.yaml]\n");
            let stack = self.place.stack(KEEPER, &[("stack.yaml", &declaration), ("keeper.yaml", map)]);
            let run = self.place.ok(&["up", &stack]);
            eprintln!("the cluster is there: {:.1?}", run.took);
        });
    }
}

pub struct Case<'a> {
    pub place: &'a Place,
    folder: tempfile::TempDir,
    /// Stacks, by folder, and objects outside of them, by kubectl's arguments, that are removed at the end.
    stacks: Mutex<Vec<String>>,
    objects: Mutex<Vec<Vec<String>>>,
}

impl<'a> Case<'a> {
    pub fn new(ground: &'a Ground, name: &str) -> Case<'a> {
        let folder = tempfile::Builder::new().prefix("case-").tempdir().expect("a folder for the case");
        let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/inputs").join(name);
        if inputs.is_dir() {
            copy(&inputs, folder.path());
        }
        Case { place: &ground.place, folder, stacks: Mutex::default(), objects: Mutex::default() }
    }

    /// A file or folder of the case's own copy of its input.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// The same as an argument; "" is the folder itself.
    pub fn arg(&self, relative: &str) -> String {
        let path = if relative.is_empty() { self.folder.path().to_owned() } else { self.path(relative) };
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    /// Writes a file of the case's own copy.
    pub fn write(&self, relative: &str, content: &str) {
        let file = self.path(relative);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
        std::fs::write(file, content).expect("a file of the case");
    }

    /// `stackctl VERB FOLDER ARGUMENTS…` with the stack in this folder of the input. Folders `v1`, `v2`, … are the content
    /// of one folder at successive times.
    pub fn run(&self, verb: &str, stack: &str, arguments: &[&str]) -> Run {
        let folder = self.current(stack);
        self.removes_stack(&folder);
        self.place.run(&[&[verb, &folder, "--yes"], arguments].concat())
    }

    /// `stackctl up`, with this exit code.
    pub fn up(&self, stack: &str, arguments: &[&str], code: i32) -> Run {
        let run = self.run("up", stack, arguments);
        assert_eq!(run.code, code, "stackctl up {stack} {}\n{run}", arguments.join(" "));
        run
    }

    /// `stackctl up` without a complaint, and a second one that finds nothing to do.
    pub fn settles(&self, stack: &str) {
        self.up(stack, &[], 0);
        self.up(stack, &[], 0).says(&["nothing to do"]);
    }

    pub fn down(&self, stack: &str, arguments: &[&str], code: i32) -> Run {
        let run = self.run("down", stack, arguments);
        assert_eq!(run.code, code, "stackctl down {stack} {}\n{run}", arguments.join(" "));
        run
    }

    /// Somebody else's objects, from a file of the input; they are deleted when the case ends.
    pub fn kubectl_apply(&self, file: &str, arguments: &[&str]) {
        let path = self.arg(file);
        self.deletes(&["-f", &path]);
        self.place.kubectl(&[&["apply", "-f", &path], arguments].concat());
    }

    /// At the end of the case: `kubectl delete ARGUMENTS…`.
    pub fn deletes(&self, arguments: &[&str]) {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).push(arguments);
    }

    /// The object, or None if there is none.
    pub fn find(&self, arguments: &[&str]) -> Option<Value> {
        let text = self.place.kubectl(&[&["get", "--ignore-not-found", "-o", "json"], arguments].concat());
        (!text.trim().is_empty()).then(|| serde_json::from_str(&text).expect("kubectl prints JSON"))
    }

    fn current(&self, stack: &str) -> String {
        let path = self.path(stack);
        let version = path.file_name().and_then(|name| name.to_str()?.strip_prefix('v')?.parse::<u32>().ok());
        if version.is_none() {
            return self.arg(stack);
        }
        let now = path.with_file_name("now");
        if now.exists() {
            std::fs::remove_dir_all(&now).expect("what was there before goes");
        }
        copy(&path, &now);
        now.to_str().expect("a path in UTF-8").to_owned()
    }

    fn removes_stack(&self, folder: &str) {
        self.stacks.lock().unwrap_or_else(PoisonError::into_inner).push(folder.to_owned());
    }
}

impl Drop for Case<'_> {
    fn drop(&mut self) {
        let stacks = std::mem::take(&mut *self.stacks.lock().unwrap_or_else(PoisonError::into_inner));
        let objects = std::mem::take(&mut *self.objects.lock().unwrap_or_else(PoisonError::into_inner));
        let mut namespaces = BTreeSet::new();
        let mut removed = BTreeSet::new();
        for folder in stacks.iter().rev() {
            let Some(name) = name_of(Path::new(folder)) else { continue };
            if removed.insert(name.clone()) {
                let _ = self.place.command(&["down", folder, "--yes", "--prune-data", "--timeout", "60s"]).output();
                namespaces.insert(name);
            }
        }
        let kubectl = |arguments: &[&str]| {
            let mut command = Command::new("kubectl");
            let _ = command.args(arguments).env("KUBECONFIG", self.place.kubeconfig()).output();
        };
        for arguments in objects.iter().rev() {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            kubectl(&[&["delete", "--ignore-not-found", "--wait=false"], &arguments[..]].concat());
        }
        for namespace in namespaces {
            kubectl(&["delete", "namespace", &namespace, "--ignore-not-found", "--wait=false"]);
        }
    }
}

/// The name that the stack in this folder gives itself.
fn name_of(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("stack.yaml")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("name:")).map(|name| name.trim().to_owned())
}

/// With links as links and modes as they are.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let entry = entry.expect("a readable input");
        let target = to.join(entry.path().strip_prefix(from).expect("below the input"));
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).expect("a folder");
        } else if entry.file_type().is_symlink() {
            let link = std::fs::read_link(entry.path()).expect("a link");
            std::os::unix::fs::symlink(link, target).expect("a link");
        } else {
            std::fs::copy(entry.path(), target).expect("a file");
        }
    }
}
