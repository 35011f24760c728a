//! The documents of the last runs, kept for comparisons.

use std::path::{Path, PathBuf};

use super::document::LoadDocument;
use crate::{
    error::{Context, Error, Kind, Result},
    state::Folder,
};

/// So many runs are kept of a cluster.
pub const KEPT: usize = 20;
const FOLDER: &str = "loads";

/// Writes a run beside the others and forgets the oldest; returns its file.
pub fn keep(folder: &Folder, document: &LoadDocument) -> Result<PathBuf> {
    let plain = |text: &str| text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>();
    let what = [document.stack.as_deref(), document.profile.as_deref()];
    let what: Vec<String> = what.into_iter().flatten().map(plain).collect();
    // The time first, so that names sort by it.
    let name = format!("{FOLDER}/{}-{}.json", plain(&document.started), what.join("-"));
    let json =
        serde_json::to_vec(document).context(Kind::Unexpected, || "a load run could not be written".to_owned())?;
    folder.write(&name, &json)?;
    let runs = list(folder);
    for old in runs.iter().take(runs.len().saturating_sub(KEPT)) {
        std::fs::remove_file(old).context(Kind::Unexpected, || format!("cannot remove {}", old.display()))?;
    }
    Ok(folder.file(&name))
}

/// The files of the runs that are kept, the oldest first.
pub fn list(folder: &Folder) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.file(FOLDER)).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    files
}

/// A run as `keep` or the user (`--output json`) has written it.
pub fn read(file: &Path) -> Result<LoadDocument> {
    let wrong = || Error::new(Kind::Usage, format!("{} holds no load run", file.display()));
    let text = std::fs::read(file).map_err(|error| wrong().caused_by(&error))?;
    let document: LoadDocument = serde_json::from_slice(&text)
        .map_err(|error| wrong().caused_by(&error).hint("name a file written by loadgen --output json"))?;
    if document.version != super::document::VERSION {
        let version = document.version;
        return Err(wrong().cause(format!("it is of version {version}, this is version {}", super::document::VERSION)));
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        load::document::{Parameters, Totals, VERSION, Workers},
        state::State,
    };

    fn document(started: &str) -> LoadDocument {
        LoadDocument {
            version: VERSION,
            stack: Some("hello".into()),
            profile: Some("de/fault".into()),
            cluster: None,
            started: started.into(),
            parameters: Parameters {
                url: "http://hello-service:8400".into(),
                paths: vec!["/".into()],
                method: "GET".into(),
                connections: 1,
                arrivals: "closed".into(),
                rate: None,
                duration_s: Some(1.0),
                requests: None,
                warmup_s: 0.0,
                timeout_s: 1.0,
                from: "cluster".into(),
            },
            images: Default::default(),
            totals: Totals::default(),
            paths: Vec::new(),
            seconds: Vec::new(),
            distribution: Vec::new(),
            histogram: String::new(),
            cluster_samples: Vec::new(),
            workers: Workers::default(),
            verdict: None,
        }
    }

    #[test]
    fn the_last_runs_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let folder = State::at(home.path().join("stackctl")).cluster("one");
        assert!(list(&folder).is_empty());
        for second in 0..KEPT + 3 {
            keep(&folder, &document(&format!("2026-11-21T06:00:{second:02}Z"))).unwrap();
        }
        let runs = list(&folder);
        assert_eq!(runs.len(), KEPT);
        assert!(runs[0].ends_with("2026-11-21T06-00-03Z-hello-de-fault.json"), "{runs:?}");
        assert_eq!(read(runs.last().unwrap()).unwrap().started, "2026-11-21T06:00:22Z");
    }

    #[test]
    fn what_is_no_run_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("x.json");
        assert!(read(&file).unwrap_err().message.contains("x.json"));
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(read(&file).unwrap_err().kind, Kind::Usage);
        let mut other = document("2026");
        other.version = 99;
        std::fs::write(&file, serde_json::to_string(&other).unwrap()).unwrap();
        assert!(read(&file).unwrap_err().causes[0].contains("99"));
    }
}
