//! The command line as help shows it: commands in groups, and two examples of each.

use clap::{Command, CommandFactory, FromArgMatches};

use super::Cli;

const GROUPS: [(&str, &[&str]); 6] = [
    ("Run", &["up", "deploy", "test", "run", "backup", "restore", "loadgen", "down"]),
    ("Look", &["plan", "diff", "status", "logs", "urls", "open", "forward", "doctor", "list", "render", "schema"]),
    ("Images", &["build", "push", "gc", "login", "logout"]),
    ("Local machine", &["stop", "start", "kubeconfig", "ca", "password"]),
    ("AWS", &["cost", "sweep", "eks-token", "eks-policy"]),
    ("Shell", &["completions", "man", "version", "help"]),
];

const EXAMPLES: [(&str, [&str; 2]); 36] = [
    ("up", ["stackctl up", "stackctl up ./shop --test"]),
    (
        "deploy",
        ["stackctl deploy ./shop --context staging --registry ghcr.io/acme", "stackctl deploy ./shop --tag v1.4"],
    ),
    ("test", ["stackctl test", "stackctl test ./shop --junit proofs.xml"]),
    ("run", ["stackctl run ./shop", "stackctl run ./shop migrate --set version=7"]),
    ("backup", ["stackctl backup ./shop", "stackctl backup ./shop --timeout 30m"]),
    ("restore", ["stackctl restore ./shop", "stackctl restore ./shop --set backup=monday"]),
    (
        "loadgen",
        ["stackctl loadgen hello --duration 60s --report load.html", "stackctl loadgen --url http://127.0.0.1:8400/"],
    ),
    ("down", ["stackctl down ./shop", "stackctl down --cluster --yes"]),
    ("plan", ["stackctl plan ./shop", "stackctl plan --output json"]),
    ("diff", ["stackctl diff ./shop", "stackctl diff --set maxReplicas=20"]),
    ("status", ["stackctl status", "stackctl status --watch"]),
    ("logs", ["stackctl logs hello-service --follow", "stackctl logs --since 10m"]),
    ("urls", ["stackctl urls", "stackctl urls ./shop --output json"]),
    ("open", ["stackctl open", "stackctl open grafana"]),
    ("forward", ["stackctl forward hello-service:8400", "stackctl forward 8080:web:80 api"]),
    ("doctor", ["stackctl doctor", "stackctl doctor --registry ghcr.io/acme"]),
    ("list", ["stackctl list", "stackctl list --output json"]),
    ("render", ["stackctl render ./shop > shop.yaml", "stackctl render hello --set maxReplicas=20"]),
    ("cost", ["stackctl cost --provider eks", "stackctl cost --provider eks --region eu-central-1 --output json"]),
    ("sweep", ["stackctl sweep --provider eks --dry-run", "stackctl sweep --provider eks --expired --yes"]),
    ("eks-token", ["stackctl eks-token stackctl-hello-1a2b3c", "stackctl eks-token prod --region eu-central-1"]),
    (
        "eks-policy",
        [
            "stackctl eks-policy > policy.json",
            "aws iam create-policy --policy-name stackctl --policy-document \"$(stackctl eks-policy)\"",
        ],
    ),
    ("schema", ["stackctl schema > stack.schema.json", "stackctl schema component"]),
    ("build", ["stackctl build ./shop", "stackctl build --build-arg VERSION=1.4 --pull"]),
    ("push", ["stackctl push ./shop --registry ghcr.io/acme", "stackctl push ./shop --registry ghcr.io/acme --pull"]),
    ("gc", ["stackctl gc", "stackctl gc ./shop --keep 1"]),
    ("login", ["stackctl login ghcr.io/acme", "stackctl login registry.example.com --username ci --token-stdin"]),
    ("logout", ["stackctl logout ghcr.io/acme", "stackctl logout registry.example.com"]),
    ("stop", ["stackctl stop", "stackctl stop --cluster-name other"]),
    ("start", ["stackctl start", "stackctl start --cluster-name other"]),
    ("kubeconfig", ["stackctl kubeconfig > kubeconfig", "stackctl kubeconfig --cluster-name other"]),
    ("ca", ["stackctl ca trust", "curl --cacert \"$(stackctl ca path)\" https://localhost:8443/hello/"]),
    ("password", ["stackctl password grafana-admin", "stackctl password database --stack ./shop"]),
    (
        "completions",
        ["stackctl completions bash > /etc/bash_completion.d/stackctl", "stackctl completions zsh > _stackctl"],
    ),
    ("man", ["stackctl man up | man -l -", "stackctl man ca trust"]),
    ("version", ["stackctl version", "stackctl version --output json"]),
];

/// The whole command line, with examples.
pub fn command() -> Command {
    EXAMPLES.iter().fold(Cli::command(), |command, (name, [one, other])| {
        command.mut_subcommand(name, |below| below.after_help(format!("Examples:\n  {one}\n  {other}")))
    })
}

/// The same, with its commands in groups. They are in the template, so that the list of them that clap would make is not
/// wanted.
fn grouped() -> Command {
    let plain = command();
    let groups = groups(&plain).replace('{', "{{").replace('}', "}}");
    let head = "{before-help}{about-with-newline}\n{usage-heading} {usage}\n\n";
    plain.help_template(format!("{head}{groups}{{all-args}}{{after-help}}")).mut_subcommands(|below| below.hide(true))
}

/// Reads the arguments of this process. Err: a mistake, or help that was asked for.
pub fn parse(arguments: Vec<std::ffi::OsString>) -> Result<Cli, clap::Error> {
    let mut command = grouped();
    let matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// The commands, a line each, under the names of their groups.
fn groups(cli: &Command) -> String {
    let about = |name: &str| {
        let about = cli.find_subcommand(name).and_then(Command::get_about).map(ToString::to_string);
        let about = about.unwrap_or_else(|| "Print this, or the help of a command".to_owned());
        about.split(';').next().unwrap_or_default().to_owned()
    };
    let mut text = String::new();
    for (group, names) in GROUPS {
        text.push_str(&format!("{group}:\n"));
        for name in names {
            text.push_str(&format!("  {name:<12} {}\n", about(name)));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn shown() -> BTreeSet<String> {
        let cli = Cli::command();
        let shown = cli.get_subcommands().filter(|command| !command.is_hide_set());
        shown.map(|command| command.get_name().to_owned()).collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        grouped().debug_assert();
    }

    #[test]
    fn every_command_is_in_one_group_and_has_examples() {
        let grouped: Vec<&str> =
            GROUPS.iter().flat_map(|(_, names)| *names).copied().filter(|name| *name != "help").collect();
        assert_eq!(grouped.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), shown());
        assert_eq!(grouped.len(), shown().len(), "each in one group");
        assert_eq!(EXAMPLES.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>(), shown());
    }

    #[test]
    fn every_example_can_be_parsed() {
        for (name, examples) in EXAMPLES {
            for example in examples.into_iter().filter(|example| example.starts_with("stackctl")) {
                let words = example.split([' ']).take_while(|word| !matches!(*word, ">" | "|")).map(Into::into);
                let words = crate::cli::expand_aliases(words);
                let parsed = grouped().try_get_matches_from(&words);
                let parsed = parsed.unwrap_or_else(|error| panic!("{example}: {error}"));
                assert_eq!(parsed.subcommand_name(), Some(name), "{example}");
            }
        }
    }

    /// `STACKCTL_WRITE_DOCS=1` writes the page anew.
    #[test]
    fn the_page_of_the_command_line_is_what_help_says() {
        let mut page = "# Command line\n\nWhat `stackctl --help` and `stackctl COMMAND --help` print. Written by a test, which compares it:\n\
                        `STACKCTL_WRITE_DOCS=1 cargo test --bin stackctl the_page_of_the_command_line`.\n\n\
                        Options that all commands have are listed once, under `stackctl`.\n"
            .to_owned();
        // Help is as wide as the terminal; the page is not.
        let mut cli = grouped().term_width(100);
        cli.build();
        let mut add = |title: &str, command: &mut Command| {
            let help = command.render_long_help().to_string();
            let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
            page.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
        };
        add("stackctl", &mut cli.clone());
        for (_, names) in GROUPS {
            for name in names.iter().filter(|name| **name != "help") {
                let hidden =
                    |argument: clap::Arg| if argument.is_global_set() { argument.hide(true) } else { argument };
                let mut below = cli.find_subcommand(name).unwrap().clone().term_width(100).mut_args(hidden);
                add(&format!("stackctl {name}"), &mut below);
                for inner in
                    below.clone().get_subcommands().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set())
                {
                    add(
                        &format!("stackctl {name} {}", inner.get_name()),
                        &mut inner.clone().term_width(100).mut_args(hidden),
                    );
                }
            }
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
        if std::env::var_os("STACKCTL_WRITE_DOCS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == page, "docs/cli.md is not what help says; STACKCTL_WRITE_DOCS=1 writes it anew");
    }
}
