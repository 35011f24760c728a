//! Questions at the terminal: on stderr, because stdout carries data.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Context, Error, Kind, Result},
    event::interrupt::until_cancelled,
};

/// A token is shorter; whoever pipes a file by mistake is told so early.
const LONGEST: u64 = 64 * 1024;

pub fn is_possible() -> bool {
    io::stdin().is_terminal()
}

/// One line, shown as it is typed.
pub async fn line(question: &str, cancel: &CancellationToken) -> Result<String> {
    answer(question, cancel).await
}

/// One line, typed unseen. The terminal is as before afterwards, however it ends.
pub async fn secret(question: &str, cancel: &CancellationToken) -> Result<String> {
    let hidden = Hidden::begin()?;
    let answer = answer(question, cancel).await;
    drop(hidden);
    // The return key was not echoed either.
    let _ = writeln!(io::stderr());
    answer
}

/// All of stdin: what a pipe or a file holds.
pub async fn piped() -> Result<String> {
    crate::error::blocking(|| {
        let mut text = String::new();
        let read = io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text);
        let length = read.context(Kind::Usage, || "cannot read the token from stdin".to_owned())?;
        match u64::try_from(length).is_ok_and(|length| length <= LONGEST) {
            true => Ok(text),
            false => Err(Error::new(Kind::Usage, "what stdin holds is too long for a token")),
        }
    })
    .await
}

async fn answer(question: &str, cancel: &CancellationToken) -> Result<String> {
    let mut stderr = io::stderr();
    let _ = write!(stderr, "{question}");
    let _ = stderr.flush();
    let read = crate::error::blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).context(Kind::Usage, || "cannot read from the terminal".to_owned())?;
        Ok(line)
    });
    until_cancelled(cancel, read).await.map(|line| line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A terminal that does not show what is typed, as long as this lives.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> Result<Hidden> {
        let what = || "cannot hide what is typed at this terminal".to_owned();
        let before = termios::tcgetattr(io::stdin()).context(Kind::Usage, what)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).context(Kind::Usage, what)?;
        Ok(Hidden(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
