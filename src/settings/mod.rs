//! Settings: flags over STACKCTL_* over the configuration file over defaults, each remembering where it came from.

#[cfg(test)]
mod tests;
mod values;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use self::values::{
    account, any_cidr, cidr, cluster_name, cpus, kubernetes_version, memory, minikube_flag, mirror, nat, nodes, path,
    port, text, word,
};
use crate::object::Mirror;
pub use crate::quantity::duration;
use crate::{
    error::{Context, Error, Kind, Result},
    stack,
};

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

/// The local cluster, where no other is named.
pub const DEFAULT_CLUSTER: &str = "stackctl";

/// Where a value came from, as `doctor` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    Flag(&'static str),
    Variable(String),
    File(PathBuf),
    /// It follows from another setting, which came from there.
    Implied(Box<Origin>),
    Default,
}

impl Origin {
    /// Which of two wins.
    fn strength(&self) -> u8 {
        match self {
            Origin::Flag(_) => 3,
            Origin::Variable(_) => 2,
            Origin::File(_) => 1,
            Origin::Implied(by) => by.strength(),
            Origin::Default => 0,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Variable(name) => f.write_str(name),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Implied(by) => write!(f, "implied by {by}"),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// One setting's three spellings.
struct Spelling {
    /// In the configuration file.
    key: &'static str,
    flag: &'static str,
    variable: &'static str,
    /// A repeated flag, a comma-separated variable, a list in the file.
    list: bool,
}

macro_rules! spellings {
    ($($key:literal $flag:literal $variable:literal $list:literal;)*) => {
        const SPELLINGS: &[Spelling] =
            &[$(Spelling { key: $key, flag: $flag, variable: $variable, list: $list }),*];
    };
}

spellings! {
    "provider" "--provider" "STACKCTL_PROVIDER" false;
    "clusterName" "--cluster-name" "STACKCTL_CLUSTER_NAME" false;
    "nodes" "--nodes" "STACKCTL_NODES" false;
    "kubernetesVersion" "--kubernetes-version" "STACKCTL_KUBERNETES_VERSION" false;
    "nodeImage" "--node-image" "STACKCTL_NODE_IMAGE" false;
    "kindConfig" "--kind-config" "STACKCTL_KIND_CONFIG" false;
    "driver" "--driver" "STACKCTL_DRIVER" false;
    "containerRuntime" "--container-runtime" "STACKCTL_CONTAINER_RUNTIME" false;
    "cpus" "--cpus" "STACKCTL_CPUS" false;
    "memory" "--memory" "STACKCTL_MEMORY" false;
    "minikubeFlags" "--minikube-flag" "STACKCTL_MINIKUBE_FLAGS" true;
    "region" "--region" "STACKCTL_REGION" false;
    "account" "--account" "STACKCTL_ACCOUNT" false;
    "vpcCidr" "--vpc-cidr" "STACKCTL_VPC_CIDR" false;
    "nat" "--nat" "STACKCTL_NAT" false;
    "publicCidrs" "--public-cidr" "STACKCTL_PUBLIC_CIDRS" true;
    "context" "--context" "STACKCTL_CONTEXT" false;
    "namespace" "--namespace" "STACKCTL_NAMESPACE" false;
    "registry" "--registry" "STACKCTL_REGISTRY" false;
    "registryMirrors" "--registry-mirror" "STACKCTL_REGISTRY_MIRRORS" true;
    "caBundle" "--ca-bundle" "STACKCTL_CA_BUNDLE" false;
    "agentImage" "--agent-image" "STACKCTL_AGENT_IMAGE" false;
    "without" "--without" "STACKCTL_WITHOUT" true;
    "timeout" "--timeout" "STACKCTL_TIMEOUT" false;
    "httpsPort" "--https-port" "STACKCTL_HTTPS_PORT" false;
    "httpPort" "--http-port" "STACKCTL_HTTP_PORT" false;
}

/// The flags given, by the key of the setting; absent ones are not in the map.
pub type Flags = BTreeMap<&'static str, Vec<String>>;

/// The configuration file as written. Lists and scalars alike; an unknown key is an error with its line.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct File {
    provider: Option<String>,
    cluster_name: Option<String>,
    nodes: Option<String>,
    kubernetes_version: Option<String>,
    node_image: Option<String>,
    kind_config: Option<String>,
    driver: Option<String>,
    container_runtime: Option<String>,
    cpus: Option<String>,
    memory: Option<String>,
    minikube_flags: Option<Vec<String>>,
    region: Option<String>,
    account: Option<String>,
    vpc_cidr: Option<String>,
    nat: Option<String>,
    public_cidrs: Option<Vec<String>>,
    context: Option<String>,
    namespace: Option<String>,
    registry: Option<String>,
    registry_mirrors: Option<Vec<String>>,
    ca_bundle: Option<String>,
    agent_image: Option<String>,
    without: Option<Vec<String>>,
    timeout: Option<String>,
    https_port: Option<String>,
    http_port: Option<String>,
}

impl File {
    fn into_layer(self) -> Layer {
        let one = |value: Option<String>| value.map(|value| vec![value]);
        [
            ("provider", one(self.provider)),
            ("clusterName", one(self.cluster_name)),
            ("nodes", one(self.nodes)),
            ("kubernetesVersion", one(self.kubernetes_version)),
            ("nodeImage", one(self.node_image)),
            ("kindConfig", one(self.kind_config)),
            ("driver", one(self.driver)),
            ("containerRuntime", one(self.container_runtime)),
            ("cpus", one(self.cpus)),
            ("memory", one(self.memory)),
            ("minikubeFlags", self.minikube_flags),
            ("region", one(self.region)),
            ("account", one(self.account)),
            ("vpcCidr", one(self.vpc_cidr)),
            ("nat", one(self.nat)),
            ("publicCidrs", self.public_cidrs),
            ("context", one(self.context)),
            ("namespace", one(self.namespace)),
            ("registry", one(self.registry)),
            ("registryMirrors", self.registry_mirrors),
            ("caBundle", one(self.ca_bundle)),
            ("agentImage", one(self.agent_image)),
            ("without", self.without),
            ("timeout", one(self.timeout)),
            ("httpsPort", one(self.https_port)),
            ("httpPort", one(self.http_port)),
        ]
        .into_iter()
        .filter_map(|(key, values)| Some((key, values?)))
        .collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderName {
    Kind,
    Minikube,
    Eks,
    Existing,
}

impl ProviderName {
    const ALL: [(&'static str, ProviderName); 4] = [
        ("kind", ProviderName::Kind),
        ("minikube", ProviderName::Minikube),
        ("eks", ProviderName::Eks),
        ("existing", ProviderName::Existing),
    ];

    pub fn name(self) -> &'static str {
        match self {
            ProviderName::Kind => "kind",
            ProviderName::Minikube => "minikube",
            ProviderName::Eks => "eks",
            ProviderName::Existing => "existing",
        }
    }
}

/// Everything that is not about one command alone, resolved and valid.
#[derive(Debug, Clone)]
pub struct Settings {
    pub provider: ProviderName,
    pub cluster_name: String,
    pub control_planes: u8,
    pub workers: u8,
    pub kubernetes_version: Option<String>,
    pub node_image: Option<String>,
    pub kind_config: Option<PathBuf>,
    pub minikube: Minikube,
    /// What only clusters on AWS have.
    pub eks: Eks,
    pub context: Option<String>,
    pub namespace: Option<String>,
    /// An image registry other than the local cluster's own: `ghcr.io/ORG`.
    pub registry: Option<String>,
    pub mirrors: Vec<Mirror>,
    pub ca_bundle: Option<PathBuf>,
    pub agent_image: Option<String>,
    pub without: Vec<String>,
    /// For everything that `up` waits for.
    pub timeout: Duration,
    /// Of 127.0.0.1, for the edge on a local cluster; None: the usual one, or any that is free.
    pub https_port: Option<u16>,
    pub http_port: Option<u16>,
    /// (key, value as text, where from), in the order of the documentation.
    pub provenance: Vec<(&'static str, String, Origin)>,
}

/// What only clusters on AWS have.
#[derive(Debug, Clone)]
pub struct Eks {
    /// None: as the user's AWS configuration says.
    pub region: Option<String>,
    /// The only account that may be touched.
    pub account: Option<String>,
    pub vpc_cidr: Ipv4Net,
    /// `single`, `per-zone` or `none`
    pub nat: String,
    /// From where the API server may be reached; empty: from anywhere, with credentials.
    pub public_cidrs: Vec<IpNet>,
}

/// What only clusters that minikube makes have.
#[derive(Debug, Clone)]
pub struct Minikube {
    pub driver: String,
    pub container_runtime: String,
    pub cpus: Option<u32>,
    /// As minikube takes it: `4096`, `4g`.
    pub memory: Option<String>,
    /// Further arguments of `minikube start`.
    pub flags: Vec<String>,
}

/// Reads the environment's part of the settings.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Values by the key of the setting.
type Layer = BTreeMap<&'static str, Vec<String>>;

struct Layers {
    flags: Flags,
    variables: BTreeMap<&'static str, (String, Vec<String>)>,
    file: Option<(PathBuf, Layer)>,
}

impl Layers {
    fn find(&self, key: &'static str) -> Option<(&Vec<String>, Origin)> {
        let flag = SPELLINGS.iter().find(|spelling| spelling.key == key).map_or("", |spelling| spelling.flag);
        if let Some(values) = self.flags.get(key) {
            return Some((values, Origin::Flag(flag)));
        }
        if let Some((name, values)) = self.variables.get(key) {
            return Some((values, Origin::Variable(name.clone())));
        }
        let (path, layer) = self.file.as_ref()?;
        Some((layer.get(key)?, Origin::File(path.clone())))
    }
}

impl Settings {
    /// Fails with `Kind::Usage` naming the place (flag, variable or file and line) of what is wrong.
    pub fn resolve(flags: Flags, environment: Environment<'_>) -> Result<Settings> {
        let variables = SPELLINGS
            .iter()
            .filter_map(|spelling| {
                let value = environment(spelling.variable).filter(|value| !value.is_empty())?;
                let values = match spelling.list {
                    true => value.split(',').map(|item| item.trim().to_owned()).collect(),
                    false => vec![value],
                };
                Some((spelling.key, (spelling.variable.to_owned(), values)))
            })
            .collect();
        let layers = Layers { flags, variables, file: read_file(environment)? };
        let mut reader = Reader { layers: &layers, provenance: Vec::new() };

        let provider = reader.provider()?;
        let cluster_name = reader.required("clusterName", DEFAULT_CLUSTER, cluster_name)?;
        let (control_planes, workers) = reader.required("nodes", "1", nodes)?;
        let kubernetes_version = reader.optional("kubernetesVersion", kubernetes_version)?;
        let node_image = reader.optional("nodeImage", text)?;
        let kind_config = reader.optional("kindConfig", path)?;
        let minikube = Minikube {
            driver: reader.required("driver", "docker", word)?,
            container_runtime: reader.required("containerRuntime", "containerd", word)?,
            cpus: reader.optional("cpus", cpus)?,
            memory: reader.optional("memory", memory)?,
            flags: reader.list("minikubeFlags", minikube_flag)?,
        };
        let eks = Eks {
            region: reader.optional("region", word)?,
            account: reader.optional("account", account)?,
            vpc_cidr: reader.required("vpcCidr", "10.0.0.0/16", cidr)?,
            nat: reader.required("nat", "single", nat)?,
            public_cidrs: reader.list("publicCidrs", any_cidr)?,
        };
        let context = reader.optional("context", text)?;
        let namespace = reader.optional("namespace", text)?;
        let registry = reader.optional("registry", |text| Ok(text.trim_end_matches('/').to_owned()))?;
        let mirrors = reader.list("registryMirrors", mirror)?;
        let ca_bundle = reader.optional("caBundle", path)?;
        let agent_image = reader.optional("agentImage", text)?;
        let without = reader.list("without", text)?;
        let timeout = reader.required("timeout", "5m", duration)?;
        let https_port = reader.optional("httpsPort", port)?;
        let http_port = reader.optional("httpPort", port)?;
        let provenance = reader.provenance;
        Ok(Settings {
            provider,
            cluster_name,
            control_planes,
            workers,
            kubernetes_version,
            node_image,
            kind_config,
            minikube,
            eks,
            context,
            namespace,
            registry,
            mirrors,
            ca_bundle,
            agent_image,
            without,
            timeout,
            https_port,
            http_port,
            provenance,
        })
    }
}

impl Settings {
    pub fn has_cluster_for_each_stack(&self) -> bool {
        let named = self.provenance.iter().any(|(key, _, origin)| *key == "clusterName" && *origin != Origin::Default);
        self.provider == ProviderName::Eks && !named
    }

    /// On AWS each stack has a cluster of its own, unless one is named.
    pub fn of_stack(mut self, stack: &str) -> Settings {
        if self.has_cluster_for_each_stack() {
            self.cluster_name = if stack.is_empty() { DEFAULT_STACK } else { stack }.to_owned();
        }
        self
    }
}

struct Reader<'a> {
    layers: &'a Layers,
    provenance: Vec<(&'static str, String, Origin)>,
}

type Parsed<T> = std::result::Result<T, String>;

impl Reader<'_> {
    /// A context is one of a cluster that is there: alone it implies that provider. Beside another one, named as strongly
    /// or less so, nobody can tell what is meant.
    fn provider(&mut self) -> Result<ProviderName> {
        let provider = self.required("provider", ProviderName::Kind.name(), |text| {
            ProviderName::ALL.iter().find(|(name, _)| *name == text).map(|(_, provider)| *provider).ok_or_else(|| {
                let names: Vec<_> = ProviderName::ALL.iter().map(|(name, _)| *name).collect();
                format!("expected one of: {}", names.join(", "))
            })
        })?;
        let Some((values, by)) = self.layers.find("context") else { return Ok(provider) };
        let Some((_, shown, origin)) = self.provenance.last_mut() else { return Ok(provider) };
        if provider == ProviderName::Existing || origin.strength() > by.strength() {
            return Ok(provider);
        }
        if *origin != Origin::Default {
            let context = values.join(", ");
            let what = format!(
                "the context {context} ({by}) is one of an existing cluster, but the provider is {shown} ({origin})"
            );
            return Err(Error::new(Kind::Usage, what)
                .hint(format!("--provider {} uses the cluster of that context", ProviderName::Existing.name()))
                .hint(format!("leave the context out for the provider {shown}")));
        }
        (*shown, *origin) = (ProviderName::Existing.name().to_owned(), Origin::Implied(Box::new(by)));
        Ok(ProviderName::Existing)
    }

    fn required<T>(&mut self, key: &'static str, default: &str, parse: impl Fn(&str) -> Parsed<T>) -> Result<T> {
        match self.optional(key, &parse)? {
            Some(value) => Ok(value),
            None => {
                if let Some(last) = self.provenance.last_mut() {
                    last.1 = default.to_owned();
                }
                parse(default).map_err(|why| Error::new(Kind::Unexpected, format!("default of {key}: {why}")))
            }
        }
    }

    fn optional<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Result<Option<T>> {
        Ok(self.list(key, parse)?.pop())
    }

    fn list<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Result<Vec<T>> {
        let Some((values, origin)) = self.layers.find(key) else {
            self.provenance.push((key, "–".to_owned(), Origin::Default));
            return Ok(Vec::new());
        };
        let shown = if values.is_empty() { "–".to_owned() } else { values.join(", ") };
        self.provenance.push((key, shown, origin.clone()));
        let place = match &origin {
            Origin::File(path) => format!("{}: {key}", path.display()),
            other => other.to_string(),
        };
        values
            .iter()
            .map(|value| parse(value).map_err(|why| Error::new(Kind::Usage, format!("{place}: \"{value}\": {why}"))))
            .collect()
    }
}

/// `STACKCTL_CONFIG`, which must exist when it is set, or `$XDG_CONFIG_HOME/stackctl/config.yaml`, which need not.
fn read_file(environment: Environment<'_>) -> Result<Option<(PathBuf, Layer)>> {
    let named = environment("STACKCTL_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let usual = || {
        let base = environment("XDG_CONFIG_HOME")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .or_else(|| environment("HOME").map(|home| Path::new(&home).join(".config")))?;
        Some(base.join("stackctl/config.yaml")).filter(|path| path.exists())
    };
    let Some(path) = named.or_else(usual) else { return Ok(None) };
    let text = std::fs::read_to_string(&path)
        .context(Kind::Usage, || format!("cannot read the configuration {}", path.display()))?;
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Some((path, BTreeMap::new())));
    }
    let file: File = serde_yaml::from_str(&text).map_err(|error| {
        let place =
            error.location().map_or_else(String::new, |location| format!(":{}:{}", location.line(), location.column()));
        let keys: Vec<_> = SPELLINGS.iter().map(|spelling| spelling.key).collect();
        let why = error.to_string();
        // The library says it all in one sentence: which key, and every one that there is.
        let unknown = why.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        let why = unknown
            .map_or(why.clone(), |key| format!("unknown key `{key}`{}", stack::suggestion(key, keys.iter().copied())));
        Error::new(Kind::Usage, format!("{}{place}: {why}", path.display()))
            .hint(format!("the keys are: {}", keys.join(", ")))
    })?;
    Ok(Some((path, file.into_layer())))
}
