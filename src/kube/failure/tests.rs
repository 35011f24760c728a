use serde_json::{Value, json};

use super::{refused::unknown_fields, *};

fn api(status: Value) -> ::kube::Error {
    ::kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))
}

fn key() -> Key {
    Key { group: "apps".into(), kind: "Deployment".into(), namespace: Some("hello".into()), name: "web".into() }
}

fn refuse(status: Value) -> Error {
    let origin = Origin { file: "hello.yaml".into(), line: 12, column: 1 };
    refused("apply", &Subject { key: &key(), origin: Some(&origin) }, "https://127.0.0.1:6443", &api(status))
}

#[test]
fn a_conflict_names_the_manager_the_field_and_the_place() {
    let error = refuse(json!({
        "status": "Failure", "reason": "Conflict", "code": 409,
        "message": "Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1: .spec.replicas",
        "details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\" using apps/v1", "field": ".spec.replicas"}]}
    }));
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.message.contains("Deployment/web") && error.message.contains("\"kubectl\""), "{error}");
    assert_eq!(error.details, ["declared at hello.yaml:12:1", "spec.replicas is owned by \"kubectl\""]);
    assert!(error.hints[0].contains("--force-conflicts"));
}

#[test]
fn an_immutable_field_is_named_and_replace_is_offered() {
    let told = |cause: Value, differing: &[&str]| {
        let differing: Vec<String> = differing.iter().map(|path| (*path).to_owned()).collect();
        immutable(&Subject { key: &key(), origin: None }, &[serde_json::from_value(cause).unwrap()], &differing)
    };
    let selector = json!({"reason": "FieldValueInvalid", "field": "spec.selector",
        "message": "Invalid value: {\"matchLabels\":{\"app\":\"x\"}}: field is immutable"});
    let error = told(selector, &["spec.selector.matchLabels.app", "spec.replicas"]);
    assert!(error.message.contains("spec.selector") && error.message.contains("immutable"), "{error}");
    assert_eq!(
        error.details,
        ["spec.selector: field is immutable", "what would change: spec.selector.matchLabels.app"]
    );
    assert!(error.hints[0].contains("--replace"));
    let whole = json!({"reason": "FieldValueForbidden", "field": "spec",
        "message": "Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden"});
    let error = told(whole, &["spec.serviceName"]);
    assert!(error.details[1].contains("spec.serviceName"), "{error:?}");
}

#[test]
fn every_cause_of_an_invalid_object_is_listed_with_its_path() {
    let error = refuse(json!({
        "status": "Failure", "reason": "Invalid", "code": 422, "message": "is invalid",
        "details": {"causes": [
            {"reason": "FieldValueRequired", "field": "spec.template.spec.containers[0].image", "message": "Required value"},
            {"reason": "FieldValueInvalid", "field": "spec.replicas", "message": "Invalid value: -1: must be greater than or equal to 0"}]}
    }));
    assert_eq!(
        error.details[1..],
        [
            "spec.template.spec.containers[0].image: Required value",
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
        ]
    );
    assert!(error.hints.is_empty(), "nothing to replace: {error:?}");
}

#[test]
fn unknown_fields_are_found_in_both_wordings() {
    let ssa = "failed to create typed patch object (hello/web; apps/v1, Kind=Deployment): .spec.template.spec.contianers: field not declared in schema";
    assert_eq!(unknown_fields(ssa), Some(vec!["spec.template.spec.contianers".to_owned()]));
    let strict = "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.foo\", unknown field \"spec.bar\"";
    assert_eq!(unknown_fields(strict), Some(vec!["spec.foo".to_owned(), "spec.bar".to_owned()]));
    assert_eq!(unknown_fields("something else"), None);
}

#[test]
fn one_cause_is_the_cause_and_the_object_as_a_whole_has_no_path() {
    let error = refuse(json!({
        "status": "Failure", "reason": "Invalid", "code": 422, "message": "is invalid",
        "details": {"causes": [{"reason": "FieldValueInvalid", "field": "spec.x", "message": "Invalid value: 3: too many"}]}
    }));
    assert_eq!(error.to_string(), "Deployment/web in namespace hello is invalid: spec.x: Invalid value: 3: too many");
    let large = json!({
        "status": "Failure", "reason": "Invalid", "code": 422, "message": "ConfigMap \"big\" is invalid: []: Too long: may not be more than 1048576 bytes",
        "details": {"causes": [{"reason": "FieldValueTooLong", "field": "[]", "message": "Too long: may not be more than 1048576 bytes"}]}
    });
    let error = refuse(large.clone());
    assert!(error.message.contains("is too large; the limit is 1048576 bytes"), "{error}");
    let status = serde_json::from_value(large).unwrap();
    let error = too_large(&Subject { key: &key(), origin: None }, Some(1_300_000), &status);
    assert!(error.message.contains("is too large: 1300000 bytes; the limit is 1048576 bytes"), "{error}");
}

#[test]
fn a_refusal_in_admission_names_who_refused() {
    let forbidden =
        |message: &str| refuse(json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": message}));
    let error = forbidden("pods \"web\" is forbidden: violates PodSecurity \"restricted:latest\": a (x), b (y)");
    assert_eq!(
        error.message,
        "cannot apply Deployment/web in namespace hello: PodSecurity \"restricted:latest\" does not admit it"
    );
    assert_eq!(error.details, ["declared at hello.yaml:12:1", "a (x)", "b (y)"]);
    assert!(!error.hints[0].contains("can-i"), "{error:?}");
    let error = forbidden("pods \"web\" is forbidden: maximum cpu usage per Container is 1, but limit is 4");
    assert!(error.message.contains("LimitRange") && error.hints[0].contains("-n hello"), "{error:?}");
    assert_eq!(error.causes, ["maximum cpu usage per Container is 1, but limit is 4"]);
    // A policy may refuse with any code, and a webhook as well.
    let policy =
        "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'few' with binding 'here' denied request: no";
    let error = refuse(json!({"status": "Failure", "reason": "Invalid", "code": 422, "message": policy,
        "details": {"causes": [{"message": policy}]}}));
    assert!(error.message.contains("ValidatingAdmissionPolicy \"few\""), "{error:?}");
    let error = refuse(
        json!({"status": "Failure", "code": 400, "message": "admission webhook \"a.b\" denied the request: no"}),
    );
    assert!(error.message.contains("admission webhook \"a.b\"") && error.causes == ["no"], "{error:?}");
}

#[test]
fn types_are_told_without_the_servers_own_structures() {
    let typed = "failed to create typed patch object (hello/web; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string";
    let error = refuse(json!({"status": "Failure", "code": 500, "message": typed}));
    assert_eq!(
        error.to_string(),
        "Deployment/web in namespace hello is invalid: spec.replicas: must be a number, but is a string"
    );
}

#[test]
fn forbidden_keeps_the_verb_and_the_resource() {
    let message = "deployments.apps \"web\" is forbidden: User \"eve\" cannot patch resource \"deployments\" in API group \"apps\" in the namespace \"hello\"";
    let error = refuse(json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": message}));
    assert!(
        error.message.ends_with("RBAC gives user \"eve\" no right to patch deployments.apps in namespace hello"),
        "{error}"
    );
    assert!(error.hints[0].contains("kubectl auth can-i patch deployments.apps -n hello"), "{error:?}");
    assert_eq!(error.kind, Kind::Refused);
}

#[test]
fn what_passes_by_itself_is_tried_again_and_nothing_else() {
    let again = [
        json!({"code": 429, "reason": "TooManyRequests", "details": {"retryAfterSeconds": 1}}),
        json!({"code": 503, "reason": "ServiceUnavailable"}),
        json!({"code": 500, "reason": "InternalError", "message": "Internal error occurred: failed calling webhook \"v.x.io\": Post \"https://x.y.svc:443/\": dial tcp 10.96.1.1:443: connect: connection refused"}),
        json!({"code": 500, "message": "etcdserver: leader changed"}),
    ];
    for status in again {
        assert!(transient(&api(status.clone())).is_some(), "{status}");
    }
    assert_eq!(
        transient(&api(json!({"code": 429, "details": {"retryAfterSeconds": 2}}))),
        Some(Duration::from_secs(2))
    );
    let never = [
        json!({"code": 403, "reason": "Forbidden"}),
        json!({"code": 409, "reason": "Conflict"}),
        json!({"code": 500, "message": "failed calling webhook \"v.x.io\": x509: certificate signed by unknown authority"}),
        json!({"code": 413, "message": "etcdserver: request is too large"}),
    ];
    for status in never {
        assert!(transient(&api(status.clone())).is_none(), "{status}");
    }
}

#[test]
fn a_terminating_namespace_is_recognised() {
    assert!(is_terminating_namespace(&api(json!({"code": 403, "reason": "Forbidden",
        "message": "configmaps \"a\" is forbidden: unable to create new content in namespace x because it is being terminated",
        "details": {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]}}))));
    assert!(!is_terminating_namespace(&api(json!({"code": 403, "reason": "Forbidden", "message": "no"}))));
}

#[test]
fn tls_failures_are_found_inside_io_errors() {
    let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    let error = ::kube::Error::Service(Box::new(io::Error::new(io::ErrorKind::InvalidData, tls)));
    assert!(transient(&error).is_none());
    let error = unreachable("https://127.0.0.1:1", &error);
    assert!(error.causes[0].contains("certificate authority"), "{error}");
}

#[test]
fn a_missing_right_is_told_from_a_quota_and_a_loss_from_a_refusal() {
    let roles = json!({"code": 403, "reason": "Forbidden", "message": "namespaces is forbidden: User \"kubernetes-admin\" cannot list resource \"namespaces\" in API group \"\" at the cluster scope"});
    let quota = json!({"code": 403, "reason": "Forbidden", "message": "pods \"a\" is forbidden: exceeded quota: q"});
    assert!(is_missing_right(&api(roles.clone())) && !is_missing_right(&api(quota)));
    assert!(!is_loss(&api(roles)));
    assert!(is_loss(&::kube::Error::Service(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)))));
}

#[test]
fn a_refused_connection_says_that_nothing_listens() {
    let error = ::kube::Error::Service(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)));
    assert!(transient(&error).is_some());
    let error = unreachable("https://127.0.0.1:1", &error);
    assert_eq!(error.message, "nothing listens at https://127.0.0.1:1");
}
