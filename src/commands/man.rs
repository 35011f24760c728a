use clap::Args;

use crate::{
    commands::app::App,
    commands::help,
    error::{Context, Error, Kind, Result},
    report::document::Page,
};

/// Print the manual page of stackctl or of one command
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Of which command, such as up or ca trust
    command: Vec<String>,
}

pub async fn run(args: ManArgs, app: &App) -> Result<()> {
    let mut cli = help::command();
    cli.build();
    let mut command = &cli;
    // `man ca trust` and `man "ca trust"` are the same.
    for name in args.command.iter().flat_map(|words| words.split_whitespace()) {
        command = command.find_subcommand(name).ok_or_else(|| {
            let whole = args.command.join(" ");
            let above = command.get_bin_name().unwrap_or("stackctl");
            Error::new(Kind::Usage, format!("there is no command {whole}"))
                .hint(format!("`{above} --help` lists those that there are"))
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .source(concat!("stackctl ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .context(Kind::Unexpected, || "cannot render the page".to_owned())?;
    let page = String::from_utf8_lossy(&page);
    app.show(|| page.to_string(), &Page { page: page.as_ref() }).await;
    Ok(())
}
