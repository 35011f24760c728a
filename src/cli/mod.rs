//! The command line: what can be said, and how it becomes settings. Each command's own arguments live with the command.

mod flags;

use clap::{Args, ValueEnum};

pub use flags::SettingArgs;
use flags::{Agent, Edge, Everywhere, NewCluster, Variations, Wait};

use crate::{
    error::Result,
    settings::{Settings, WITHOUT},
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
pub type Target = SettingArgs<Everywhere>;
/// How a cluster is made; ignored when it is there.
pub type NewClusterArgs = SettingArgs<NewCluster>;
/// Where a local cluster's edge is reached.
pub type EdgeArgs = SettingArgs<Edge>;
/// How long is waited.
pub type WaitArgs = SettingArgs<Wait>;
/// The image that runs in the cluster.
pub type AgentArgs = SettingArgs<Agent>;

/// The stack and its variations.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Stack options")]
pub struct StackArgs {
    /// An embedded stack or a folder with a stack.yaml [default: the stack.yaml of this folder, else hello]
    #[arg(help_heading = None::<&str>)]
    pub stack: Option<String>,
    /// Set a value that the stack declares; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub variations: SettingArgs<Variations>,
}

impl StackArgs {
    /// A stack as it is declared.
    pub fn of(stack: Option<String>) -> StackArgs {
        StackArgs { stack, ..StackArgs::default() }
    }

    /// The components that flags leave out.
    pub fn without(&self) -> &[String] {
        self.variations.values(&WITHOUT)
    }
}

/// What the flags of a command say about settings, collected from the groups that it has.
#[derive(Default)]
pub struct FlagGroups<'a> {
    pub new_cluster: Option<&'a NewClusterArgs>,
    pub stack: Option<&'a StackArgs>,
    pub wait: Option<&'a WaitArgs>,
    pub agent: Option<&'a AgentArgs>,
    pub edge: Option<&'a EdgeArgs>,
}

impl FlagGroups<'_> {
    pub fn settings(&self, target: &Target) -> Result<Settings> {
        let FlagGroups { new_cluster, stack, wait, agent, edge } = self;
        let groups = [
            new_cluster.map(SettingArgs::flags),
            stack.map(|stack| stack.variations.flags()),
            wait.map(SettingArgs::flags),
            agent.map(SettingArgs::flags),
            edge.map(SettingArgs::flags),
        ];
        let mut flags = target.flags().clone();
        groups.into_iter().flatten().for_each(|group| flags.extend(group.clone()));
        Settings::resolve(flags, &|name| std::env::var(name).ok())
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
