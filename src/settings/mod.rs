//! Everything that is not about one command alone: the sections of settings, and their values.

#[cfg(test)]
mod documented;
mod file;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    error::Result,
    object::Mirror,
    provider::{
        self, Choice,
        settings::{
            AGENT_IMAGE, CA_BUNDLE, CLUSTER_NAME, CONTEXT, NEW_CLUSTER, PLACES, PROVIDER, REGION, REGISTRY_MIRRORS,
            SECTIONS,
        },
    },
    setting::{Environment, Section, Setting, Values, parse},
};
pub use crate::{
    provider::settings::DEFAULT_CLUSTER,
    quantity::duration,
    setting::{Flags, Origin},
};

/// Which cluster is meant, and where in it.
pub static CLUSTER: Section = Section {
    heading: Some("Cluster options"),
    provider: None,
    settings: &[&PROVIDER, &CLUSTER_NAME, &CONTEXT, &NAMESPACE, &REGISTRY],
};
pub static STACK: Section = Section { heading: Some("Stack options"), provider: None, settings: &[&WITHOUT] };
pub static EDGE: Section =
    Section { heading: Some("Edge options"), provider: None, settings: &[&HTTPS_PORT, &HTTP_PORT] };
pub static WAIT: Section = Section { heading: Some("Wait options"), provider: None, settings: &[&TIMEOUT] };
/// Among the options of what needs it.
pub static AGENT: Section = Section { heading: None, provider: None, settings: &[&AGENT_IMAGE] };

pub const NAMESPACE: Setting<String> =
    Setting::new("namespace", "--namespace", "NAME", "Namespace of the stack's objects", parse::text)
        .otherwise("the stack's name")
        .short('n');
const REGISTRY: Setting<String> = Setting::new(
    "registry",
    "--registry",
    "PREFIX",
    "Push images here instead of a local registry, such as ghcr.io/ORG; needed for existing",
    |text| Ok(text.trim_end_matches('/').to_owned()),
);
pub const WITHOUT: Setting<String> =
    Setting::new("without", "--without", "COMPONENT", "Leave out a component; may be repeated", parse::text).list();
pub const TIMEOUT: Setting<Duration> =
    Setting::new("timeout", "--timeout", "DURATION", "For everything that is waited for", duration).with_default("5m");
const HTTPS_PORT: Setting<u16> = Setting::new(
    "httpsPort",
    "--https-port",
    "PORT",
    "Port of 127.0.0.1 for a local cluster's edge, or of the edge's load balancer",
    parse::port,
)
.otherwise("8443 or a free one; 443 of a load balancer");
const HTTP_PORT: Setting<u16> = Setting::new("httpPort", "--http-port", "PORT", "The same for plain HTTP", parse::port)
    .otherwise("8080 or a free one; 80 of a load balancer");

/// All of them, in the order of the documentation.
fn sections() -> Vec<&'static Section> {
    let which = [&CLUSTER].into_iter().chain(PLACES);
    which.chain([&NEW_CLUSTER]).chain(SECTIONS).chain([&EDGE, &STACK, &WAIT, &AGENT]).collect()
}

/// The embedded stack that is meant where no stack is named and the working folder holds none.
pub const DEFAULT_STACK: &str = "hello";

/// What is meant where no stack is named: the stack of the working folder, where there is a `stack.yaml`.
pub fn default_stack() -> String {
    folder_stack().unwrap_or(DEFAULT_STACK).to_owned()
}

/// The stack of the working folder, where there is a `stack.yaml`.
pub fn folder_stack() -> Option<&'static str> {
    Path::new("stack.yaml").is_file().then_some(".")
}

/// The values of all settings, resolved and valid.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The provider, with what is asked of it.
    pub choice: Choice,
    pub cluster_name: String,
    /// Of the cloud, where the cluster is in one; None: as that cloud's own configuration says.
    pub region: Option<String>,
    pub namespace: Option<String>,
    /// An image registry other than the local cluster's own: `ghcr.io/ORG`.
    pub registry: Option<String>,
    pub mirrors: Vec<Mirror>,
    pub ca_bundle: Option<PathBuf>,
    pub agent_image: Option<String>,
    pub without: Vec<String>,
    /// For everything that `up` waits for.
    pub timeout: Duration,
    /// Of 127.0.0.1, for the edge on a local cluster, or of its load balancer; None: the usual one, or any that is free.
    pub https_port: Option<u16>,
    pub http_port: Option<u16>,
    /// (key, value as text, where from), in the order of the documentation.
    pub provenance: Vec<(&'static str, String, Origin)>,
}

impl Settings {
    /// Fails with `Kind::Usage` naming the place (flag, variable or file, line and key) of what is wrong.
    pub fn resolve(flags: Flags, environment: Environment<'_>) -> Result<Settings> {
        let sections = sections();
        let file = file::read(environment, &sections)?;
        let mut values = Values::resolve(&sections, &flags, environment, file.as_ref())?;
        provider::imply(&mut values)?;
        Ok(Settings {
            choice: Choice::of(&values)?,
            cluster_name: values.required(&CLUSTER_NAME)?,
            region: values.optional(&REGION)?,
            namespace: values.optional(&NAMESPACE)?,
            registry: values.optional(&REGISTRY)?,
            mirrors: values.list(&REGISTRY_MIRRORS)?,
            ca_bundle: values.optional(&CA_BUNDLE)?,
            agent_image: values.optional(&AGENT_IMAGE)?,
            without: values.list(&WITHOUT)?,
            timeout: values.required(&TIMEOUT)?,
            https_port: values.optional(&HTTPS_PORT)?,
            http_port: values.optional(&HTTP_PORT)?,
            provenance: values.provenance,
        })
    }

    /// Whether the cluster is that of one stack, which is not named yet.
    pub fn has_cluster_for_each_stack(&self) -> bool {
        let is_named =
            |(key, _, origin): &(&str, String, Origin)| *key == CLUSTER_NAME.key() && *origin != Origin::Default;
        self.choice.is_of_one_stack() && !self.provenance.iter().any(is_named)
    }

    /// The same for one stack: where each has a cluster of its own, that one is meant.
    pub fn of_stack(self, stack: &str) -> Settings {
        if !self.has_cluster_for_each_stack() {
            return self;
        }
        self.of_cluster(stack)
    }

    /// The same for the cluster of that name, where each stack may have one of its own.
    pub fn of_cluster(self, name: &str) -> Settings {
        Settings { choice: self.choice.of_stack(name), cluster_name: name.to_owned(), ..self }
    }
}
