//! Colours, durations, counts, and text made safe for a terminal.

use std::{fmt, time::Duration};

use anstyle::{AnsiColor, Style};

/// Paints text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    pub color: bool,
}

impl Paint {
    fn with(self, style: Style, text: impl fmt::Display) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    pub fn bold(self, text: impl fmt::Display) -> String {
        self.with(Style::new().bold(), text)
    }

    pub fn dim(self, text: impl fmt::Display) -> String {
        self.with(Style::new().dimmed(), text)
    }

    pub fn good(self, text: impl fmt::Display) -> String {
        self.with(AnsiColor::Green.on_default(), text)
    }

    pub fn bad(self, text: impl fmt::Display) -> String {
        self.with(AnsiColor::Red.on_default().bold(), text)
    }

    pub fn warn(self, text: impl fmt::Display) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    /// One of a row of colours, to tell sources apart.
    pub fn nth(self, index: usize, text: impl fmt::Display) -> String {
        const COLORS: [AnsiColor; 5] =
            [AnsiColor::Cyan, AnsiColor::Magenta, AnsiColor::Blue, AnsiColor::Yellow, AnsiColor::Green];
        self.with(COLORS[index % COLORS.len()].on_default(), text)
    }

    pub fn busy(self, text: impl fmt::Display) -> String {
        self.with(AnsiColor::Cyan.on_default(), text)
    }
}

/// `12 ms`, `4.2 s`, `2 min 05 s`.
pub fn duration(time: Duration) -> String {
    let millis = time.as_millis();
    match millis {
        0..1_000 => format!("{millis} ms"),
        // Rounding must not give "60.0 s".
        1_000..59_950 => format!("{:.1} s", time.as_secs_f64()),
        _ => {
            let seconds = time.as_secs_f64().round() as u64;
            format!("{} min {:02} s", seconds / 60, seconds % 60)
        }
    }
}

/// `mm:ss` since the start, the prefix of plain lines.
pub fn clock(time: Duration) -> String {
    format!("{:02}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// `980 B`, `12.3 MB`; decimal units, as docker prints them.
pub fn bytes(size: u64) -> String {
    let mut value = size as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if unit == "B" { format!("{size} B") } else { format!("{value:.1} {unit}") }
}

/// One line without escape sequences and control characters: what a child prints must not move our cursor. After a
/// carriage return only the last piece counts, as in a terminal.
pub fn clean(text: &str) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    let text = text.rsplit('\r').next().unwrap_or(text);
    let mut cleaned = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => skip_escape(&mut chars),
            '\t' => cleaned.push_str("    "),
            '\n' => cleaned.push(' '),
            c if c.is_control() => {}
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// Skips the rest of a CSI or OSC sequence, or of a two-character one.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            for c in chars.by_ref() {
                if ('\x40'..='\x7e').contains(&c) {
                    break;
                }
            }
        }
        Some(']') => {
            while let Some(c) = chars.next() {
                if c == '\x07' {
                    break;
                }
                if c == '\x1b' {
                    chars.next();
                    break;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_well() {
        let text = |millis| duration(Duration::from_millis(millis));
        assert_eq!(
            [text(0), text(999), text(1_000), text(59_949), text(59_951), text(125_400)],
            ["0 ms", "999 ms", "1.0 s", "59.9 s", "1 min 00 s", "2 min 05 s"]
        );
    }

    #[test]
    fn escapes_are_removed() {
        assert_eq!(clean("\x1b[1;31mred\x1b[0m\tx\r\n"), "red    x");
        assert_eq!(clean("\x1b]0;title\x07text"), "text");
        assert_eq!(clean("10%\r50%\r100%"), "100%");
    }

    proptest! {
        #[test]
        fn cleaned_text_has_no_control_characters(text in "(\\PC|\x1b\\[|[\\x00-\\x1f])*") {
            prop_assert!(!clean(&text).chars().any(char::is_control));
        }
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!([bytes(999), bytes(1_500), bytes(48_312_000)], ["999 B", "1.5 kB", "48.3 MB"]);
    }
}
