//! What ratatui drew, as lines for the canvas: so the terminal keeps one owner.

use ratatui::{
    buffer::Buffer,
    style::{Color, Modifier},
};

/// One line for each row, with SGR sequences where `color`; no blanks at the end of a line.
pub fn lines(buffer: &Buffer, color: bool) -> Vec<String> {
    let area = buffer.area();
    (area.top()..area.bottom()).map(|y| line(buffer, y, color)).collect()
}

fn line(buffer: &Buffer, y: u16, color: bool) -> String {
    let area = buffer.area();
    let cell = |x| buffer.cell((x, y));
    let end = (area.left()..area.right()).rev().find(|&x| cell(x).is_some_and(|cell| cell.symbol() != " "));
    let Some(end) = end else { return String::new() };
    let mut text = String::new();
    let mut look = String::new();
    for x in area.left()..=end {
        let Some(cell) = cell(x) else { continue };
        let next = if color { codes(cell.fg, cell.modifier) } else { String::new() };
        if next != look {
            if !look.is_empty() {
                text += "\x1b[0m";
            }
            if !next.is_empty() {
                text += &format!("\x1b[{next}m");
            }
            look = next;
        }
        text += cell.symbol();
    }
    if !look.is_empty() {
        text += "\x1b[0m";
    }
    text
}

/// SGR parameters of the colours and modifiers that the charts use.
fn codes(color: Color, modifier: Modifier) -> String {
    let color = match color {
        Color::Red => Some("31"),
        Color::Green => Some("32"),
        Color::Yellow => Some("33"),
        Color::Blue => Some("34"),
        Color::Magenta => Some("35"),
        Color::Cyan => Some("36"),
        Color::DarkGray => Some("90"),
        _ => None,
    };
    let bold = modifier.contains(Modifier::BOLD).then_some("1");
    let dim = modifier.contains(Modifier::DIM).then_some("2");
    [bold, dim, color].into_iter().flatten().collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use ratatui::{layout::Rect, style::Style};

    use super::*;

    #[test]
    fn styles_become_sequences_and_blank_ends_go() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 2));
        buffer.set_string(0, 0, "ab", Style::new().fg(Color::Cyan));
        buffer.set_string(2, 0, "c", Style::new().add_modifier(Modifier::BOLD).fg(Color::Red));
        buffer.set_string(3, 0, " d", Style::new());
        assert_eq!(lines(&buffer, true), ["\x1b[36mab\x1b[0m\x1b[1;31mc\x1b[0m d", ""]);
        assert_eq!(lines(&buffer, false), ["abc d", ""]);
    }
}
