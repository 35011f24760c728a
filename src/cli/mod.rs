//! The command line: what can be said, and how it becomes settings. Each command's own arguments live with the command.

use clap::{Args, ValueEnum};

use crate::{
    error::Result,
    settings::{Flags, Settings},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}

/// Options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Answer yes to every question
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// What stdout carries; progress is always on stderr
    #[arg(long, short, global = true, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: Output,
    /// Show the output of builds and tools as they run; twice: what libraries note, too
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Show errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// No colours, as with NO_COLOR
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Write which step waited for which: data for FILE.json, else a page
    #[arg(long, global = true, value_name = "FILE")]
    pub timings: Option<std::path::PathBuf>,
    #[command(flatten)]
    pub target: Target,
}

/// Which cluster is meant. Global, so that every command agrees on it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster options")]
pub struct Target {
    /// kind (default), minikube, eks or existing
    #[arg(long, global = true, value_name = "NAME")]
    provider: Option<String>,
    /// Name of the local cluster that holds all stacks [default: stackctl; on eks each stack's own]
    #[arg(long, global = true, value_name = "NAME")]
    cluster_name: Option<String>,
    /// The region of AWS for eks [default: that of your AWS configuration]
    #[arg(long, global = true, value_name = "NAME")]
    region: Option<String>,
    /// The only account of AWS that may be touched
    #[arg(long, global = true, value_name = "ID")]
    account: Option<String>,
    /// The kubeconfig context of an existing cluster; implies --provider existing
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// Namespace of the stack's objects [default: the stack's name]
    #[arg(long, short, global = true, value_name = "NAME")]
    namespace: Option<String>,
    /// Push images here instead of a local registry, such as ghcr.io/ORG; needed for existing
    #[arg(long, global = true, value_name = "PREFIX")]
    registry: Option<String>,
}

impl Target {
    /// Whether `--namespace` itself was given.
    pub fn has_namespace(&self) -> bool {
        self.namespace.is_some()
    }
}

/// How a cluster is made; ignored when it is there.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "New cluster options")]
pub struct NewClusterArgs {
    /// CONTROL-PLANES+WORKERS, such as 1+2 [default: 1]
    #[arg(long, value_name = "N")]
    nodes: Option<String>,
    /// Such as v1.36.3 [default: the provider's]
    #[arg(long, value_name = "VERSION")]
    kubernetes_version: Option<String>,
    /// kind's node image, or minikube's base image [default: its own]
    #[arg(long, value_name = "IMAGE")]
    node_image: Option<String>,
    /// A kind configuration to merge into the generated one
    #[arg(long, value_name = "FILE")]
    kind_config: Option<String>,
    /// minikube's driver [default: docker]
    #[arg(long, value_name = "NAME")]
    driver: Option<String>,
    /// The container runtime of minikube's nodes [default: containerd]
    #[arg(long, value_name = "NAME")]
    container_runtime: Option<String>,
    /// CPUs of each of minikube's nodes [default: minikube's]
    #[arg(long, value_name = "N")]
    cpus: Option<String>,
    /// Memory of each of minikube's nodes, such as 4g [default: minikube's]
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// A further flag of `minikube start`, such as --disk-size=40g; may be repeated
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    minikube_flag: Vec<String>,
    /// The network of a VPC that is made for eks [default: 10.0.0.0/16]
    #[arg(long, value_name = "CIDR")]
    vpc_cidr: Option<String>,
    /// NAT gateways on eks: single (default), per-zone or none
    #[arg(long, value_name = "HOW")]
    nat: Option<String>,
    /// From where the API server of eks may be reached [default: anywhere, with credentials]; may be repeated
    #[arg(long, value_name = "CIDR")]
    public_cidr: Vec<String>,
    /// Pull images of HOST through URL first; may be repeated
    #[arg(long, value_name = "HOST=URL")]
    registry_mirror: Vec<String>,
    /// PEM certificates that nodes and builds must trust
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<String>,
}

/// The stack and its variations.
#[derive(Debug, Args)]
#[command(next_help_heading = "Stack options")]
pub struct StackArgs {
    /// An embedded stack or a folder with a stack.yaml [default: the stack.yaml of this folder, else hello]
    #[arg(help_heading = None::<&str>)]
    pub stack: Option<String>,
    /// Set a value that the stack declares; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Leave out a component; may be repeated
    #[arg(long, value_name = "COMPONENT")]
    pub without: Vec<String>,
}

/// Where a local cluster's edge is reached.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Edge options")]
pub struct EdgeArgs {
    /// Port of 127.0.0.1 for a local cluster's edge [default: 8443 or a free one]
    #[arg(long, value_name = "PORT")]
    https_port: Option<String>,
    /// The same for plain HTTP [default: 8080 or a free one]
    #[arg(long, value_name = "PORT")]
    http_port: Option<String>,
}

/// How long is waited.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Wait options")]
pub struct WaitArgs {
    /// For everything that is waited for [default: 5m]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
}

impl WaitArgs {
    /// Whether `--timeout` itself was given.
    pub fn is_given(&self) -> bool {
        self.timeout.is_some()
    }
}

/// What the flags of a command say about settings, collected from the groups that it has.
#[derive(Default)]
pub struct FlagGroups<'a> {
    pub new_cluster: Option<&'a NewClusterArgs>,
    pub stack: Option<&'a StackArgs>,
    pub wait: Option<&'a WaitArgs>,
    pub agent_image: Option<&'a String>,
    pub edge: Option<&'a EdgeArgs>,
}

impl FlagGroups<'_> {
    pub fn settings(&self, target: &Target) -> Result<Settings> {
        Settings::resolve(self.flags(target), &|name| std::env::var(name).ok())
    }

    fn flags(&self, target: &Target) -> Flags {
        let one = |value: &Option<String>| value.iter().cloned().collect::<Vec<_>>();
        let mut flags = vec![
            ("provider", one(&target.provider)),
            ("clusterName", one(&target.cluster_name)),
            ("region", one(&target.region)),
            ("account", one(&target.account)),
            ("context", one(&target.context)),
            ("namespace", one(&target.namespace)),
            ("registry", one(&target.registry)),
        ];
        if let Some(new) = self.new_cluster {
            flags.extend([
                ("nodes", one(&new.nodes)),
                ("kubernetesVersion", one(&new.kubernetes_version)),
                ("nodeImage", one(&new.node_image)),
                ("kindConfig", one(&new.kind_config)),
                ("driver", one(&new.driver)),
                ("containerRuntime", one(&new.container_runtime)),
                ("cpus", one(&new.cpus)),
                ("memory", one(&new.memory)),
                ("minikubeFlags", new.minikube_flag.clone()),
                ("vpcCidr", one(&new.vpc_cidr)),
                ("nat", one(&new.nat)),
                ("publicCidrs", new.public_cidr.clone()),
                ("registryMirrors", new.registry_mirror.clone()),
                ("caBundle", one(&new.ca_bundle)),
            ]);
        }
        if let Some(stack) = self.stack {
            flags.push(("without", stack.without.clone()));
        }
        if let Some(wait) = self.wait {
            flags.push(("timeout", one(&wait.timeout)));
        }
        if let Some(edge) = self.edge {
            flags.extend([("httpsPort", one(&edge.https_port)), ("httpPort", one(&edge.http_port))]);
        }
        flags.push(("agentImage", self.agent_image.into_iter().cloned().collect()));
        flags.into_iter().filter(|(_, values)| !values.is_empty()).collect()
    }
}

/// `test-NAME` becomes `test NAME`, and `rbac-test` what proves access; everything else stays.
pub fn expand_aliases(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let mut seen_command = false;
    let mut expanded = Vec::new();
    for (position, argument) in arguments.into_iter().enumerate() {
        let text = argument.to_str().unwrap_or_default();
        if position > 0 && !seen_command && !text.starts_with('-') {
            seen_command = true;
            if text == "rbac-test" {
                expanded.extend(["test", "--proof", "rbac"].map(Into::into));
                continue;
            }
            if let Some(stack) = text.strip_prefix("test-").filter(|stack| !stack.is_empty()) {
                expanded.extend(["test".into(), stack.into()]);
                continue;
            }
        }
        expanded.push(argument);
    }
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_command_itself_is_an_alias() {
        let expand = |words: &[&str]| -> Vec<String> {
            expand_aliases(words.iter().map(Into::into)).into_iter().map(|word| word.into_string().unwrap()).collect()
        };
        assert_eq!(
            expand(&["stackctl", "-v", "test-hello", "--junit", "f"]),
            ["stackctl", "-v", "test", "hello", "--junit", "f"]
        );
        assert_eq!(expand(&["stackctl", "up", "test-hello"]), ["stackctl", "up", "test-hello"]);
        assert_eq!(
            expand(&["stackctl", "-v", "rbac-test", "hello"]),
            ["stackctl", "-v", "test", "--proof", "rbac", "hello"]
        );
        assert_eq!(expand(&["stackctl", "up", "rbac-test"]), ["stackctl", "up", "rbac-test"]);
        assert_eq!(expand(&["stackctl", "test-"]), ["stackctl", "test-"]);
    }
}
