//! A plan as text: what it changes, and its graph.

use std::collections::BTreeMap;

use super::record::Record;
use crate::{
    error::words::count,
    event::{Event, PlannedStep},
    object::Key,
    plan::summary::{ClusterChange, Counts, EdgeChange, PlannedLoad, Removal, SetChanges, Summary},
    stack::model::SetKind,
};

/// One line that counts, the names of what is deleted, then what else changes, set by set.
pub fn plan_summary(summary: &Summary) -> String {
    let mut blocks = vec![headline(summary)];
    blocks.extend(summary.bill.as_ref().map(|bill| bill.text().join("\n")));
    blocks.extend(deletions(summary));
    if !summary.build.is_empty() || !summary.tag.is_empty() {
        let mut lines = vec!["images".to_owned()];
        lines.extend(listed("build", &summary.build));
        lines.extend(listed("tag", &summary.tag));
        blocks.push(lines.join("\n"));
    }
    blocks.extend(summary.sets.iter().filter_map(written));
    blocks.join("\n\n")
}

/// `create cluster, build 1 image, create 49 objects, change 2, delete 1 (12 unchanged)`
fn headline(summary: &Summary) -> String {
    let Counts { create, change, adopt, delete, unchanged } = summary.counts;
    let mut parts = Vec::new();
    parts.extend(summary.cluster.map(|change| match change {
        ClusterChange::Create => "create cluster".to_owned(),
        ClusterChange::Start => "start cluster".to_owned(),
        ClusterChange::Configure => "configure nodes".to_owned(),
        ClusterChange::Delete => "delete cluster".to_owned(),
    }));
    let some = |number: usize, verb: &str, noun: &str| (number > 0).then(|| format!("{verb} {}", count(number, noun)));
    parts.extend(some(summary.build.len(), "build", "image"));
    parts.extend(some(summary.tag.len(), "tag", "image"));
    // Only the first number says what is counted.
    let mut objects = Vec::new();
    for (verb, number) in [("create", create), ("change", change), ("adopt", adopt), ("delete", delete)] {
        match number {
            0 => {}
            _ if objects.is_empty() => objects.push(format!("{verb} {}", count(number, "object"))),
            _ => objects.push(format!("{verb} {number}")),
        }
    }
    parts.extend(objects);
    let left = summary.sets.iter().filter(|set| set.removal == Some(Removal::Left)).count();
    parts.extend(some(left, "leave", "component"));
    parts.extend(summary.edge.map(|edge| match edge {
        EdgeChange::Open => "open edge".to_owned(),
        EdgeChange::Close => "close edge".to_owned(),
    }));
    if summary.prove {
        parts.push("run proofs".to_owned());
    }
    if let Some(PlannedLoad { url, workers }) = &summary.load {
        parts
            .push(format!("send load to {url} from {}", count(usize::try_from(*workers).unwrap_or(usize::MAX), "pod")));
    }
    if parts.is_empty() {
        parts.push("nothing to create, change or delete".to_owned());
        parts.extend(some(summary.wait.len(), "wait for", "object"));
    }
    let unchanged = if unchanged > 0 { format!(" ({unchanged} unchanged)") } else { String::new() };
    format!("{}{unchanged}", parts.join(", "))
}

/// Every name: what is gone is gone.
fn deletions(summary: &Summary) -> Option<String> {
    let mut lines = Vec::new();
    for set in &summary.sets {
        match set.removal {
            Some(Removal::Deleted) => lines.push(format!("  {}", title(set))),
            Some(Removal::Left) => lines.push(format!("  {} stays: other stacks use it", title(set))),
            None => {}
        }
        lines.extend(set.delete.iter().map(|key| format!("  - {}", key.place())));
    }
    (!lines.is_empty()).then(|| format!("delete\n{}", lines.join("\n")))
}

/// What is created, changed and adopted of a set: a line for each kind.
fn written(set: &SetChanges) -> Option<String> {
    let mut lines = Vec::new();
    for (verb, keys) in [("create", &set.create), ("change", &set.change), ("adopt", &set.adopt)] {
        let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for key in keys {
            kinds.entry(&key.kind).or_default().push(name_in(set, key));
        }
        lines.extend(kinds.into_iter().map(|(kind, names)| format!("  {verb} {kind} {}", names.join(", "))));
    }
    (!lines.is_empty()).then(|| format!("{}\n{}", title(set), lines.join("\n")))
}

/// The name, and the namespace where not all of the set's objects are in one.
fn name_in(set: &SetChanges, key: &Key) -> String {
    let namespaces =
        || [&set.create, &set.change, &set.adopt].into_iter().flatten().filter_map(|key| key.namespace.as_ref());
    match &key.namespace {
        Some(namespace) if namespaces().any(|other| other != namespace) => format!("{namespace}/{}", key.name),
        _ => key.name.clone(),
    }
}

fn title(set: &SetChanges) -> String {
    match set.kind {
        SetKind::Stack => format!("stack {}", set.name),
        SetKind::Component => format!("component {}", set.name),
    }
}

fn listed(verb: &str, names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("  {verb} {}", names.join(", ")))
}

/// The steps in their order, each indented below the needs it waits for, and below it the objects that it deletes.
pub fn plan_text(steps: &[PlannedStep]) -> String {
    let mut record = Record::default();
    record.add(&Event::Planned { steps: steps.to_vec() });
    let mut depths: Vec<usize> = Vec::with_capacity(record.steps.len());
    let mut lines = Vec::new();
    for (at, step) in record.steps.iter().enumerate() {
        let needs = record.visible_needs(at);
        // The plan is in order, so the depth of a need is known before it is asked for.
        let depth = needs.iter().filter_map(|&need| depths.get(need)).map(|depth| depth + 1).max().unwrap_or(0);
        depths.push(depth);
        if step.hidden {
            continue;
        }
        let after: Vec<&str> = needs.iter().map(|&need| &*record.steps[need].id).collect();
        let after = match after.as_slice() {
            [] => String::new(),
            [first @ .., last] if first.len() > 3 => format!("  (after {last} and {} more)", first.len()),
            all => format!("  (after {})", all.join(", ")),
        };
        let indent = "  ".repeat(depth);
        lines.push(format!("{indent}{}{after}", step.id));
        lines.extend(steps.get(at).into_iter().flat_map(|step| &step.deletes).map(|key| format!("{indent}  - {key}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{super::record::fixture::*, *};
    use crate::plan::summary::Counts;

    fn key(kind: &str, namespace: Option<&str>, name: &str) -> Key {
        Key {
            group: String::new(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    fn set(kind: SetKind, name: &str) -> SetChanges {
        SetChanges {
            kind,
            name: name.into(),
            removal: None,
            create: Vec::new(),
            change: Vec::new(),
            adopt: Vec::new(),
            delete: Vec::new(),
        }
    }

    #[test]
    fn a_summary_counts_then_names() {
        let shop = SetChanges {
            create: vec![
                key("Namespace", None, "shop"),
                key("ConfigMap", Some("shop"), "settings"),
                key("Deployment", Some("shop"), "api"),
                key("Deployment", Some("shop"), "web"),
            ],
            delete: vec![key("ConfigMap", Some("shop"), "old")],
            ..set(SetKind::Stack, "shop")
        };
        let metrics = SetChanges {
            change: vec![key("Deployment", Some("kube-system"), "metrics"), key("Role", Some("shop"), "reader")],
            ..set(SetKind::Component, "metrics")
        };
        let summary = Summary {
            cluster: Some(ClusterChange::Create),
            build: vec!["web".into()],
            sets: vec![metrics, shop],
            counts: Counts { create: 4, change: 2, delete: 1, unchanged: 3, adopt: 0 },
            ..Summary::default()
        };
        insta::assert_snapshot!(plan_summary(&summary), @r"
        create cluster, build 1 image, create 4 objects, change 2, delete 1 (3 unchanged)

        delete
          - shop/ConfigMap/old

        images
          build web

        component metrics
          change Deployment kube-system/metrics
          change Role shop/reader

        stack shop
          create ConfigMap settings
          create Deployment api, web
          create Namespace shop
        ");
    }

    #[test]
    fn the_names_of_what_goes_are_said_even_where_the_cluster_goes() {
        let gone = |kind, name| SetChanges { removal: Some(Removal::Deleted), ..set(kind, name) };
        let left = SetChanges { removal: Some(Removal::Left), ..set(SetKind::Component, "shared") };
        let whole = Summary {
            cluster: Some(ClusterChange::Delete),
            sets: vec![gone(SetKind::Stack, "shop"), gone(SetKind::Component, "metrics")],
            ..Summary::default()
        };
        insta::assert_snapshot!(plan_summary(&whole), @r"
        delete cluster

        delete
          stack shop
          component metrics
        ");
        let one = Summary {
            sets: vec![
                SetChanges { delete: vec![key("Service", Some("shop"), "web")], ..gone(SetKind::Stack, "shop") },
                left,
            ],
            counts: Counts { delete: 1, ..Counts::default() },
            edge: Some(EdgeChange::Close),
            ..Summary::default()
        };
        insta::assert_snapshot!(plan_summary(&one), @r"
        delete 1 object, leave 1 component, close edge

        delete
          stack shop
          - shop/Service/web
          component shared stays: other stacks use it
        ");
    }

    #[test]
    fn a_plan_that_only_waits_says_so() {
        let summary = Summary {
            wait: vec![key("Deployment", Some("shop"), "web")],
            counts: Counts { unchanged: 9, ..Counts::default() },
            ..Summary::default()
        };
        assert_eq!(plan_summary(&summary), "nothing to create, change or delete, wait for 1 object (9 unchanged)");
    }

    #[test]
    fn plans_are_indented_by_need() {
        let Some(Event::Planned { steps }) = hello().into_iter().next() else { panic!("no plan") };
        insta::assert_snapshot!(plan_text(&steps), @r###"
        cluster:kind
        build:hello
          registry  (after cluster:kind)
            push:hello  (after build:hello, registry)
          apply:Namespace/hello  (after cluster:kind)
              apply:Deployment/hello-service  (after push:hello, apply:Namespace/hello)
                await:hello  (after apply:Deployment/hello-service)
        "###);
    }

    #[test]
    fn plans_name_what_they_delete() {
        let Event::Planned { steps } = planned(&[("apply:Service/new", &[]), ("prune:web", &["apply:Service/new"])])
        else {
            panic!("no plan")
        };
        insta::assert_snapshot!(plan_text(&steps), @r###"
        apply:Service/new
          prune:web  (after apply:Service/new)
            - web/Service/old
        "###);
    }
}
