use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::{app::App, cli::Cli, error::Result};

/// Print a completion script for a shell
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    shell: Shell,
}

pub async fn run(args: CompletionsArgs, app: &App) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "stackctl", &mut script);
    let script = String::from_utf8_lossy(&script);
    app.show(|| script.to_string(), &json!({ "shell": args.shell.to_string(), "script": script })).await;
    Ok(())
}
