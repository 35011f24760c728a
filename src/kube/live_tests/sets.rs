//! Whose an object is, against a real server: what two runs do to each other.

use super::*;
use crate::kube::{CREATED_LABEL, discovery::core};

fn parent(place: &Place, name: &str, users: &[&str]) -> Parent {
    Parent {
        name: name.to_owned(),
        id: place.id.clone(),
        namespaces: [place.namespace.clone()].into(),
        users: users.iter().map(|user| (*user).to_owned()).collect(),
        ..Parent::default()
    }
}

#[tokio::test]
async fn cluster_users_of_a_component_are_counted_right_whoever_comes_and_goes() {
    let Some(place) = place("users").await else { return };
    let name = "test-users";
    place.kube.delete_parent(name).await.unwrap();
    // The first eight at the same time: there is no record yet.
    let names: Vec<String> = (0..8).map(|number| format!("user-{number}")).collect();
    let parents: Vec<_> = names.iter().map(|user| parent(&place, name, &[user.as_str()])).collect();
    stream::iter(&parents)
        .map(|parent| place.kube.write_parent(parent, Write::Widen))
        .buffer_unordered(8)
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
    assert_eq!(place.kube.read_parents().await.unwrap()[name].users.len(), 8);
    assert!(!place.kube.delete_unused_parent(name).await.unwrap());
    let left: Vec<_> = stream::iter(&names)
        .map(|user| place.kube.remove_user(name, user))
        .buffer_unordered(8)
        .try_collect()
        .await
        .unwrap();
    let last = left.iter().flatten().filter(|users| users.is_empty()).count();
    assert_eq!(last, 1, "{left:?}");

    // What was written to since it was seen is not deleted; what was deleted since is not made anew.
    let at = core("ConfigMap");
    let get = async || place.kube.get_opt(&at, Some(super::super::SYSTEM_NAMESPACE), name).await.unwrap();
    let seen = get().await.unwrap();
    place.kube.write_parent(&parent(&place, name, &["late"]), Write::Widen).await.unwrap();
    assert!(!place.kube.delete_version(&at, &seen, ::kube::api::DeleteParams::background()).await.unwrap());
    let seen = get().await.unwrap();
    assert!(place.kube.delete_parent(name).await.unwrap());
    let mut body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    for field in ["uid", "resourceVersion"] {
        body["metadata"][field] = seen["metadata"][field].clone();
    }
    let params = ::kube::api::PatchParams::apply(super::super::MANAGER).force();
    let late = place.kube.patch(&at, Some(super::super::SYSTEM_NAMESPACE), name, &params, &body).await;
    let Err(::kube::Error::Api(status)) = late else { panic!("{late:?}") };
    assert!(status.is_conflict(), "{status:?}");
    place.remove().await;
}

#[tokio::test]
async fn cluster_what_another_set_has_is_found_and_a_namespace_handed_over() {
    let Some(place) = place("owners").await else { return };
    let object = place.object(config("theirs", "x"));
    place.apply(config("theirs", "x")).await;
    let wanted = [object.key()].into();
    assert!(place.kube.of_others(&[&place.id], &wanted).await.unwrap().objects.is_empty());
    let found = place.kube.of_others(&["applyset-of-nobody-v1"], &wanted).await.unwrap();
    assert!(found.objects.contains_key(&object.key()));

    let labels = |id: &str| BTreeMap::from([(PART_OF.to_owned(), id.to_owned())]);
    let (there, created) = place.kube.namespace(&place.namespace, &labels("a"), None).await.unwrap();
    assert!(!created && json::label(&there, CREATED_LABEL).is_some());
    assert!(place.kube.hand_over(&there, &labels(&place.id)).await.unwrap());
    assert!(!place.kube.hand_over(&there, &labels("b")).await.unwrap(), "it is another's by now");
    let kind = KindRef::any_version("", "Namespace");
    let live = place.kube.live(&[&place.id], &[kind], &[]).await.unwrap();
    assert!(live.objects.keys().any(|key| key.name == place.namespace));
    place.remove().await;
}

#[tokio::test]
async fn cluster_replacing_spares_claims_and_what_is_not_of_the_set() {
    let Some(place) = place("spared").await else { return };
    let claim = |class: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Mi"}}}})
    };
    let made = place.apply(claim("none-such")).await;
    let replace = ApplyOptions { replace: true, ..Default::default() };
    let error = place.refused(claim("nor-this"), &replace).await;
    assert!(error.hints[0].contains("--prune-data"), "{error:?}");
    let key = json::key(&made.object);
    let there = place.kube.get(&key).await.unwrap().unwrap();
    assert_eq!(json::uid(&there), json::uid(&made.object));
    let held = place.kube.contents(&place.namespace, &|_| true).await.unwrap();
    assert_eq!((held.empty, held.holding.objects), (false, vec![key.clone()]));

    let mut other = place.object(claim("nor-this"));
    other.value["metadata"]["labels"][PART_OF] = json!("applyset-of-another-v1");
    let both = ApplyOptions { replace: true, prune_data: true, ..Default::default() };
    let error = place.kube.apply(&other, None, &both).await.map(|_| ()).unwrap_err();
    assert!(error.message.contains("belongs to another ApplySet"), "{error:?}");
    let done = place.kube.apply(&place.object(claim("nor-this")), None, &both).await.unwrap();
    assert_eq!(done.outcome, ApplyOutcome::Replaced);
    place.remove().await;
}
