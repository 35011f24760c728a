use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use crate::{commands::Cli, commands::app::App, error::Result, report::document::Completions};

/// Print a completion script for a shell
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    shell: Shell,
}

pub async fn run(args: CompletionsArgs, app: &App) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut visible(&Cli::command()), "stackctl", &mut script);
    let script = String::from_utf8_lossy(&script);
    app.show(|| script.to_string(), &Completions { shell: args.shell.to_string(), script: &script }).await;
    Ok(())
}

/// The commands that help shows too: generators of completions do not leave hidden ones out.
fn visible(command: &Command) -> Command {
    let shown = command.get_subcommands().filter(|below| !below.is_hide_set());
    let bare = Command::new("stackctl").args(command.get_arguments().cloned());
    let described = match command.get_about() {
        Some(about) => bare.about(about.clone()),
        None => bare,
    };
    described.propagate_version(true).version(env!("CARGO_PKG_VERSION")).subcommands(shown.cloned())
}
