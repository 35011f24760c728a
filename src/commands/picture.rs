use std::io::Read;

use clap::Args;

use crate::{
    commands::app::App,
    error::{Context, Kind, Result},
    report::{self, document::Picture},
};

/// Render the recording of a terminal, read from stdin, as an SVG picture of what stood there at its end
#[derive(Debug, Args)]
pub struct PictureArgs {
    #[arg(long)]
    title: String,
    /// As wide as the terminal was
    #[arg(long, default_value_t = 100)]
    columns: usize,
    /// Leave out warnings, which are about the machine that recorded it
    #[arg(long)]
    without_warnings: bool,
}

pub async fn run(args: PictureArgs, app: &App) -> Result<()> {
    let mut recording = Vec::new();
    std::io::stdin().read_to_end(&mut recording).context(Kind::Usage, || "cannot read the recording".to_owned())?;
    let mut text = settled(&String::from_utf8_lossy(&recording));
    if args.without_warnings {
        text = text.lines().filter(|line| !is_warning(line)).collect::<Vec<_>>().join("\n");
    }
    let svg = report::terminal_svg(&args.title, &text, args.columns);
    app.show(|| svg.clone(), &Picture { svg: &svg }).await;
    Ok(())
}

/// Whether the first word of a line, colours aside, says so.
fn is_warning(line: &str) -> bool {
    let mut rest = line;
    while let Some(after) = rest.strip_prefix("\x1b[").and_then(|code| code.split_once('m')) {
        rest = after.1;
    }
    rest.starts_with("warning:")
}

/// The lines as they stand at the end, colours kept: frames that were drawn over are gone. Follows what the live tree
/// writes (cursor up, carriage return, erase below, erase line), on lines that do not wrap; other sequences are dropped.
fn settled(recording: &str) -> String {
    let mut lines = vec![String::new()];
    let mut row = 0;
    let mut chars = recording.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => {
                row += 1;
                if row == lines.len() {
                    lines.push(String::new());
                }
            }
            // Before a line feed it is only the terminal's own line ending.
            '\r' if !matches!(chars.peek(), Some('\r' | '\n' | '\x1b')) => lines[row].clear(),
            '\x1b' => {
                if chars.next_if_eq(&'[').is_none() {
                    chars.next();
                    continue;
                }
                let mut parameters = String::new();
                let end = chars.by_ref().find(|&c| {
                    let end = ('\x40'..='\x7e').contains(&c);
                    if !end {
                        parameters.push(c);
                    }
                    end
                });
                match end {
                    Some('m') => lines[row] += &format!("\x1b[{parameters}m"),
                    Some('A') => row = row.saturating_sub(parameters.parse().unwrap_or(1)),
                    Some('J') => {
                        lines.truncate(row + 1);
                        lines[row].clear();
                    }
                    Some('K') => lines[row].clear(),
                    _ => {}
                }
            }
            c if c.is_control() => {}
            c => lines[row].push(c),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn warnings_are_known_by_their_first_word() {
        assert!(is_warning("\x1b[1m\x1b[33mwarning:\x1b[0m cgroup: version 1") && is_warning("warning: x"));
        assert!(!is_warning("\x1b[32m✓\x1b[0m warning: x") && !is_warning(""));
    }

    #[test]
    fn frames_that_were_drawn_over_are_gone() {
        let recording = "$ stackctl up\r\n\x1b[?2026h\x1b[?7l⠋ cluster\r\n1 of 2\r\n\x1b[?7h\x1b[?2026l\
            \x1b[?2026h\x1b[2A\r\x1b[J\x1b[32m✓\x1b[0m cluster\r\n\x1b[?7l⠋ hello\r\n\x1b[?7h\x1b[?2026l\
            \x1b[?2026h\x1b[1A\r\x1b[J\x1b[32m✓\x1b[0m hello\r\n\x1b[?7l\x1b[?7h\x1b[?2026ldone\r\n";
        assert_eq!(settled(recording), "$ stackctl up\n\x1b[32m✓\x1b[0m cluster\n\x1b[32m✓\x1b[0m hello\ndone\n");
    }

    #[test]
    fn a_line_written_again_replaces_the_first() {
        assert_eq!(settled("10 %\r20 %\r\nend"), "20 %\nend");
        assert_eq!(settled("old\x1b[Knew\x1b"), "new");
    }

    proptest! {
        #[test]
        fn any_recording_has_an_end(recording in "(\\PC|\x1b\\[|[0-9AJKm]|\r|\n)*") {
            prop_assert!(settled(&recording).lines().count() <= recording.matches('\n').count() + 1);
        }
    }
}
