//! What becomes of a load run's document: text, a page, a comparison. `loadgen`'s own, beside how it sends.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use crate::{
    app::App,
    error::{Context, Error, Kind, Result},
    load::{
        compare::{Comparison, compare},
        document::LoadDocument,
    },
    report,
};

#[derive(Debug, Args)]
#[command(next_help_heading = "Result options")]
pub struct LoadOutputArgs {
    /// Write an HTML page with charts, which loads nothing
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Tell what changed since an earlier run of the same load, from what --output json printed
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

/// Checked before the load begins: it would be sent for nothing if its results had no place.
#[derive(Debug)]
pub struct LoadOutput {
    page: Option<(PathBuf, File)>,
    previous: Option<LoadDocument>,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    document: &'a LoadDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a Comparison>,
}

impl LoadOutputArgs {
    pub fn open(&self) -> Result<LoadOutput> {
        let previous = self.compare.as_deref().map(read).transpose()?;
        let open = |file: &PathBuf| {
            // Emptied only when there is something to put in.
            let opened = OpenOptions::new().write(true).create(true).truncate(false).open(file);
            Ok((file.clone(), opened.context(Kind::Usage, || format!("cannot write the report {}", file.display()))?))
        };
        Ok(LoadOutput { page: self.report.as_ref().map(open).transpose()?, previous })
    }
}

impl LoadOutput {
    /// Writes the page and shows the rest; ends with `failed`, else with what went wrong here.
    pub async fn show(self, document: &LoadDocument, failed: Option<Error>, app: &App) -> Result<()> {
        let mut failed = failed;
        if let Some((path, mut file)) = self.page {
            let page = report::load_page(document);
            let written = file.set_len(0).and_then(|()| file.write_all(page.as_bytes()));
            if let Err(error) = written.context(Kind::Usage, || format!("cannot write the report {}", path.display())) {
                failed.get_or_insert(error);
            }
        }
        let comparison = match self.previous.map(|previous| compare(&previous, document)) {
            Some(Ok(comparison)) => Some(comparison),
            Some(Err(error)) => {
                failed.get_or_insert(error);
                None
            }
            None => None,
        };
        let paint = app.view.paint();
        let text = || {
            let summary = report::load_summary(document, paint);
            match &comparison {
                Some(comparison) => format!("{summary}\n\n{}", report::load_comparison(comparison, paint)),
                None => summary,
            }
        };
        let shown = Shown { document, comparison: comparison.as_ref() };
        match failed {
            None => app.show(text, &shown).await,
            Some(error) => app.fail_with(text, &shown, error).await?,
        }
        Ok(())
    }
}

/// The document of an earlier run.
pub fn read(file: &Path) -> Result<LoadDocument> {
    let text = std::fs::read_to_string(file)
        .context(Kind::Usage, || format!("cannot read the load run {}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| {
        Error::new(Kind::Usage, format!("{} is no document of a load run: {error}", file.display()))
            .hint("`stackctl loadgen --output json` prints one")
    })
}
