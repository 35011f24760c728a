//! Removing a whole set, in the reverse of the order in which it was applied.

use std::time::Duration;

use ::kube::api::DeleteParams;
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Kube,
    discovery::KindRef,
    failure::{self, Subject},
    json,
    prune::{is_data, may_delete},
};
use crate::{
    error::{Error, Result},
    event::Progress,
    stack::model::Key,
};

#[derive(Debug, Clone, Copy, Default)]
pub struct DeleteOptions {
    /// Also PersistentVolumeClaims.
    pub data: bool,
    /// Dependents go before their owner, so that "gone" includes the pods.
    pub foreground: bool,
}

/// What a removal did.
#[derive(Debug, Clone, Default)]
pub struct Deleted {
    pub removed: Vec<Key>,
    /// Data, and namespaces that were there before us.
    pub kept: Vec<Key>,
}

impl Kube {
    /// Deletes the objects seen, wave by wave in the order given (the reverse of applying), and waits until each wave is
    /// gone. An object that was replaced in the meantime is left alone. All of a wave is tried before an error is returned.
    pub async fn delete_waves(
        &self,
        waves: &[Vec<Value>],
        options: DeleteOptions,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Deleted> {
        let mut deleted = Deleted::default();
        for wave in waves {
            let (go, stay): (Vec<_>, Vec<_>) =
                wave.iter().partition(|object| may_delete(object) && (options.data || !is_data(&json::key(object))));
            deleted.kept.extend(stay.into_iter().map(json::key));
            if go.is_empty() {
                continue;
            }
            let names: Vec<_> = go.iter().map(|object| json::key(object).to_string()).collect();
            progress.say(format!("deleting {}", names.join(", ")));
            let results =
                stream::iter(go).map(|object| self.delete_one(object, options, deadline)).buffer_unordered(32);
            let mut errors: Vec<Error> = Vec::new();
            for result in results.collect::<Vec<_>>().await {
                match result {
                    Ok(key) => deleted.removed.push(key),
                    Err(error) => errors.push(error),
                }
            }
            if let Some(first) = merged(errors) {
                return Err(first);
            }
        }
        Ok(deleted)
    }

    async fn delete_one(&self, object: &Value, options: DeleteOptions, deadline: Instant) -> Result<Key> {
        let key = json::key(object);
        let Some(at) = self.resolve_opt(&KindRef::of_value(object)).await? else { return Ok(key) };
        let params = if options.foreground { DeleteParams::foreground() } else { DeleteParams::background() };
        let failed = |error: ::kube::Error| {
            failure::refused("delete", &Subject { key: &key, origin: None }, &self.server, &error)
        };
        self.delete_seen(&at, object, params).await.map_err(failed)?;
        self.until_gone(&at, object, deadline.max(Instant::now() + Duration::from_millis(1))).await?;
        Ok(key)
    }
}

/// The first error, and a line for each of the others.
fn merged(errors: Vec<Error>) -> Option<Error> {
    let mut errors = errors.into_iter();
    let first = errors.next()?;
    Some(errors.fold(first, |first, other| first.detail(other.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn several_failures_are_told_together() {
        let errors = ["a", "b", "c"].map(|text| Error::new(Kind::NotReady, text));
        let error = merged(errors.into()).unwrap();
        assert_eq!((error.message.as_str(), error.details), ("a", vec!["b".to_owned(), "c".to_owned()]));
        assert!(merged(Vec::new()).is_none());
    }
}
