//! The unmodified binary without engine and cluster: what it says, on which stream, with which exit code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells what it measured"
)]

mod documents;
mod input;
mod load_output;
mod loadgen;
mod login;
mod output;
mod platform;
mod proxies;
#[path = "../schema/mod.rs"]
mod schema;
mod surface;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A home of its own with nothing in it, and no engine to be found.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Home {
        Home { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, file: &str, content: &str) -> PathBuf {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stackctl"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/nowhere")
            .env("DOCKER_HOST", format!("unix://{}/no.sock", self.path().display()))
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Exit code, stdout and stderr in one text, with this home's path and times taken out.
    pub fn run(&self, arguments: &[&str]) -> String {
        let shown = self.show(&mut self.command(arguments));
        let (_, rest) = shown.split_once("--- stdout\n").unwrap();
        let (stdout, stderr) = rest.split_once("--- stderr\n").unwrap();
        schema::check(arguments, stdout, stderr);
        shown
    }

    pub fn show(&self, command: &mut Command) -> String {
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(self.path().to_str().unwrap(), "HOME");
        let code = output.status.code().map_or("killed".to_owned(), |code| code.to_string());
        format!("exit {code}\n--- stdout\n{}--- stderr\n{}", text(&output.stdout), text(&output.stderr))
    }

    /// Every file below, with its length and time of change: equal before and after, nothing was touched.
    pub fn files(&self) -> Vec<String> {
        let mut found: Vec<String> = walkdir::WalkDir::new(self.path())
            .into_iter()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let metadata = entry.metadata().unwrap();
                format!("{} {} {:?}", entry.path().display(), metadata.len(), metadata.modified().unwrap())
            })
            .collect();
        found.sort();
        found
    }
}
