use clap::{Args, CommandFactory};
use serde_json::json;

use crate::{
    app::App,
    cli::Cli,
    error::{Context, Kind, Result},
};

/// Print the manual page of stackctl or of one command
#[derive(Debug, Args)]
pub struct ManArgs {
    command: Option<String>,
}

pub async fn run(args: ManArgs, app: &App) -> Result<()> {
    let mut cli = Cli::command();
    cli.build();
    let command = match &args.command {
        None => cli,
        Some(name) => cli.find_subcommand(name).cloned().ok_or_else(|| {
            crate::error::Error::new(Kind::Usage, format!("there is no command {name}"))
                .hint("`stackctl --help` lists them")
        })?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .source(concat!("stackctl ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .context(Kind::Unexpected, || "cannot render the page".to_owned())?;
    let page = String::from_utf8_lossy(&page);
    app.show(|| page.to_string(), &json!({ "page": page })).await;
    Ok(())
}
