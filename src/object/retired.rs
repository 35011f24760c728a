//! API versions that Kubernetes no longer serves, and what took their place.

use std::fmt;

/// Ordered by the release of Kubernetes, 1.N, that serves it no more. The successor is a group and version, or empty.
const RETIRED: [(u32, &str, &[&str], &str); 31] = [
    (16, "extensions/v1beta1", &["DaemonSet", "Deployment", "ReplicaSet"], "apps/v1"),
    (16, "extensions/v1beta1", &["NetworkPolicy"], "networking.k8s.io/v1"),
    (16, "extensions/v1beta1", &["PodSecurityPolicy"], ""),
    (16, "apps/v1beta1", &["*"], "apps/v1"),
    (16, "apps/v1beta2", &["*"], "apps/v1"),
    (22, "extensions/v1beta1", &["Ingress"], "networking.k8s.io/v1"),
    (22, "networking.k8s.io/v1beta1", &["Ingress", "IngressClass"], "networking.k8s.io/v1"),
    (22, "admissionregistration.k8s.io/v1beta1", &["MutatingWebhookConfiguration"], "admissionregistration.k8s.io/v1"),
    (
        22,
        "admissionregistration.k8s.io/v1beta1",
        &["ValidatingWebhookConfiguration"],
        "admissionregistration.k8s.io/v1",
    ),
    (22, "apiextensions.k8s.io/v1beta1", &["*"], "apiextensions.k8s.io/v1"),
    (22, "apiregistration.k8s.io/v1beta1", &["*"], "apiregistration.k8s.io/v1"),
    (22, "authentication.k8s.io/v1beta1", &["TokenReview"], "authentication.k8s.io/v1"),
    (22, "authorization.k8s.io/v1beta1", &["*"], "authorization.k8s.io/v1"),
    (22, "certificates.k8s.io/v1beta1", &["CertificateSigningRequest"], "certificates.k8s.io/v1"),
    (22, "coordination.k8s.io/v1beta1", &["Lease"], "coordination.k8s.io/v1"),
    (22, "rbac.authorization.k8s.io/v1beta1", &["*"], "rbac.authorization.k8s.io/v1"),
    (22, "rbac.authorization.k8s.io/v1alpha1", &["*"], "rbac.authorization.k8s.io/v1"),
    (22, "scheduling.k8s.io/v1beta1", &["PriorityClass"], "scheduling.k8s.io/v1"),
    (22, "storage.k8s.io/v1beta1", &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"], "storage.k8s.io/v1"),
    (25, "autoscaling/v2beta1", &["*"], "autoscaling/v2"),
    (25, "batch/v1beta1", &["CronJob", "JobTemplate"], "batch/v1"),
    (25, "discovery.k8s.io/v1beta1", &["*"], "discovery.k8s.io/v1"),
    (25, "events.k8s.io/v1beta1", &["*"], "events.k8s.io/v1"),
    (25, "node.k8s.io/v1beta1", &["*"], "node.k8s.io/v1"),
    (25, "policy/v1beta1", &["PodDisruptionBudget"], "policy/v1"),
    (25, "policy/v1beta1", &["PodSecurityPolicy"], ""),
    (26, "autoscaling/v2beta2", &["*"], "autoscaling/v2"),
    (26, "flowcontrol.apiserver.k8s.io/v1beta1", &["*"], "flowcontrol.apiserver.k8s.io/v1"),
    (27, "storage.k8s.io/v1beta1", &["CSIStorageCapacity"], "storage.k8s.io/v1"),
    (29, "flowcontrol.apiserver.k8s.io/v1beta2", &["*"], "flowcontrol.apiserver.k8s.io/v1"),
    (32, "flowcontrol.apiserver.k8s.io/v1beta3", &["*"], "flowcontrol.apiserver.k8s.io/v1"),
];

/// A stackctl that is used today meets no older clusters.
const OLDEST: u32 = 25;

pub struct Retired {
    release: u32,
    api_version: String,
    kind: String,
    successor: &'static str,
}

impl Retired {
    pub fn find(api_version: &str, kind: &str) -> Option<Retired> {
        let is = |kinds: &[&str]| kinds.iter().any(|known| *known == "*" || *known == kind);
        let (release, .., successor) =
            RETIRED.iter().copied().find(|(_, known, kinds, _)| *known == api_version && is(kinds))?;
        Some(Retired { release, api_version: api_version.to_owned(), kind: kind.to_owned(), successor })
    }

    /// Whether no cluster that can be met serves it.
    pub fn everywhere(&self) -> bool {
        self.release <= OLDEST
    }
}

impl fmt::Display for Retired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kubernetes 1.{} and later have no {} in {}", self.release, self.kind, self.api_version)?;
        match self.successor {
            "" => f.write_str(", and nothing took its place"),
            successor => write!(f, "; write `apiVersion: {successor}`, whose fields may differ"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(api_version: &str, kind: &str) -> Option<String> {
        Retired::find(api_version, kind).map(|retired| retired.to_string())
    }

    #[test]
    fn a_retired_version_names_its_successor() {
        assert_eq!(
            told("extensions/v1beta1", "Ingress").as_deref(),
            Some(
                "Kubernetes 1.22 and later have no Ingress in extensions/v1beta1; write `apiVersion: \
                 networking.k8s.io/v1`, whose fields may differ"
            )
        );
        assert_eq!(
            told("policy/v1beta1", "PodSecurityPolicy").as_deref(),
            Some("Kubernetes 1.25 and later have no PodSecurityPolicy in policy/v1beta1, and nothing took its place")
        );
        for (api_version, kind) in
            [("networking.k8s.io/v1", "Ingress"), ("policy/v1beta1", "Eviction"), ("example.org/v1beta1", "Ingress")]
        {
            assert_eq!(told(api_version, kind), None);
        }
        assert!(RETIRED.is_sorted_by_key(|(release, ..)| *release));
        assert!(!Retired::find("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema").unwrap().everywhere());
    }
}
