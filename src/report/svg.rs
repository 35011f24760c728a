//! A picture of a terminal session: text with ANSI colours becomes a self-contained SVG.

use std::fmt::Write;

use super::xml::escape;

const CELL: f64 = 8.4;
const LINE: f64 = 19.0;
const MARGIN: f64 = 16.0;
const BAR: f64 = 34.0;

const BACKGROUND: &str = "#14181f";
const FOREGROUND: &str = "#d7dce2";
/// The 16 colours: normal, then bright.
const PALETTE: [&str; 16] = [
    "#3b4252", "#e05f65", "#78b892", "#e0af68", "#6791c9", "#bc83e3", "#67afc1", "#d7dce2", "#6b7688", "#f0787e",
    "#8fd6ab", "#f0c987", "#83abe0", "#cf9cf0", "#84cbdc", "#ffffff",
];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    color: Option<u8>,
    bold: bool,
    dim: bool,
}

impl Look {
    /// Applies one SGR sequence, such as `1;31`. Unknown parameters are ignored; 256 and true colours are skipped.
    fn apply(&mut self, parameters: &str) {
        let mut codes = parameters.split([';', ':']).map(|code| code.parse().unwrap_or(0u8));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Look::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                22 => (self.bold, self.dim) = (false, false),
                30..=37 => self.color = Some(code - 30),
                39 => self.color = None,
                90..=97 => self.color = Some(code - 90 + 8),
                38 | 48 => match codes.next() {
                    Some(5) => drop(codes.next()),
                    Some(2) => drop((codes.next(), codes.next(), codes.next())),
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

/// Text of one look.
type Run = (Look, String);

/// `ansi_text`: lines with SGR sequences (8 and 16 colours, bold, dim); other sequences are dropped. Lines wrap at
/// `columns` characters.
pub fn terminal_svg(title: &str, ansi_text: &str, columns: usize) -> String {
    let columns = columns.max(1);
    let mut lines = parse(ansi_text, columns);
    let blank = |line: &Vec<Run>| line.iter().all(|(_, text)| text.trim().is_empty());
    while lines.last().is_some_and(blank) {
        lines.pop();
    }
    let width = MARGIN * 2.0 + CELL * columns as f64;
    let height = BAR + MARGIN + LINE * lines.len() as f64;
    let title = escape(title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\" aria-label=\"{title}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    );
    for (n, color) in ["#ff5f57", "#febc2e", "#28c840"].iter().enumerate() {
        let x = MARGIN + 6.0 + 18.0 * n as f64;
        let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"17\" r=\"5.5\" fill=\"{color}\"/>");
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"21\" fill=\"#8b95a5\" font-family=\"system-ui, sans-serif\" font-size=\"12\" \
         text-anchor=\"middle\">{title}</text>",
        width / 2.0
    );
    svg += "<g font-family=\"ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace\" \
            font-size=\"14\" xml:space=\"preserve\">\n";
    for (row, line) in lines.iter().enumerate() {
        let y = BAR + LINE * (row as f64 + 0.8);
        let mut column = 0;
        for (look, text) in line {
            let length = text.chars().count();
            if !text.trim().is_empty() {
                let _ = writeln!(svg, "{}", run(*look, text, MARGIN + CELL * column as f64, y, length));
            }
            column += length;
        }
    }
    svg + "</g>\n</svg>\n"
}

fn run(look: Look, text: &str, x: f64, y: f64, length: usize) -> String {
    let fill = look.color.map_or(FOREGROUND, |color| PALETTE[usize::from(color) % PALETTE.len()]);
    let bold = if look.bold { " font-weight=\"bold\"" } else { "" };
    let dim = if look.dim { " opacity=\"0.6\"" } else { "" };
    // textLength keeps the columns whatever font the reader has; spaces become fixed ones so that none collapses.
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{:.1}\" fill=\"{fill}\"{bold}{dim}>{}</text>",
        CELL * length as f64,
        escape(&text.replace(' ', "\u{a0}"))
    )
}

fn parse(text: &str, columns: usize) -> Vec<Vec<Run>> {
    let mut lines = vec![Vec::new()];
    let mut look = Look::default();
    let mut column = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => {
                if chars.next_if_eq(&'[').is_some() {
                    let mut parameters = String::new();
                    let end = chars.by_ref().find(|&c| {
                        let end = ('\x40'..='\x7e').contains(&c);
                        if !end {
                            parameters.push(c);
                        }
                        end
                    });
                    if end == Some('m') {
                        look.apply(&parameters);
                    }
                }
            }
            '\n' => {
                lines.push(Vec::new());
                column = 0;
            }
            c if c.is_control() => {}
            c => {
                if column == columns {
                    lines.push(Vec::new());
                    column = 0;
                }
                column += 1;
                push(&mut lines, look, c);
            }
        }
    }
    lines
}

fn push(lines: &mut [Vec<Run>], look: Look, c: char) {
    let Some(line) = lines.last_mut() else { return };
    match line.last_mut() {
        Some((last, text)) if *last == look => text.push(c),
        _ => line.push((look, c.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::xml::well_formed, *};

    #[test]
    fn colours_become_runs() {
        let svg =
            terminal_svg("stackctl up", "$ stackctl up\n\x1b[32m✓\x1b[0m build:hello  \x1b[2m12.3 s\x1b[0m <&>", 80);
        insta::assert_snapshot!(svg, @r###"
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 704.0 88.0" width="704" height="88" role="img" aria-label="stackctl up">
        <rect width="100%" height="100%" rx="8" fill="#14181f"/>
        <circle cx="22" cy="17" r="5.5" fill="#ff5f57"/>
        <circle cx="40" cy="17" r="5.5" fill="#febc2e"/>
        <circle cx="58" cy="17" r="5.5" fill="#28c840"/>
        <text x="352.0" y="21" fill="#8b95a5" font-family="system-ui, sans-serif" font-size="12" text-anchor="middle">stackctl up</text>
        <g font-family="ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" xml:space="preserve">
        <text x="16.0" y="49.2" textLength="109.2" fill="#d7dce2">$ stackctl up</text>
        <text x="16.0" y="68.2" textLength="8.4" fill="#78b892">✓</text>
        <text x="24.4" y="68.2" textLength="117.6" fill="#d7dce2"> build:hello  </text>
        <text x="142.0" y="68.2" textLength="50.4" fill="#d7dce2" opacity="0.6">12.3 s</text>
        <text x="192.4" y="68.2" textLength="33.6" fill="#d7dce2"> &lt;&amp;&gt;</text>
        </g>
        </svg>
        "###);
        well_formed(&svg).unwrap();
    }

    #[test]
    fn reads_sequences_and_wraps() {
        let plain = Look::default();
        let red = Look { color: Some(1), bold: true, dim: false };
        assert_eq!(
            parse("a\x1b[1;31mbc\x1b[2Kd\x1b[38;5;200m\x1b[0me", 3),
            [
                vec![(plain, "a".to_owned()), (red, "bc".to_owned())],
                vec![(red, "d".to_owned()), (plain, "e".to_owned())]
            ]
        );
    }

    #[test]
    fn blank_lines_at_the_end_are_dropped() {
        let svg = |text| terminal_svg("t", text, 80).lines().next().map(str::to_owned);
        assert_eq!(svg("a\n\x1b[0m \x1b[2m\n\n"), svg("a"));
        assert_ne!(svg("a\n\nb"), svg("a"));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_well_formed_picture(
            title in any::<String>(), text in "(\\PC|\x1b|\\[|[0-9;m]|\n)*", columns in 0usize..200
        ) {
            prop_assert!(well_formed(&terminal_svg(&title, &text, columns)).is_ok());
        }
    }
}
