//! Clusters, networks and the command line.

use crate::{Test, case::Case};

pub const ALL: &[Test] = &[("foreign-edge", foreign_edge), ("services-that-lead-nowhere", services_that_lead_nowhere)];

/// Somebody else's certificate for the edge, with the authority that signed it beside it.
fn foreign_edge(case: &Case) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "somebody");
    let signer = rcgen::KeyPair::generate().unwrap();
    let signed = authority.self_signed(&signer).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "shop.example".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap();
    let certificate = certificate.signed_by(&key, &rcgen::Issuer::new(authority, signer)).unwrap();
    case.write("tls/tls.crt", &certificate.pem());
    case.write("tls/tls.key", &key.serialize_pem());
    case.write("tls/ca.crt", &signed.pem());

    case.deletes(&["namespace", "foreign-edge"]);
    case.place.kubectl(&["create", "namespace", "foreign-edge"]);
    let files = format!("--from-file={}", case.arg("tls"));
    let secret = ["create", "secret", "generic", "edge-tls", "-n", "foreign-edge", "--type=kubernetes.io/tls", &files];
    case.place.kubectl(&secret);
    // What somebody else keeps where the authority would go is not written over.
    case.place.kubectl(&["create", "configmap", "edge-ca", "-n", "foreign-edge", "--from-literal=ca.crt=theirs"]);
    case.up("", &[], 3).says(&["ConfigMap/edge-ca in namespace foreign-edge", "kubectl delete configmap edge-ca"]);
    case.place.kubectl(&["delete", "configmap", "edge-ca", "-n", "foreign-edge"]);
    let run = case.up("", &[], 0);
    run.says(&["Secret/edge-tls", "is not stackctl's and stays as it is", "trust its own ca.crt"]);
    let secret = case.find(&["secret", "edge-tls", "-n", "foreign-edge"]).expect("the Secret");
    assert!(secret["metadata"]["labels"].is_null(), "it was taken over: {secret}");
    let bundle = case.find(&["configmap", "edge-ca", "-n", "foreign-edge"]).expect("the bundle");
    assert_eq!(bundle["data"]["ca.crt"].as_str().map(str::trim), Some(signed.pem().trim()));
    case.up("", &[], 0).says(&["nothing to do"]);
    case.run("urls", "", &[]).says(&["200 OK"]);
}

/// Ready pods do not help a Service that names a port on which nothing listens; and what is not TCP is not forwarded.
fn services_that_lead_nowhere(case: &Case) {
    case.up("", &[], 7).says(&["no connection through web", "nothing listens on port 8081 of pod web-", "targetPort"]);
    let forward = ["forward", "names", "--stack", &case.arg("")];
    case.place.fails(2, &forward).says(&["service names has no TCP port", "UDP"]);

    let right = std::fs::read_to_string(case.path("all.yaml")).unwrap().replace("targetPort: 8081", "targetPort: 8080");
    case.write("all.yaml", &right);
    let run = case.up("", &[], 0);
    run.says(&["reach web with: stackctl forward web:80"]);
    assert!(!run.stdout.contains("forward names") && !run.stdout.contains("listens"), "{run}");
}
