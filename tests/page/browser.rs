//! A headless Chromium, each time with a profile of its own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

const DEADLINE: Duration = Duration::from_secs(90);
const HEIGHT: u32 = 2200;

pub struct Browser(PathBuf);

impl Browser {
    /// `STACKCTL_CHROMIUM`, or one on the path; None, and a word about it, without one.
    pub fn find() -> Option<Browser> {
        let named = std::env::var_os("STACKCTL_CHROMIUM").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let known = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
        let found = std::env::split_paths(&path).flat_map(|folder| known.map(|name| folder.join(name)));
        let browser = named.into_iter().chain(found).find(|file| file.is_file());
        if browser.is_none() {
            eprintln!("SKIPPED: no Chromium; tests/page/chromium installs it");
        }
        browser.map(Browser)
    }

    /// The document after its scripts ran.
    pub fn dom(&self, page: &Path, width: u32) -> String {
        self.run(page, width, &["--dump-dom".to_owned()])
    }

    pub fn picture(&self, page: &Path, file: &Path, width: u32) {
        self.run(page, width, &[format!("--screenshot={}", file.display())]);
    }

    fn run(&self, page: &Path, width: u32, arguments: &[String]) -> String {
        let profile = tempfile::tempdir().unwrap();
        // Into files: a full pipe would stop the browser, and its children may outlive it.
        let output = profile.path().join("stdout");
        let errors = profile.path().join("stderr");
        let create = |path: &Path| Stdio::from(std::fs::File::create(path).unwrap());
        let mut child = Command::new(&self.0)
            // Its own sandbox cannot be had as root; what it opens is ours.
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .arg(format!("--window-size={width},{HEIGHT}"))
            .args(arguments)
            .arg(format!("file://{}", page.display()))
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(create(&output))
            .stderr(create(&errors))
            .spawn()
            .unwrap();
        let status = super::ended(&mut child, DEADLINE, page);
        let text = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        assert!(status.success(), "{status}: {}", text(&errors));
        text(&output)
    }
}
