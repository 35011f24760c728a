//! Tables, results and receipts as text for stdout.

use std::fmt;

use comfy_table::{ContentArrangement, Table, presets};
use schemars::JsonSchema;

use super::style::{Paint, bytes, clean, duration};
use crate::error::words::count;
use crate::object::Removed;
use crate::proof::ProofResult;
use crate::provider::dollars;

/// Columns without lines, as kubectl prints them; cells wrap where `width` (in characters) is given.
pub fn table<const N: usize>(headers: [&str; N], rows: &[[String; N]], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headers.map(str::to_uppercase));
    for row in rows {
        table.add_row(row);
    }
    match width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// `✓ says hello (12 ms)` with what was measured, and below a failed one what was expected and what was seen.
pub fn proof_lines(results: &[ProofResult], paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for result in results {
        let name = &result.name;
        if let Some(reason) = &result.skipped {
            lines.push(paint.dim(format!("- {name} (skipped: {reason})")));
            continue;
        }
        let attempts = match result.attempts {
            0 | 1 => String::new(),
            many => format!(", attempt {many}"),
        };
        let time = paint.dim(format!("({}{attempts})", duration(result.took)));
        if result.passed {
            let note = result.note.as_ref().map(|note| paint.dim(format!(": {}", clean(note)))).unwrap_or_default();
            lines.push(format!("{} {name} {time}{note}", paint.good("✓")));
            continue;
        }
        lines.push(format!("{} {name} {time}", paint.bad("✗")));
        for (word, text) in [("expected", &result.expected), ("saw", &result.seen)] {
            let mut text = text.as_deref().unwrap_or_default().lines();
            let Some(first) = text.next() else { continue };
            lines.push(format!("    {word}: {}", super::style::clean(first)));
            lines.extend(text.map(|line| format!("      {}", super::style::clean(line))));
        }
    }
    lines
}

/// A unified diff with its lines in colour.
pub fn diff_text(diff: &str, paint: Paint) -> String {
    let line = |line: &str| match line.chars().next() {
        Some('+') => paint.good(clean(line)),
        Some('-') => paint.bad(clean(line)),
        Some('@') => paint.busy(clean(line)),
        _ => clean(line),
    };
    diff.lines().map(|text| format!("{}\n", line(text))).collect()
}

/// Prefixes of log lines, each source in a colour of its own.
#[derive(Debug)]
pub struct Prefixes {
    paint: Paint,
    sources: Vec<String>,
}

impl Prefixes {
    pub fn new(paint: Paint) -> Prefixes {
        Prefixes { paint, sources: Vec::new() }
    }

    pub fn of(&mut self, pod: &str, container: &str) -> String {
        let source = format!("{pod}/{container}");
        let known = self.sources.iter().position(|known| *known == source);
        let index = known.unwrap_or_else(|| {
            self.sources.push(source.clone());
            self.sources.len() - 1
        });
        self.paint.nth(index, format!("{source} |"))
    }
}

/// Something of ours that `down` leaves on purpose, such as base images.
#[derive(Debug, Clone, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    pub what: String,
    pub bytes: Option<u64>,
    /// What it costs as long as it stays: thousandths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_month: Option<u32>,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cost = self.per_month.map(|cost| format!("{} a month", dollars(cost)));
        let about: Vec<String> = self.bytes.map(bytes).into_iter().chain(cost).collect();
        match about.is_empty() {
            true => f.write_str(&self.what),
            false => write!(f, "{} ({})", self.what, about.join(", ")),
        }
    }
}

/// The first line of a receipt.
pub fn removed(removed: &[Removed]) -> String {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for Removed { kind, .. } in removed {
        match kinds.iter_mut().find(|(known, _)| known == kind) {
            Some((_, number)) => *number += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let counts: Vec<String> = kinds.into_iter().map(|(kind, number)| count(number, kind)).collect();
    let counts = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
    format!("removed: {counts}")
}

/// `removed: 1 cluster, 2 containers`, what is kept on purpose, and `0 left` or the list of what is left.
pub fn receipt(removed: &[Removed], kept: &[Kept], left: &[Removed]) -> String {
    let mut lines = vec![self::removed(removed)];
    if !kept.is_empty() {
        let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
        lines.push(format!("kept: {}", kept.join(", ")));
    }
    lines.push(format!("{} left", left.len()));
    lines.extend(left.iter().map(|Removed { kind, name }| format!("  {kind} {name}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn removed(kind: &str, name: &str) -> Removed {
        Removed { kind: kind.into(), name: name.into() }
    }

    #[test]
    fn tables_line_up() {
        let rows = [["hello".to_owned(), "ready".to_owned()], ["metrics-server".to_owned(), "starting".to_owned()]];
        insta::assert_snapshot!(table(["name", "state"], &rows, None), @r###"
        NAME            STATE
        hello           ready
        metrics-server  starting
        "###);
    }

    #[test]
    fn tables_wrap_at_the_width() {
        let rows = [["memory".to_owned(), "word ".repeat(30)]];
        assert!(table(["check", "result"], &rows, Some(40)).lines().all(|line| line.chars().count() <= 40));
    }

    #[test]
    fn receipts_count_what_went() {
        let gone = [
            removed("cluster", "stackctl"),
            removed("container", "registry"),
            removed("container", "proxy"),
            removed("kubeconfig context", "kind-stackctl"),
        ];
        let kept = [
            Kept { what: "1 base image".into(), bytes: Some(226_000_000), per_month: None },
            Kept { what: "volume vol-1".into(), bytes: Some(8_589_934_592), per_month: Some(640) },
            Kept { what: "PersistentVolume/data".into(), bytes: None, per_month: None },
        ];
        insta::assert_snapshot!(receipt(&gone, &kept, &[]), @r###"
        removed: 1 cluster, 2 containers, 1 kubeconfig context
        kept: 1 base image (226.0 MB), volume vol-1 (8.6 GB, $0.64 a month), PersistentVolume/data
        0 left
        "###);
        insta::assert_snapshot!(receipt(&[], &[], &[removed("volume", "data")]), @r###"
        removed: nothing
        1 left
          volume data
        "###);
    }

    #[test]
    fn proofs_say_what_was_seen() {
        let passed = ProofResult {
            name: "says hello".into(),
            passed: true,
            took: Duration::from_millis(12),
            attempts: 1,
            expected: None,
            seen: None,
            skipped: None,
            note: Some("12 requests".into()),
        };
        let failed = ProofResult {
            name: "reads".into(),
            passed: false,
            attempts: 3,
            expected: Some("status 200".into()),
            seen: Some("status 500\nboom".into()),
            ..passed.clone()
        };
        let skipped = ProofResult { skipped: Some("--without metrics-server".into()), ..failed.clone() };
        insta::assert_snapshot!(proof_lines(&[passed, failed, skipped], Paint { color: false }).join("\n"), @r###"
        ✓ says hello (12 ms): 12 requests
        ✗ reads (12 ms, attempt 3)
            expected: status 200
            saw: status 500
              boom
        - reads (skipped: --without metrics-server)
        "###);
    }
}
