use super::*;
use crate::stack::testing::{DEPLOYMENT, Repository, shop};

const STACK: &str = "name: shop\nservices: {web: {context: web}}\nmanifests: [web.yaml]\n";

fn repository(more: &str) -> Repository {
    let docs = format!("{DEPLOYMENT}---\n{more}");
    shop(STACK, &[("web.yaml", &docs), ("web/Dockerfile", "FROM scratch\n")])
}

fn made(repository: &Repository) -> Vec<DesiredObject> {
    let images = BTreeMap::from([("web".to_owned(), "registry/web:1@sha256:0".to_owned())]);
    desired(&repository.stack(), &images).remove(0).objects
}

fn find<'a>(objects: &'a [DesiredObject], name: &str) -> &'a DesiredObject {
    objects.iter().find(|object| object.object.key().to_string() == name).unwrap()
}

#[test]
fn images_labels_and_the_namespace() {
    let objects = made(&repository(
        "{apiVersion: v1, kind: Service, metadata: {name: web, labels: {app.kubernetes.io/name: own}}}",
    ));
    let names: Vec<String> = objects.iter().map(|object| object.object.key().to_string()).collect();
    assert_eq!(names, ["Namespace/shop", "Service/web", "Deployment/web"]);
    assert_eq!(objects.iter().map(|object| object.wave).collect::<Vec<_>>(), [0, 3, 4]);
    let web = find(&objects, "Deployment/web");
    assert_eq!(
        web.object.value.pointer("/spec/template/spec/containers/0/image"),
        Some(&json!("registry/web:1@sha256:0"))
    );
    assert_eq!(web.services, BTreeSet::from(["web".to_owned()]));
    let id = applyset_id(SetKind::Stack, "shop");
    assert_eq!(
        web.object.value["metadata"]["labels"],
        json!({"app.kubernetes.io/name": "web", "app.kubernetes.io/managed-by": "stackctl", "app.kubernetes.io/part-of": "shop",
            "applyset.kubernetes.io/part-of": id})
    );
    assert_eq!(objects[1].object.value["metadata"]["labels"]["app.kubernetes.io/name"], "own");
    assert_eq!(objects[0].object.value["metadata"]["labels"]["applyset.kubernetes.io/part-of"], json!(id));
    // No autoscaler and no configuration: nothing else is touched.
    assert_eq!(web.object.value["spec"]["replicas"], 2);
    assert_eq!(web.initial_replicas, None);
    assert!(web.object.value.pointer("/spec/template/metadata").is_none());
}

#[test]
fn labels_of_the_files_stay() {
    let labels = "{app.kubernetes.io/name: store, app.kubernetes.io/part-of: storefront, \
                  app.kubernetes.io/managed-by: team-scripts, applyset.kubernetes.io/part-of: another}";
    let objects = made(&repository(&format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: settings, labels: {labels}}}}}"
    )));
    assert_eq!(
        find(&objects, "ConfigMap/settings").object.value["metadata"]["labels"],
        json!({"app.kubernetes.io/name": "store", "app.kubernetes.io/part-of": "storefront",
            "app.kubernetes.io/managed-by": "team-scripts",
            "applyset.kubernetes.io/part-of": applyset_id(SetKind::Stack, "shop")})
    );
}

#[test]
fn a_declared_or_shared_namespace_is_not_made() {
    let declared = made(&repository("{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}"));
    let namespaces: Vec<_> = declared.iter().filter(|object| object.wave == 0).collect();
    assert_eq!(namespaces.len(), 1);
    assert_eq!(namespaces[0].object.value["metadata"]["labels"]["team"], "a");
    let mut shared = repository("");
    shared.request.namespace = Some("default".into());
    assert!(made(&shared).iter().all(|object| object.wave > 0));
}

#[test]
fn an_autoscaler_takes_the_replicas() {
    let autoscaler = |name: &str| {
        format!(
            "{{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {{name: any}}, spec: {{scaleTargetRef: \
             {{apiVersion: apps/v1, kind: Deployment, name: {name}}}, maxReplicas: 3}}}}"
        )
    };
    let objects = made(&repository(&autoscaler("web")));
    let web = find(&objects, "Deployment/web");
    assert_eq!(web.initial_replicas, Some(2));
    assert!(web.object.value["spec"].get("replicas").is_none());
    let objects = made(&repository(&autoscaler("other")));
    assert_eq!(find(&objects, "Deployment/web").initial_replicas, None);
}

fn hash(config: &str) -> Option<String> {
    let pod = "apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  template:
    spec:
      containers: [{name: db, image: x, envFrom: [{configMapRef: {name: used}}]}]
      volumes: [{name: s, secret: {secretName: generated}}]
---
";
    let objects = made(&repository(&format!("{pod}{config}")));
    let template =
        find(&objects, "StatefulSet/db").object.value.pointer("/spec/template/metadata/annotations").cloned();
    template.map(|annotations| annotations[CONFIG_HASH].as_str().unwrap().to_owned())
}

#[test]
fn the_config_hash_follows_just_what_the_pods_see() {
    assert_eq!(hash(""), None);
    let one = hash("{apiVersion: v1, kind: ConfigMap, metadata: {name: used}, data: {a: x, b: v}}").unwrap();
    assert_eq!(one.len(), 16);
    let same = "{apiVersion: v1, kind: ConfigMap, metadata: {name: used, labels: {l: m}}, data: {b: v, a: x}}\n---\n\
                {apiVersion: v1, kind: ConfigMap, metadata: {name: other}, data: {a: z}}";
    assert_eq!(hash(same), Some(one.clone()));
    let elsewhere = "{apiVersion: v1, kind: ConfigMap, metadata: {name: used, namespace: far}, data: {a: x, b: v}}";
    assert_eq!(hash(elsewhere), None);
    assert_ne!(hash("{apiVersion: v1, kind: ConfigMap, metadata: {name: used}, data: {a: x, b: z}}"), Some(one));
}

#[test]
fn a_job_gets_no_hash_for_its_template_is_immutable() {
    let job = "{apiVersion: batch/v1, kind: Job, metadata: {name: once}, spec: {template: {spec: {containers: [{name: a, image: web, \
               envFrom: [{configMapRef: {name: used}}]}]}}}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: used}}";
    let objects = made(&repository(job));
    let job = find(&objects, "Job/once");
    assert!(job.object.value.pointer("/spec/template/metadata").is_none());
    assert_eq!(job.services.len(), 1);
}

#[test]
fn ids_are_those_of_kubectl() {
    // From kubectl's own tests: Secret my-set in namespace test.
    assert_eq!(id_of_parent("my-set", "test", "Secret", ""), "applyset-0eFHV8ySqp7XoShsGvyWFQD3s96yqwHmzc4e0HR1dsY-v1");
    assert_eq!(parent_name(SetKind::Component, "metrics-server"), "component-metrics-server");
    assert_ne!(applyset_id(SetKind::Component, "a"), applyset_id(SetKind::Stack, "a"));
}

#[test]
fn waves_go_from_what_is_needed_to_what_needs() {
    let kinds = [
        ("Namespace", ""),
        ("CustomResourceDefinition", "apiextensions.k8s.io"),
        ("ClusterRole", "rbac.authorization.k8s.io"),
        ("Secret", ""),
        ("DaemonSet", "apps"),
        ("HorizontalPodAutoscaler", "autoscaling"),
        ("APIService", "apiregistration.k8s.io"),
    ];
    assert_eq!(kinds.map(|(kind, group)| wave(kind, group)), [0, 1, 2, 3, 4, 5, 6]);
    let same = [("ServiceAccount", ""), ("StorageClass", "storage.k8s.io"), ("PriorityClass", "scheduling.k8s.io")];
    assert_eq!(same.map(|(kind, group)| wave(kind, group)), [2, 2, 2]);
    assert_eq!(wave("NetworkPolicy", "networking.k8s.io"), 3);
    assert_eq!(wave("Ingress", "networking.k8s.io"), 5);
    assert_eq!(wave("Certificate", "cert-manager.io"), 5);
    assert_eq!(wave("ValidatingWebhookConfiguration", "admissionregistration.k8s.io"), 6);
}

#[test]
fn a_stack_comes_and_goes_with_its_instances_of_components_only() {
    assert!(are_of_one_stack("stack-shop", "component-shop.metrics"));
    assert!(are_of_one_stack("component-shop.metrics", "component-shop.traces"));
    assert!(are_of_one_stack("component-metrics", "component-metrics"));
    for other in ["stack-shopping", "component-shop", "component-shopping.metrics"] {
        assert!(!are_of_one_stack("stack-shop", other), "{other}");
    }
}

#[test]
fn an_image_that_was_built_anew_is_pinned_anew() {
    let pod = |image: &str| serde_json::json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": image}]}});
    let pins = [("r/web:1".to_owned(), "r/web:1@sha256:new".to_owned())].into();
    for (image, pinned) in [
        ("r/web:1", "r/web:1@sha256:new"),
        ("r/web:1@sha256:old", "r/web:1@sha256:new"),
        ("r/web:2@sha256:old", "r/web:2@sha256:old"),
    ] {
        let mut object = pod(image);
        pin_images(&mut object, &pins);
        assert_eq!(object, pod(pinned));
    }
}

#[test]
fn the_hash_of_an_image_is_written_where_a_value_says() {
    let text = "name: shop
services: {web: {context: .}}
manifests: [all.yaml]
values:
  tag:
    setFrom: image.hash
    service: web
    sets: ['Deployment/web spec.template.spec.containers[0].env[name=EMPTY].value', ConfigMap/about data.tag]
";
    let about = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: about}\ndata: {tag: unknown}\n";
    let reads = crate::stack::testing::DEPLOYMENT
        .replace("env: [", "envFrom: [{configMapRef: {name: about}}]\n          env: [");
    let all = format!("{about}---\n{reads}");
    let stack = crate::stack::testing::shop(text, &[("all.yaml", &all), ("Dockerfile", "FROM scratch\n")]).stack();
    let object = |images: &[(&str, &str)], kind: &str| {
        let images = images.iter().map(|(service, image)| ((*service).into(), (*image).into())).collect();
        let set = desired(&stack, &images).remove(0);
        set.objects.into_iter().map(|object| object.object.value).find(|object| object["kind"] == kind).unwrap()
    };
    let variable = |images: &[(&str, &str)]| {
        object(images, "Deployment").pointer("/spec/template/spec/containers/0/env/1").cloned().unwrap()
    };
    assert_eq!(variable(&[]), json!({"name": "EMPTY"}), "what is not known stays as it is written");
    let pinned = [("web", "registry:5000/shop/web:0f3a@sha256:77")];
    assert_eq!(variable(&pinned), json!({"name": "EMPTY", "value": "0f3a"}));
    assert_eq!(object(&pinned, "ConfigMap")["data"]["tag"], "0f3a");
    let rolls = |images: &[(&str, &str)]| {
        object(images, "Deployment").pointer("/spec/template/metadata/annotations/stackctl.io~1config-hash").cloned()
    };
    assert_ne!(rolls(&pinned), rolls(&[("web", "registry:5000/shop/web:ffff")]), "pods that see it roll with it");
    assert_eq!(content_hash("registry:5000/shop/web"), None);
}
