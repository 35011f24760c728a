//! Who said no: read off the message of a refusal, or of an event or condition that quotes one.
//!
//! A refusal has no field for this. The authorizer, policies and webhooks name themselves in a fixed form; the built-in
//! admission plugins are known by the form of what they say, and one that is not known is called just that.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use regex::Regex;

use super::words;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refuser {
    /// The user has no such right.
    Roles {
        user: String,
        verb: String,
        resource: String,
        scope: String,
    },
    /// Nobody may grant rights that he does not have.
    Escalation {
        user: String,
    },
    PodSecurity {
        level: String,
        violations: Vec<String>,
    },
    LimitRange {
        limits: Vec<String>,
    },
    ResourceQuota {
        why: String,
    },
    /// A ValidatingAdmissionPolicy or MutatingAdmissionPolicy.
    Policy {
        kind: String,
        name: String,
        binding: Option<String>,
        why: String,
    },
    /// It answered with no.
    Webhook {
        name: String,
        why: String,
    },
    /// It could not be asked, and nothing is let through without it.
    WebhookDown {
        name: String,
        why: String,
    },
    /// Another admission plugin of the API server; its name where what it says is known.
    Plugin {
        name: Option<&'static str>,
        why: String,
    },
}

fn regex(pattern: &str) -> Regex {
    #[allow(clippy::expect_used, reason = "the patterns are constants, and a test uses each")]
    Regex::new(pattern).expect("a pattern")
}

static ROLES: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r#"User "([^"]*)" cannot ([a-z]+) (?:path "([^"]*)"|resource "([^"]*)" in API group "([^"]*)" "#,
        r#"(?:at the (cluster) scope|in the namespace "([^"]*)"))"#
    ))
});
static ESCALATION: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"user "([^"]*)" \(groups=.*\) is attempting to grant RBAC permissions not currently held"#)
});
static POD_SECURITY: LazyLock<Regex> = LazyLock::new(|| regex(r#"(?s)violates PodSecurity "([^"]*)": (.*)"#));
static LIMIT_RANGE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        "^\\[?(?:(?:minimum|maximum) [^ ]+ usage per [A-Za-z]+ is |[^ ]+ max limit to request ratio per [A-Za-z]+ is )",
    )
});
static QUOTA: LazyLock<Regex> = LazyLock::new(|| {
    regex("^(?:exceeded quota: |failed quota: |status unknown for quota: |quota usage is negative|insufficient quota )")
});
static POLICY: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?s)((?:Validating|Mutating)AdmissionPolicy) '([^']*)'(?: with binding '([^']*)')? denied request: (.*)")
});
static DENIED: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"(?s)admission webhook "([^"]*)" denied the request(?:: (.*)| (without explanation))"#));
static DRY_RUN: LazyLock<Regex> = LazyLock::new(|| regex(r#"admission webhook "([^"]*)" does not support dry run"#));
static DOWN: LazyLock<Regex> = LazyLock::new(|| regex(r#"(?s)failed calling webhook "([^"]*)": (.*)"#));

/// What built-in plugins say, each in its own words.
const PLUGINS: [(&str, &str); 9] = [
    ("error looking up service account ", "ServiceAccount"),
    ("no PriorityClass with name ", "Priority"),
    ("the integer value of priority ", "Priority"),
    ("pod rejected: ", "RuntimeClass"),
    ("Use of external IPs is denied", "DenyServiceExternalIPs"),
    ("only dynamically provisioned pvc can be resized", "PersistentVolumeClaimResize"),
    ("Only bound persistent volume claims can be expanded", "PersistentVolumeClaimResize"),
    ("cannot set blockOwnerDeletion", "OwnerReferencesPermissionEnforcement"),
    ("image policy webhook", "ImagePolicyWebhook"),
];

/// None: it is no refusal by an authorizer or in admission.
pub fn refuser(message: &str) -> Option<Refuser> {
    let text = |found: &regex::Captures<'_>, index: usize| {
        found.get(index).map(|found| found.as_str().trim().to_owned()).unwrap_or_default()
    };
    if let Some(found) = DENIED.captures(message) {
        let why = if found.get(2).is_some() { text(&found, 2) } else { text(&found, 3) };
        return Some(Refuser::Webhook { name: text(&found, 1), why });
    }
    if let Some(found) = DRY_RUN.captures(message) {
        let why = "it does not support dry runs, so what it would say cannot be known".to_owned();
        return Some(Refuser::Webhook { name: text(&found, 1), why });
    }
    if let Some(found) = DOWN.captures(message) {
        return Some(Refuser::WebhookDown { name: text(&found, 1), why: cause_of_call(&text(&found, 2)) });
    }
    if let Some(found) = POLICY.captures(message) {
        let binding = Some(text(&found, 3)).filter(|binding| !binding.is_empty());
        return Some(Refuser::Policy { kind: text(&found, 1), name: text(&found, 2), binding, why: text(&found, 4) });
    }
    if let Some(found) = ROLES.captures(message) {
        let resource = match (text(&found, 3), text(&found, 4), text(&found, 5)) {
            (_, resource, group) if !resource.is_empty() && !group.is_empty() => format!("{resource}.{group}"),
            (path, resource, _) => path + &resource,
        };
        let (user, verb, scope) = (text(&found, 1), text(&found, 2), text(&found, 7));
        return Some(Refuser::Roles { user, verb, resource, scope });
    }
    if let Some(found) = ESCALATION.captures(message) {
        return Some(Refuser::Escalation { user: text(&found, 1) });
    }
    let (_, why) = message.split_once(" is forbidden: ")?;
    if let Some(found) = POD_SECURITY.captures(why) {
        let violations = words::split(&text(&found, 2));
        return Some(Refuser::PodSecurity { level: text(&found, 1), violations });
    }
    Some(if LIMIT_RANGE.is_match(why) {
        Refuser::LimitRange { limits: words::split(why.trim_start_matches('[').trim_end_matches(']')) }
    } else if QUOTA.is_match(why) {
        Refuser::ResourceQuota { why: why.to_owned() }
    } else {
        let known = PLUGINS.iter().find(|(says, _)| why.contains(says)).map(|(_, name)| *name);
        Refuser::Plugin { name: known, why: why.to_owned() }
    })
}

/// `Post "https://…": dial tcp …: connect: connection refused` says the same thing thrice.
fn cause_of_call(text: &str) -> String {
    let text = text.strip_prefix("failed to call webhook: ").unwrap_or(text);
    match text.strip_prefix("Post \"").and_then(|rest| rest.split_once("\": ")) {
        Some((url, why)) => format!("{}: {why}", url.split('?').next().unwrap_or(url)),
        None => text.to_owned(),
    }
}

impl Refuser {
    /// `PodSecurity`, `admission webhook "x"`.
    pub fn name(&self) -> String {
        match self {
            Refuser::Roles { .. } | Refuser::Escalation { .. } => "RBAC".to_owned(),
            Refuser::PodSecurity { level, .. } => format!("PodSecurity \"{level}\""),
            Refuser::LimitRange { .. } => "a LimitRange of the namespace".to_owned(),
            Refuser::ResourceQuota { .. } => "a ResourceQuota of the namespace".to_owned(),
            Refuser::Policy { kind, name, .. } => format!("{kind} \"{name}\""),
            Refuser::Webhook { name, .. } | Refuser::WebhookDown { name, .. } => {
                format!("admission webhook \"{name}\"")
            }
            Refuser::Plugin { name: Some(name), .. } => format!("admission plugin {name}"),
            Refuser::Plugin { name: None, .. } => "an admission plugin of the API server".to_owned(),
        }
    }

    /// A sentence without its end.
    pub fn says(&self) -> String {
        match self {
            Refuser::Roles { user, verb, resource, scope } => {
                let scope = if scope.is_empty() { String::new() } else { format!(" in namespace {scope}") };
                format!("RBAC gives user \"{user}\" no right to {verb} {resource}{scope}")
            }
            Refuser::Escalation { user } => {
                format!("RBAC lets user \"{user}\" grant no rights beyond those that user has")
            }
            Refuser::WebhookDown { name, .. } => {
                format!("admission webhook \"{name}\" cannot be called, and nothing passes without it")
            }
            other => format!("{} does not admit it", other.name()),
        }
    }

    /// What it objects to, line by line.
    pub fn details(&self) -> Vec<String> {
        match self {
            Refuser::Roles { .. } | Refuser::Escalation { .. } => Vec::new(),
            Refuser::PodSecurity { violations: lines, .. } | Refuser::LimitRange { limits: lines } => lines.clone(),
            Refuser::Policy { binding: Some(binding), why, .. } => vec![format!("{why} (by binding \"{binding}\")")],
            Refuser::ResourceQuota { why }
            | Refuser::Policy { why, .. }
            | Refuser::Webhook { why, .. }
            | Refuser::WebhookDown { why, .. }
            | Refuser::Plugin { why, .. } => vec![why.clone()],
        }
    }

    /// What to do. `namespace`: of the object.
    pub fn hint(&self, namespace: Option<&str>) -> Option<String> {
        let here = namespace.map_or(String::new(), |namespace| format!(" -n {namespace}"));
        Some(match self {
            Refuser::Roles { verb, resource, scope, .. } => {
                let scope = if scope.is_empty() { String::new() } else { format!(" -n {scope}") };
                format!(
                    "ask for that right, or use another context; to look: kubectl auth can-i {verb} {resource}{scope}"
                )
            }
            Refuser::Escalation { .. } => {
                "somebody who has these rights, or the right to `escalate` and `bind`, must apply it".to_owned()
            }
            Refuser::PodSecurity { .. } => {
                "make the pods comply, or choose another level for the namespace: `podSecurity` in stack.yaml, or its \
                 label pod-security.kubernetes.io/enforce"
                    .to_owned()
            }
            Refuser::LimitRange { .. } => {
                format!("stay within the limits, or change them; to look: kubectl describe limitrange{here}")
            }
            Refuser::ResourceQuota { .. } => {
                format!("raise the quota or ask for less; to look: kubectl describe resourcequota{here}")
            }
            Refuser::Policy { kind, name, .. } => {
                format!("do as the policy asks; to look: kubectl describe {} {name}", kind.to_lowercase())
            }
            Refuser::WebhookDown { name, .. } => format!(
                "the pods behind its service must run; where nobody looks after it any more, delete the \
                 ValidatingWebhookConfiguration or MutatingWebhookConfiguration that has the webhook \"{name}\""
            ),
            Refuser::Webhook { .. } | Refuser::Plugin { .. } => return None,
        })
    }

    /// It comes after the object was found valid in itself.
    pub fn comes_after_validation(&self) -> bool {
        matches!(
            self,
            Refuser::PodSecurity { .. }
                | Refuser::LimitRange { .. }
                | Refuser::ResourceQuota { .. }
                | Refuser::Policy { .. }
        )
    }
}
