use super::*;
use crate::stack::{located, plain::Scalars};

fn found(text: &str, patch: bool) -> Vec<String> {
    let mut problems = Problems::default();
    let (documents, _) = located::parse("f.yaml", text.as_bytes(), Scalars::Kubectl, &mut problems);
    for document in &documents {
        check(document, patch, "f.yaml", &mut problems);
    }
    problems.lines()
}

fn pod(container: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{ name: a }}\nspec:\n  containers:\n    - {container}\n")
}

#[test]
fn every_wrong_type_at_once_and_each_at_its_place() {
    let text = "apiVersion: apps/v1
kind: Deployment
metadata: { name: runner, annotations: { a: 1 } }
spec:
  replicas: \"2\"
  selector: { matchLabels: { version: 1.10 } }
  template:
    metadata: { labels: [a] }
    spec:
      hostIPC: no
      hostPID: \"true\"
      terminationGracePeriodSeconds: 1.5
      containers:
        - name: main
          image: 7
          ports: { containerPort: 80 }
          args: [--on, on, 0755]
          env: [ { name: COUNTRY, value: no }, { name: PORT, value: 8080 } ]
          livenessProbe: { httpGet: { port: { number: 80 } }, periodSeconds: 3000000000 }
          readinessProbe: { httpGet: { port: http } }
          startupProbe: { httpGet: { port: 80 } }
          resources: { requests: { cpu: 0.5, memory: 64MB }, limits: { cpu: 1, memory: 1Gi } }
      volumes: [ { name: s, configMap: { name: s, defaultMode: 0755 } } ]
";
    assert_eq!(
        found(text, false),
        [
            "f.yaml:3:45: expected text, found the number 1; write \"1\" in quotes (metadata.annotations.a)",
            "f.yaml:5:13: expected an integer of 32 bits, found the string `2`; leave out the quotes (spec.replicas)",
            "f.yaml:6:39: expected text, found the number 1.10; write \"1.10\" in quotes \
             (spec.selector.matchLabels.version)",
            "f.yaml:8:25: expected a map, found a list (spec.template.metadata.labels)",
            "f.yaml:11:16: expected true or false, found the string `true`; leave out the quotes \
             (spec.template.spec.hostPID)",
            "f.yaml:12:38: expected an integer, found the number 1.5 \
             (spec.template.spec.terminationGracePeriodSeconds)",
            "f.yaml:15:18: expected text, found the number 7; write \"7\" in quotes \
             (spec.template.spec.containers[0].image)",
            "f.yaml:16:18: expected a list, found a map; begin each item with `- ` \
             (spec.template.spec.containers[0].ports)",
            "f.yaml:17:24: expected text, found on; write \"on\" in quotes (spec.template.spec.containers[0].args[1])",
            "f.yaml:17:28: expected text, found the number 0755; write \"0755\" in quotes \
             (spec.template.spec.containers[0].args[2])",
            "f.yaml:18:42: expected text, found no; write \"no\" in quotes \
             (spec.template.spec.containers[0].env[0].value)",
            "f.yaml:18:69: expected text, found the number 8080; write \"8080\" in quotes \
             (spec.template.spec.containers[0].env[1].value)",
            "f.yaml:19:45: expected an integer or text, found a map \
             (spec.template.spec.containers[0].livenessProbe.httpGet.port)",
            "f.yaml:19:78: expected an integer of 32 bits, found the number 3000000000 \
             (spec.template.spec.containers[0].livenessProbe.periodSeconds)",
            "f.yaml:22:54: expected a quantity such as 250m, 2 or 64Mi, found the string `64MB` \
             (spec.template.spec.containers[0].resources.requests.memory)",
        ]
    );
}

#[test]
fn unknown_fields_and_what_was_meant() {
    let text = "apiVersion: apps/v1
kind: Deployment
metadata: { name: runner, label: { a: b } }
spec:
  replica: 2
  selector: { matchLabels: { app: runner } }
  template:
    spec:
      replicas: 2
      image: x
      containers:
        - name: main
          limits: { cpu: 1 }
          configMapRef: { name: a }
          wrongs: 1
";
    assert_eq!(
        found(text, false),
        [
            "f.yaml:3:27: unknown field `label`; did you mean `labels`? (metadata)",
            "f.yaml:5:3: unknown field `replica`; did you mean `replicas`? (spec)",
            "f.yaml:9:7: unknown field `replicas`; did you mean `spec.replicas`? (spec.template.spec)",
            "f.yaml:10:7: unknown field `image`; did you mean `containers[].image`? (spec.template.spec)",
            "f.yaml:13:11: unknown field `limits`; did you mean `resources.limits`? \
             (spec.template.spec.containers[0])",
            "f.yaml:14:11: unknown field `configMapRef`; did you mean `envFrom[].configMapRef`? \
             (spec.template.spec.containers[0])",
            "f.yaml:15:11: unknown field `wrongs`; Container has no such field (spec.template.spec.containers[0])",
        ]
    );
}

#[test]
fn nothing_counts_as_absent() {
    let text = "apiVersion: v1
kind: Pod
metadata: { name: a, creationTimestamp: null, labels: }
spec:
  nodeSelector:
  securityContext:
  containers:
    - name: a
      command:
      env: [ { name: A, value: }, { name: B, valueFrom: } ]
      resources: { limits: { cpu: } }
      readinessProbe: { httpGet: { port: } }
";
    assert_eq!(found(text, false), Vec::<String>::new());
}

#[test]
fn secrets_are_base64_and_are_not_repeated() {
    let text = "apiVersion: v1
kind: Secret
metadata: { name: a }
data: { fine: YQ==, folded: \"Y\\nQ==\", plain: hunter2hunter, number: 1234 }
stringData: { a: b, pin: 9876 }
";
    let lines = found(text, false);
    assert_eq!(
        lines,
        [
            "f.yaml:4:46: expected text in base64; plain text of a Secret goes into `stringData` (data.plain)",
            "f.yaml:4:69: expected text; write it in quotes (data.number)",
            "f.yaml:5:26: expected text; write it in quotes (stringData.pin)",
        ]
    );
}

#[test]
fn a_patch_may_be_partial_and_has_directives() {
    let text = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  strategy: { $patch: replace, type: Recreate }
  template:
    spec:
      containers:
        - $patch: replace
        - { name: a, env: [ { name: B, $patch: delete } ], resources: { limits: { cpu: null } } }
";
    assert_eq!(found(text, true), Vec::<String>::new());
    assert_eq!(found(text, false).len(), 3);
    assert_eq!(
        found("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replica: yes}\n", true),
        ["f.yaml:4:8: unknown field `replica`; did you mean `replicas`? (spec)"]
    );
}

#[test]
fn definitions_of_kinds_hold_any_schema() {
    let schema = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: a.b.c }
spec:
  group: b.c
  scope: Namespaced
  names: { kind: A, plural: as }
  versions:
    - name: v1
      served: true
      storage: true
      subresources: { status: {} }
      schema:
        openAPIV3Schema:
          type: object
          x-kubernetes-preserve-unknown-fields: true
          properties:
            spec:
              type: object
              additionalProperties: { type: string, defualt: a }
              properties:
                list: { type: array, items: { type: integer, minimun: 1 }, default: [1, a, { b: c }] }
                any: { additionalProperties: true, enum: [a, 1, yes], maximum: 1.5 }
";
    assert_eq!(
        found(schema, false),
        [
            "f.yaml:20:53: unknown field `defualt`; did you mean `default`? \
             (spec.versions[0].schema.openAPIV3Schema.properties.spec.additionalProperties)",
            "f.yaml:22:62: unknown field `minimun`; did you mean `minimum`? \
             (spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.list.items)",
        ]
    );
}

#[test]
fn what_the_types_are_too_old_or_too_strict_for_passes() {
    let newer = pod("{ name: a, restartPolicyRules: [], env: [ { name: A, valueFrom: { fileKeyRef: { key: a } } } ] }");
    assert_eq!(found(&newer, false), Vec::<String>::new());
    let claims = "apiVersion: apps/v1
kind: StatefulSet
metadata: { name: a }
spec:
  volumeClaimTemplates:
    - { apiVersion: v1, kind: Claim, metadata: { name: data }, spec: { resources: { requests: { storage: 1Gi } } } }
";
    assert_eq!(found(claims, false), Vec::<String>::new());
    let custom = "apiVersion: example.org/v1\nkind: Pod\nmetadata: { name: a }\nspec: { container: 1 }\n";
    assert_eq!(found(custom, false), Vec::<String>::new());
}

#[test]
fn kinds_that_no_server_has() {
    let said = |api_version: &str, kind: &str| {
        found(&format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{ name: a }}\n"), false)
    };
    assert_eq!(
        said("v1", "Deployment"),
        ["f.yaml:1:13: v1 has no Deployment; write `apiVersion: apps/v1` (apiVersion)"]
    );
    assert_eq!(
        said("autoscaling/v3", "HorizontalPodAutoscaler"),
        ["f.yaml:1:13: autoscaling/v3 has no HorizontalPodAutoscaler; write `apiVersion: autoscaling/v2` \
             (apiVersion)"]
    );
    assert_eq!(
        said("app/v1", "Deployment"),
        ["f.yaml:1:13: app/v1 has no Deployment; write `apiVersion: apps/v1` (apiVersion)"]
    );
    assert_eq!(
        said("apps/v1", "Deploymnet"),
        ["f.yaml:2:7: apps/v1 has no Deploymnet; did you mean `Deployment`? (kind)"]
    );
    for (api_version, kind) in [
        ("v1", "Event"),
        ("v1", "ComponentStatus"),
        ("apps/v1", "ControllerRevision"),
        ("storage.k8s.io/v1", "CSINode"),
        ("networking.k8s.io/v1", "IPAddress"),
        ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy"),
        ("events.k8s.io/v1", "Event"),
        ("example.org/v1", "Deployment"),
        ("serving.knative.dev/v1", "Service"),
    ] {
        assert_eq!(said(api_version, kind), Vec::<String>::new(), "{api_version} {kind}");
    }
}
