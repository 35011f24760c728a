//! What a proof has changed for a while, written down before it is changed: a run that was killed leaves it to the next one.

use serde::{Deserialize, Serialize};

use super::super::{Done, run::Run};
use crate::{
    error::Result,
    event::Progress,
    kube::{Kube, ownership::inventory::DISRUPTED},
    object::Key,
    stack::{desired, model::SetKind},
};

/// What is to be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Changed {
    Scaled { kind: String, namespace: String, name: String, from: i64, to: i64 },
    Cordoned { node: String },
}

impl Changed {
    async fn undo(&self, kube: &Kube) -> Result<()> {
        match self {
            Changed::Scaled { from, to, .. } => kube.set_replicas(&self.key(), *from, Some(*to)).await,
            Changed::Cordoned { node } => kube.set_schedulable(node, true).await,
        }
    }

    fn key(&self) -> Key {
        match self {
            Changed::Scaled { kind, namespace, name, .. } => Key {
                group: "apps".to_owned(),
                kind: kind.clone(),
                namespace: Some(namespace.clone()),
                name: name.clone(),
            },
            Changed::Cordoned { node } => {
                Key { group: String::new(), kind: "Node".to_owned(), namespace: None, name: node.clone() }
            }
        }
    }
}

/// The record of one stack.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    pub kube: &'a Kube,
    pub stack: &'a str,
}

impl Record<'_> {
    fn parent(&self) -> String {
        desired::parent_name(SetKind::Stack, self.stack)
    }

    pub async fn write(&self, changed: &Changed) -> Result<()> {
        let text = serde_json::to_string(changed).unwrap_or_default();
        self.kube.note_on_record(&self.parent(), DISRUPTED, Some(&text)).await
    }

    /// Undoes it, and only then takes it off the record.
    pub async fn undo(&self, changed: &Changed) -> Result<()> {
        changed.undo(self.kube).await?;
        self.kube.note_on_record(&self.parent(), DISRUPTED, None).await
    }
}

/// Undoes what an earlier run has left on record.
pub async fn restore(run: &Run<'_>, progress: &Progress) -> Result<Done> {
    let kube = run.kube().await?;
    let record = Record { kube, stack: &run.stack.name };
    let parent = kube.read_parent(&record.parent()).await?;
    let Some(text) = parent.as_ref().and_then(|parent| parent.disrupted.as_deref()) else {
        return Ok(Done::unchanged());
    };
    let Ok(changed) = serde_json::from_str::<Changed>(text) else {
        progress.warn(format!("the record of what a proof has changed cannot be read: {text}"));
        return Ok(Done::unchanged());
    };
    record.undo(&changed).await?;
    Ok(Done::note(format!("{} is as it was before a proof that was stopped", changed.key())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_being_written_and_read() {
        let text = |what: &str| what.to_owned();
        let scaled =
            Changed::Scaled { kind: text("StatefulSet"), namespace: text("n"), name: text("redis"), from: 1, to: 0 };
        assert_eq!(scaled.key().to_string(), "StatefulSet/redis");
        for changed in [scaled, Changed::Cordoned { node: text("worker") }] {
            let text = serde_json::to_string(&changed).unwrap();
            assert_eq!(serde_json::from_str::<Changed>(&text).unwrap(), changed, "{text}");
        }
    }
}
