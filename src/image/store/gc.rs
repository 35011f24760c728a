//! Removing old images of ours: from the local registry and from the engine.

use std::collections::{BTreeSet, HashMap};

use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;

use crate::error::Result;
use crate::image::{Engine, LABEL_CREATED, LABEL_SERVICE, LABEL_STACK, store::registry::Registry};
use crate::object::Removed;

/// How many tags of a service stay.
pub const KEEP: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    pub tag: String,
    /// Of two tags with the same time, the first in the alphabet is older. None: older than all that have one.
    pub created: Option<Timestamp>,
}

/// The tags to remove, oldest first: all but the `keep` newest and those in use.
pub fn expired(mut tags: Vec<Tagged>, in_use: &BTreeSet<String>, keep: usize) -> Vec<String> {
    tags.sort_by(|a, b| (a.created, &a.tag).cmp(&(b.created, &b.tag)));
    tags.truncate(tags.len().saturating_sub(keep));
    tags.into_iter().map(|tagged| tagged.tag).filter(|tag| !in_use.contains(tag)).collect()
}

/// The tags that objects name anywhere: in all containers of pods and of pod templates, of whatever kind, however many
/// replicas they have.
pub fn tags_in<'a>(objects: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::String(text) if text.contains('/') => {
                let tag = tag_of(text.split('@').next().unwrap_or(text));
                found.extend(Some(tag).filter(|tag| !tag.is_empty()).map(str::to_owned));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    objects.into_iter().for_each(|object| collect(object, &mut found));
    found
}

/// Removes old tags of one repository, `STACK/SERVICE`, from the registry. `in_use` holds tags.
pub async fn registry(
    registry: &Registry,
    repository: &str,
    in_use: &BTreeSet<String>,
    keep: usize,
) -> Result<Vec<Removed>> {
    let tags = registry.tags(repository).await?;
    if tags.len() <= keep {
        return Ok(Vec::new());
    }
    let asked: Vec<_> = stream::iter(tags)
        .map(|tag| async move { Ok::<_, crate::error::Error>((registry.facts(repository, &tag).await?, tag)) })
        .buffer_unordered(8)
        .try_collect()
        .await?;
    let found: HashMap<_, _> = asked.into_iter().filter_map(|(facts, tag)| Some((tag, facts?))).collect();
    let tags = found.iter().map(|(tag, facts)| Tagged {
        tag: tag.clone(),
        created: label_time(facts.labels.get(LABEL_CREATED)).or(facts.created),
    });
    let expired = expired(tags.collect(), in_use, keep);
    // A manifest may have several tags: it goes with the last of them.
    let kept: BTreeSet<_> =
        found.iter().filter(|(tag, _)| !expired.contains(tag)).map(|(_, facts)| facts.digest.as_str()).collect();
    let mut removed = Vec::new();
    for tag in expired {
        let digest = found[&tag].digest.as_str();
        if !kept.contains(digest) {
            registry.delete(repository, digest).await?;
            removed.push(Removed { kind: "image".to_owned(), name: format!("{repository}:{tag}") });
        }
    }
    Ok(removed)
}

/// Removes old images of a stack's services from the engine; those that containers use stay.
/// `in_use` holds tags. None for `stack`: of all stacks.
pub async fn engine(
    engine: &Engine,
    stack: Option<&str>,
    in_use: &BTreeSet<String>,
    keep: usize,
) -> Result<Vec<Removed>> {
    let label = stack.map_or(LABEL_STACK.to_owned(), |stack| format!("{LABEL_STACK}={stack}"));
    let filters = HashMap::from([("label", vec![label, LABEL_SERVICE.to_owned()])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let images = engine.docker.list_images(Some(options)).await;
    let images = images.map_err(|error| engine.failed("listing images", &error))?;
    let mut services: HashMap<(String, String), Vec<_>> = HashMap::new();
    for image in images {
        let label = |name: &str| image.labels.get(name).cloned().unwrap_or_default();
        services.entry((label(LABEL_STACK), label(LABEL_SERVICE))).or_default().push(image);
    }
    let mut removed = Vec::new();
    for images in services.into_values() {
        // By image, as one may have several names; in use if one of its tags is.
        let used = images.iter().filter(|image| image.repo_tags.iter().any(|name| in_use.contains(tag_of(name))));
        let used: BTreeSet<_> = used.map(|image| image.id.clone()).collect();
        let tags = images.iter().map(|image| Tagged {
            tag: image.id.clone(),
            created: label_time(image.labels.get(LABEL_CREATED)).or(Timestamp::from_second(image.created).ok()),
        });
        for id in expired(tags.collect(), &used, keep) {
            let tags = images.iter().find(|image| image.id == id).map(|image| image.repo_tags.clone());
            let names = removable(tags.unwrap_or_default(), &id);
            for name in names {
                let options = RemoveImageOptionsBuilder::default().force(false).noprune(false).build();
                match engine.docker.remove_image(&name, Some(options), None).await {
                    Ok(_) => removed.push(Removed { kind: "image".to_owned(), name }),
                    // In use by a container (409), or gone meanwhile (404).
                    Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
                    Err(error) => return Err(engine.failed(&format!("removing image {name}"), &error)),
                }
            }
        }
    }
    Ok(removed)
}

/// By what an image is removed: its names, or its id where it has none. Older engines list `<none>:<none>` for that.
fn removable(mut names: Vec<String>, id: &str) -> Vec<String> {
    names.retain(|name| !name.starts_with("<none>"));
    if names.is_empty() { vec![id.to_owned()] } else { names }
}

fn tag_of(name: &str) -> &str {
    name.rsplit_once(':').map_or("", |(_, tag)| tag)
}

fn label_time(seconds: Option<&String>) -> Option<Timestamp> {
    Timestamp::from_second(seconds?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tagged(tag: &str, second: i64) -> Tagged {
        Tagged { tag: tag.into(), created: (second >= 0).then(|| Timestamp::from_second(second).unwrap()) }
    }

    #[test]
    fn every_container_of_every_template_counts() {
        let image = |tag: &str| format!("registry.stackctl.internal/shop/worker:{tag}");
        let pod = |first: &str, second: &str| {
            serde_json::json!({"spec": {
                "initContainers": [{"image": image(first)}],
                "containers": [{"image": format!("{}@sha256:00", image(second))}],
            }})
        };
        let objects = [
            serde_json::json!({"kind": "Deployment", "spec": {"replicas": 0, "template": pod("a", "b")}}),
            serde_json::json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": pod("c", "d")}}}}),
            serde_json::json!({"kind": "Rollout", "spec": {"template": pod("e", "f")}}),
            pod("g", "h"),
        ];
        let found = tags_in(&objects);
        for tag in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            assert!(found.contains(tag), "{tag}: {found:?}");
        }
    }

    #[test]
    fn an_image_without_a_name_goes_by_its_id() {
        assert_eq!(removable(vec!["<none>:<none>".into()], "sha256:1"), ["sha256:1"]);
        assert_eq!(removable(vec![], "sha256:1"), ["sha256:1"]);
        assert_eq!(removable(vec!["a:1".into(), "b:1".into()], "sha256:1"), ["a:1", "b:1"]);
    }

    #[test]
    fn the_newest_and_the_running_stay() {
        let tags =
            vec![tagged("c", 30), tagged("a", 10), tagged("e", 50), tagged("b", 20), tagged("d", 40), tagged("z", -1)];
        let in_use = BTreeSet::from(["a".to_owned()]);
        assert_eq!(expired(tags.clone(), &in_use, 3), ["z", "b"]);
        assert_eq!(expired(tags.clone(), &in_use, 0), ["z", "b", "c", "d", "e"]);
        assert!(expired(tags, &in_use, 9).is_empty());
    }

    proptest! {
        #[test]
        fn never_more_than_asked(times in prop::collection::vec(-1i64..5, 0..8), used in prop::collection::btree_set(0usize..8, 0..4), keep in 0usize..5) {
            let tags: Vec<_> = times.iter().enumerate().map(|(index, time)| tagged(&index.to_string(), *time)).collect();
            let in_use: BTreeSet<_> = used.iter().map(usize::to_string).collect();
            let gone = expired(tags.clone(), &in_use, keep);
            prop_assert!(gone.iter().all(|tag| !in_use.contains(tag)));
            prop_assert!(tags.len() - gone.len() >= keep.min(tags.len()));
            // What goes is never newer than what stays without being in use.
            let time = |tag: &str| tags.iter().find(|tagged| tagged.tag == tag).unwrap().created;
            let stays = tags.iter().filter(|tagged| !gone.contains(&tagged.tag) && !in_use.contains(&tagged.tag));
            for kept in stays {
                prop_assert!(gone.iter().all(|tag| time(tag) <= kept.created));
            }
            prop_assert_eq!(expired(tags.clone(), &in_use, keep), gone);
        }
    }
}
