use super::*;

#[test]
fn each_refuser_is_known_by_its_own_form() {
    let user = r#"deployments.apps "web" is forbidden: User "eve" cannot patch resource "deployments" in API group "apps" in the namespace "hello""#;
    assert_eq!(
        refuser(user).unwrap().says(),
        "RBAC gives user \"eve\" no right to patch deployments.apps in namespace hello"
    );
    let cluster = r#"namespaces is forbidden: User "eve" cannot list resource "namespaces" in API group "" at the cluster scope: RBAC: clusterrole "x" not found"#;
    assert_eq!(refuser(cluster).unwrap().says(), "RBAC gives user \"eve\" no right to list namespaces");
    let path = r#"forbidden: User "eve" cannot get path "/version""#;
    assert_eq!(refuser(path).unwrap().says(), "RBAC gives user \"eve\" no right to get /version");
    let grant = "roles.rbac.authorization.k8s.io \"x\" is forbidden: user \"eve\" (groups=[\"a\" \"b\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"*\"]}";
    assert_eq!(refuser(grant).unwrap().name(), "RBAC");
    let who = |message: &str| refuser(message).unwrap().name();
    let pod = |why: &str| format!("pods \"lone\" is forbidden: {why}");
    assert_eq!(who(&pod("maximum cpu usage per Container is 1, but limit is 4")), "a LimitRange of the namespace");
    assert_eq!(
        who(&pod("cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000")),
        "a LimitRange of the namespace"
    );
    assert_eq!(
        who(&pod("exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0")),
        "a ResourceQuota of the namespace"
    );
    assert_eq!(who(&pod("failed quota: q: must specify limits.cpu for: main")), "a ResourceQuota of the namespace");
    assert_eq!(who(&pod("no PriorityClass with name high was found")), "admission plugin Priority");
    assert_eq!(
        who(&pod("error looking up service account a/b: serviceaccount \"b\" not found")),
        "admission plugin ServiceAccount"
    );
    assert_eq!(who(&pod("the moon is in the seventh house")), "an admission plugin of the API server");
    let policy = "deployments.apps \"x\" is forbidden: ValidatingAdmissionPolicy 'few' with binding 'here' denied request: failed expression: object.spec.replicas <= 5";
    assert_eq!(who(policy), "ValidatingAdmissionPolicy \"few\"");
    assert_eq!(
        refuser(policy).unwrap().details(),
        ["failed expression: object.spec.replicas <= 5 (by binding \"here\")"]
    );
    assert_eq!(refuser("ConfigMap \"c\" is invalid: data: Forbidden: field is immutable"), None);
}

#[test]
fn a_pod_security_level_is_told_violation_by_violation() {
    let message = "pods \"lone\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"main\" must set securityContext.allowPrivilegeEscalation=false), seccompProfile (pod or container \"main\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";
    let who = refuser(message).unwrap();
    assert_eq!(who.name(), "PodSecurity \"restricted:latest\"");
    assert_eq!(who.details().len(), 2, "{who:?}");
    assert!(who.hint(Some("n")).unwrap().contains("podSecurity"));
}

#[test]
fn a_webhook_that_says_no_is_told_from_one_that_cannot_be_asked() {
    let denied = refuser("admission webhook \"gate.x.svc\" denied the request: not on Fridays").unwrap();
    assert_eq!(
        (denied.name(), denied.details()),
        ("admission webhook \"gate.x.svc\"".into(), vec!["not on Fridays".into()])
    );
    let silent = refuser("admission webhook \"gate.x.svc\" denied the request without explanation").unwrap();
    assert_eq!(silent.details(), ["without explanation"]);
    let event = "Error creating: Internal error occurred: failed calling webhook \"gate.x.svc\": failed to call webhook: Post \"https://gate.x.svc:443/check?timeout=5s\": dial tcp 10.96.0.9:443: connect: connection refused";
    let down = refuser(event).unwrap();
    assert!(down.says().contains("cannot be called"), "{down:?}");
    assert_eq!(down.details(), ["https://gate.x.svc:443/check: dial tcp 10.96.0.9:443: connect: connection refused"]);
}
