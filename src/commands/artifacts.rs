//! What a failed run leaves for those who look later: the error, the stack's objects, events and logs.

use std::path::Path;

use crate::{
    error::{Context, Error, Kind, Result},
    kube::discovery::KindRef,
    machine::Machine,
    report,
    stack::model::Stack,
};

/// How much of each container's log is kept.
const TAIL: i64 = 500;

/// Writes `error.txt`, `objects.yaml`, `events.yaml` and `logs/POD.CONTAINER.log`. What cannot be had is named in
/// `missing.txt`; Secrets are left out.
pub async fn write(machine: &Machine, stack: &Stack, folder: &Path, error: &Error) -> Result<()> {
    let what = || format!("cannot write artifacts to {}", folder.display());
    std::fs::create_dir_all(folder.join("logs")).context(Kind::Usage, what)?;
    std::fs::write(folder.join("error.txt"), report::error_text(error)).context(Kind::Usage, what)?;
    let mut missing = Vec::new();
    match collect(machine, stack).await {
        Ok(files) => {
            for (name, content) in files {
                std::fs::write(folder.join(name), content).context(Kind::Usage, what)?;
            }
        }
        Err(error) => missing.push(error.to_string()),
    }
    if !missing.is_empty() {
        std::fs::write(folder.join("missing.txt"), missing.join("\n")).context(Kind::Usage, what)?;
    }
    Ok(())
}

async fn collect(machine: &Machine, stack: &Stack) -> Result<Vec<(String, String)>> {
    let kube = machine.kube().await?;
    let namespace = &stack.namespace;
    let yaml = |objects: &[serde_json::Value]| {
        let documents: std::result::Result<Vec<String>, _> = objects.iter().map(serde_yaml::to_string).collect();
        documents.map(|documents| documents.join("---\n")).context(Kind::Unexpected, || "cannot write YAML".to_owned())
    };
    let list = async |kind| kube.list_all(&KindRef::any_version("", kind), Some(namespace)).await;
    let mut files = vec![("events.yaml".to_owned(), yaml(&list("Event").await?)?)];
    let pods = list("Pod").await?;
    let live = crate::observe::recorded_objects(kube, None).await?.live;
    let mut objects: Vec<_> = live.objects.into_iter().filter(|(key, _)| key.kind != "Secret").collect();
    objects.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut objects: Vec<_> = objects.into_iter().map(|(_, object)| object).collect();
    objects.extend(pods.iter().cloned());
    files.push(("objects.yaml".to_owned(), yaml(&objects)?));
    for (name, log) in kube.tails(&pods, TAIL).await {
        files.push((format!("logs/{name}.log"), log));
    }
    Ok(files)
}
