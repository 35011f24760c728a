//! What becomes of a load run's document: text, a page, a comparison. `loadgen`'s own, beside how it sends.

use std::{
    fs::Permissions,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use tempfile::NamedTempFile;

use crate::{
    commands::app::App,
    error::{Context, Error, Kind, Result},
    load::{compare::compare, document::LoadDocument, history},
    report::{self, document::LoadResult},
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
    page: Option<(PathBuf, NamedTempFile)>,
    previous: Option<LoadDocument>,
}

impl LoadOutputArgs {
    pub fn open(&self) -> Result<LoadOutput> {
        let previous = self.compare.as_deref().map(history::read).transpose()?;
        Ok(LoadOutput { page: self.report.as_deref().map(reserve).transpose()?, previous })
    }
}

/// A file beside the one that it becomes, so that a run that fails leaves an older page alone.
fn reserve(path: &Path) -> Result<(PathBuf, NamedTempFile)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // As any file that a command writes; the umask counts.
    let made = builder.prefix(".report-").permissions(Permissions::from_mode(0o666)).tempfile_in(folder);
    Ok((path.to_owned(), made.context(Kind::Usage, || format!("cannot write the report {}", path.display()))?))
}

impl LoadOutput {
    /// Writes the page and shows the rest; ends with `failed`, else with what went wrong here.
    pub async fn show(self, document: &LoadDocument, failed: Option<Error>, app: &App) -> Result<()> {
        let mut failed = failed;
        if let Some((path, mut file)) = self.page {
            let page = report::load_page(document);
            let written = file.write_all(page.as_bytes()).and_then(|()| Ok(file.persist(&path)?));
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
        let shown = LoadResult { document, comparison: comparison.as_ref() };
        match failed {
            None => app.show(text, &shown).await,
            Some(error) => app.fail_with(text, &shown, error).await?,
        }
        Ok(())
    }
}
