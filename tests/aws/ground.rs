//! The account, the API server, and the binary that runs between them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{account::Account, api::ApiServer};

/// Waits for AWS are so much shorter here: nothing takes minutes.
const PACE: &str = "200";

pub struct Ground {
    pub account: Arc<Account>,
    pub api: Arc<ApiServer>,
    /// One folder for all homes: a stack that comes from another one is another stack.
    stack: tempfile::TempDir,
    images: Images,
}

/// What the tests build, told apart by a label from what others build meanwhile; removed at the end, also of a failure.
struct Images {
    label: String,
}

impl Images {
    fn new() -> Images {
        Images { label: format!("dev.stackctl.tests.aws={}", std::process::id()) }
    }

    fn docker(arguments: &[&str]) -> String {
        let ran = Command::new("docker").args(arguments).output();
        ran.map(|ran| String::from_utf8_lossy(&ran.stdout).into_owned()).unwrap_or_default()
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        let found =
            Images::docker(&["image", "ls", "--quiet", "--no-trunc", "--filter", &format!("label={}", self.label)]);
        for image in found.split_whitespace() {
            Images::docker(&["image", "rm", "--force", image]);
        }
    }
}

/// A machine of its own, with a stack that asks for nothing but an API server.
pub struct Home {
    pub folder: tempfile::TempDir,
    pub stack: PathBuf,
    environment: BTreeMap<String, String>,
}

pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Ground {
    /// `idle`: nothing will be asked of it.
    pub fn start(_idle: bool) -> Result<Ground, String> {
        let account = Arc::new(Account::start()?);
        let api = Arc::new(ApiServer::start(&account)?);
        let stack = tempfile::tempdir().expect("a folder");
        Ok(Ground { account, api, stack, images: Images::new() })
    }

    /// An empty account, whose clusters are served by the API server.
    pub fn fresh(&self, settings: Value) -> Home {
        self.fresh_at(&self.api, settings)
    }

    /// The same, served by another one: what is left in it is of no concern to anybody else.
    pub fn fresh_at(&self, api: &ApiServer, mut settings: Value) -> Home {
        settings["api_endpoint"] = json!(api.endpoint);
        settings["api_ca"] = json!(api.authority);
        self.account.reset(settings);
        self.home()
    }

    /// Another machine, with the same account.
    pub fn home(&self) -> Home {
        let folder = tempfile::tempdir().expect("a home");
        let stack = self.stack.path().join("small");
        std::fs::create_dir_all(&stack).expect("a folder");
        std::fs::write(stack.join("stack.yaml"), "name: small\nmanifests: [map.yaml]\n").expect("a file");
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: small }\ndata: { a: b }\n";
        std::fs::write(stack.join("map.yaml"), map).expect("a file");
        let mut environment = self.account.environment();
        environment.insert("STACKCTL_EKS_PACE".to_owned(), PACE.to_owned());
        Home { folder, stack, environment }
    }

    /// A label for whatever an image is built from.
    pub fn image_label(&self) -> &str {
        &self.images.label
    }

    /// Writes that were not refused.
    pub fn applied(&self) -> usize {
        self.account.calls().iter().filter(|call| call["kind"] == "write" && call["applied"] == true).count()
    }

    /// Calls of the run that were writes, and those that were reads.
    pub fn counted(&self) -> (usize, usize) {
        let calls = self.account.calls();
        let writes = calls.iter().filter(|call| call["kind"] == "write").count();
        (writes, calls.len() - writes)
    }
}

impl Home {
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    pub fn unset(&mut self, name: &str) {
        self.environment.remove(name);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stackctl"));
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("NO_COLOR", "1")
            .env("STACKCTL_PROVIDER", "eks")
            .envs(&self.environment)
            .args(arguments)
            .stdin(Stdio::null())
            .current_dir(&self.stack);
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        let began = Instant::now();
        let output = self.command(arguments).output().expect("stackctl");
        Run::of(&output, began.elapsed())
    }

    pub fn ok(&self, arguments: &[&str]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "{arguments:?}\n{}\n{}", run.stdout, run.stderr);
        run
    }

    pub fn up(&self) -> Run {
        self.ok(&["up", "--yes"])
    }

    pub fn down(&self) -> Run {
        self.ok(&["down", "--yes"])
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("stackctl")
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Run {
    fn of(output: &Output, took: Duration) -> Run {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            took,
        }
    }

    pub fn says(&self, words: &str) -> &Run {
        assert!(
            self.stderr.contains(words) || self.stdout.contains(words),
            "{words:?} in\n{}\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}
