use std::path::PathBuf;

use clap::Args;

use crate::{
    commands::app::App,
    error::Result,
    load::{compare::compare, history::read},
    report::{self, document::Page},
};

/// Show the document of a load run again: as text, as a page, or beside an earlier one
#[derive(Debug, Args)]
pub struct LoadViewArgs {
    document: PathBuf,
    /// Print the HTML page
    #[arg(long, conflicts_with = "compare")]
    page: bool,
    /// Print what changed since this one
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

pub async fn run(args: LoadViewArgs, app: &App) -> Result<()> {
    let document = read(&args.document)?;
    let paint = app.view.paint();
    if let Some(previous) = &args.compare {
        let comparison = compare(&read(previous)?, &document)?;
        app.show(|| report::load_comparison(&comparison, paint), &comparison).await;
    } else if args.page {
        let page = report::load_page(&document);
        app.show(|| page.clone(), &Page { page: &page }).await;
    } else {
        app.show(|| report::load_summary(&document, paint), &document).await;
    }
    Ok(())
}
