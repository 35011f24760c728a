//! The only place that writes to the standard streams.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal, Write};

/// Data, with a final line feed if it lacks one. A reader that went away (`| head`) is no error.
pub fn data(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let _ = write!(stdout, "{text}{end}").and_then(|()| stdout.flush());
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
