//! The only place that writes to the standard streams.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    sync::{LazyLock, OnceLock},
};

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind};

/// Cancelled when stdout takes no more, whatever the reason.
static CLOSED: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);
/// Why data was lost. A process has one stdout, so that is a fact about the process.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Data, with a final line feed if it lacks one. A reader that went away (`| head`) is no error; everything else that
/// keeps data from being written is `lost`.
pub fn data(text: &str) {
    if CLOSED.is_cancelled() {
        return;
    }
    let mut stdout = io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    if let Err(error) = write!(stdout, "{text}{end}").and_then(|()| stdout.flush()) {
        written(Err(error));
    }
}

/// Remembers how writing to stdout ended, for whoever writes there without `data`.
pub fn written(result: io::Result<()>) {
    let Err(error) = result else { return };
    if error.kind() != ErrorKind::BrokenPipe {
        // The first failure is the cause of those after it.
        let _ = LOST.set(error);
    }
    CLOSED.cancel();
}

/// The failure of the command whose data could not be written.
pub fn lost() -> Option<Error> {
    let cause = LOST.get()?;
    Some(Error::new(Kind::Unexpected, "the output could not be written to stdout").cause(cause))
}

/// Returns once nobody takes data any more.
pub async fn closed() {
    CLOSED.cancelled().await;
}

/// Data in place of what stood on the screen, where stdout is one; else after it.
pub fn screen(text: &str) {
    if std::io::stdout().is_terminal() {
        // Home, then the text with each line's rest cleared, then what is below.
        let lines: String = text.lines().map(|line| format!("{line}\x1b[K\n")).collect();
        data(&format!("\x1b[H{lines}\x1b[J"));
    } else {
        data(&format!("{text}\n\n"));
    }
}

/// One line of progress or of an error.
pub fn progress(line: &str) {
    raw(&format!("{line}\n"));
}

/// Terminal control and text, written at once so that a frame never shows half drawn.
pub fn raw(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Columns and rows of the terminal behind stderr; None when there is none.
pub fn terminal_size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}
