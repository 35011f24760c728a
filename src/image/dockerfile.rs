//! What a Dockerfile says about its inputs: instructions with their lines, declared ARGs, and the images it builds on.

use std::collections::{BTreeMap, BTreeSet};

/// One instruction, continuation lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// 1-based.
    pub line: usize,
    /// Upper case.
    pub keyword: String,
    pub rest: String,
}

/// The instructions in order; comments, blank lines and the bodies of here-documents are left out.
pub fn instructions(text: &str) -> Vec<Instruction> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escape = escape_character(text);
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let mut joined = line.trim().to_owned();
        if joined.is_empty() || joined.starts_with('#') {
            continue;
        }
        while let Some(open) = joined.strip_suffix(escape) {
            joined = open.to_owned();
            // Comments and blank lines inside an instruction are skipped.
            match lines.find(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
                Some((_, next)) => joined.push_str(next.trim_end()),
                None => break,
            }
        }
        let (keyword, rest) = joined.split_once(char::is_whitespace).unwrap_or((&joined, ""));
        let keyword = keyword.to_ascii_uppercase();
        if matches!(keyword.as_str(), "RUN" | "COPY" | "ADD") {
            for (delimiter, tabs) in here_documents(rest) {
                lines.find(|(_, line)| if tabs { line.trim_start_matches('\t') } else { line } == delimiter);
            }
        }
        found.push(Instruction { line: index + 1, keyword, rest: rest.trim().to_owned() });
    }
    found
}

/// The names that the Dockerfile declares with ARG, anywhere.
pub fn declared_args(text: &str) -> BTreeSet<String> {
    instructions(text)
        .iter()
        .filter(|instruction| instruction.keyword == "ARG")
        .flat_map(|instruction| instruction.rest.split_whitespace())
        .map(|word| word.split_once('=').map_or(word, |(name, _)| name).to_owned())
        .collect()
}

/// The images of FROM, `COPY --from` and `RUN --mount=from` that are no stages of this file and not `scratch`, sorted.
pub fn base_images(text: &str, args: &BTreeMap<String, String>, platform: &str) -> BTreeSet<String> {
    let mut scope = platform_args(platform);
    let mut stages: Vec<String> = Vec::new();
    let mut images = BTreeSet::new();
    for instruction in instructions(text) {
        match instruction.keyword.as_str() {
            // Only what stands before the first FROM is seen by FROM lines.
            "ARG" if stages.is_empty() => {
                for word in instruction.rest.split_whitespace() {
                    let (name, default) = word.split_once('=').unwrap_or((word, ""));
                    let value = match args.get(name) {
                        Some(value) => value.clone(),
                        None => expand(unquote(default), &scope),
                    };
                    if !value.is_empty() || !scope.contains_key(name) {
                        scope.insert(name.to_owned(), value);
                    }
                }
            }
            "FROM" => {
                let mut words = instruction.rest.split_whitespace().skip_while(|word| word.starts_with("--"));
                let image = expand(unquote(words.next().unwrap_or_default()), &scope);
                if !image.is_empty() && image != "scratch" && !stages.contains(&image.to_lowercase()) {
                    images.insert(image);
                }
                let named = words.next().is_some_and(|word| word.eq_ignore_ascii_case("as"));
                stages.push(words.next().filter(|_| named).unwrap_or_default().to_lowercase());
            }
            "COPY" | "RUN" | "ADD" => {
                for from in from_flags(&instruction.rest) {
                    let is_stage = from.parse::<usize>().is_ok() || stages.contains(&from.to_lowercase());
                    if !is_stage && !from.is_empty() && from != "scratch" {
                        images.insert(expand(&from, &scope));
                    }
                }
            }
            _ => {}
        }
    }
    images
}

/// Whether the classic builder would not understand it.
pub fn needs_buildkit(text: &str) -> bool {
    instructions(text).iter().any(|instruction| {
        let shell = matches!(instruction.keyword.as_str(), "RUN" | "COPY" | "ADD");
        shell && (instruction.rest.contains("--mount=") || !here_documents(&instruction.rest).is_empty())
    })
}

fn escape_character(text: &str) -> char {
    text.lines()
        .map_while(|line| line.trim().strip_prefix('#'))
        .filter_map(|directive| directive.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("escape"))
        .and_then(|(_, value)| value.trim().chars().next())
        .unwrap_or('\\')
}

/// The delimiters of `<<EOF`, `<<-EOF`, `<<"EOF"`, and whether leading tabs are stripped.
fn here_documents(rest: &str) -> Vec<(String, bool)> {
    rest.split_whitespace()
        .filter_map(|word| word.trim_start_matches(|char: char| char.is_ascii_digit()).strip_prefix("<<"))
        .map(|word| word.strip_prefix('-').map_or((word, false), |word| (word, true)))
        .map(|(word, tabs)| (unquote(word), tabs))
        .filter(|(word, _)| word.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_'))
        .map(|(word, tabs)| (word.to_owned(), tabs))
        .collect()
}

/// `--from=X` of COPY and `from=X` in `--mount=…` of RUN: flags stand before all other words.
fn from_flags(rest: &str) -> Vec<String> {
    let mut found = Vec::new();
    for flag in rest.split_whitespace().map_while(|word| word.strip_prefix("--")) {
        if let Some(from) = flag.strip_prefix("from=") {
            found.push(unquote(from).to_owned());
        }
        if let Some(mount) = flag.strip_prefix("mount=") {
            found.extend(mount.split(',').filter_map(|field| field.strip_prefix("from=")).map(str::to_owned));
        }
    }
    found
}

fn platform_args(platform: &str) -> BTreeMap<String, String> {
    let mut parts = platform.splitn(3, '/');
    let (os, arch) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let variant = parts.next().unwrap_or_default();
    [("PLATFORM", platform), ("OS", os), ("ARCH", arch), ("VARIANT", variant)]
        .into_iter()
        .flat_map(|(name, value)| ["TARGET", "BUILD"].map(|side| (format!("{side}{name}"), value.to_owned())))
        .collect()
}

fn unquote(word: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = word.strip_prefix(quote).and_then(|word| word.strip_suffix(quote)) {
            return inner;
        }
    }
    word
}

/// `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:+other}`, `${NAME+other}`.
fn expand(text: &str, scope: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some((inner, after)) = after.strip_prefix('{').and_then(split_brace) {
            result.push_str(&expand_braced(inner, scope));
            rest = after;
        } else {
            let end = after.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(after.len());
            result.push_str(scope.get(&after[..end]).map_or("", String::as_str));
            rest = &after[end..];
        }
    }
    result.push_str(rest);
    result
}

/// Up to the brace that closes the one already read.
fn split_brace(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1;
    for (index, char) in text.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[..index], &text[index + 1..]));
        }
    }
    None
}

fn expand_braced(inner: &str, scope: &BTreeMap<String, String>) -> String {
    let end = inner.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(inner.len());
    let (name, operator) = inner.split_at(end);
    let value = scope.get(name);
    let (empty_counts_as_unset, operator) = match operator.strip_prefix(':') {
        Some(operator) => (true, operator),
        None => (false, operator),
    };
    let set = value.is_some_and(|value| !(empty_counts_as_unset && value.is_empty()));
    match (operator.chars().next(), set) {
        (Some('-'), false) | (Some('+'), true) => expand(&operator[1..], scope),
        (Some('+'), false) => String::new(),
        _ => value.cloned().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(text: &str, args: &[(&str, &str)]) -> Vec<String> {
        let args = args.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        base_images(text, &args, "linux/arm64/v8").into_iter().collect()
    }

    #[test]
    fn stages_are_no_images() {
        let text = "FROM node:22-slim AS Build\nFROM build as second\nCOPY --from=0 a b\nCOPY --from=BUILD a b\n\
                    FROM scratch\nCOPY --chown=1 --from=busybox:1 /bin/sh /\n\
                    RUN --mount=type=bind,from=alpine:3,target=/x --mount=type=cache,target=/y true --from=not\n";
        assert_eq!(images(text, &[]), ["alpine:3", "busybox:1", "node:22-slim"]);
    }

    #[test]
    fn arguments_are_substituted() {
        let text = "ARG NODE=22 SUFFIX=\"-slim\"\nARG BASE=node:${NODE}$SUFFIX\nFROM --platform=$TARGETPLATFORM ${BASE}\n\
                    FROM a:${NONE:-x}\nFROM b${NODE:+:y}\nFROM c:$TARGETARCH-${TARGETVARIANT}\nFROM d:${EMPTY-z${NODE}}\n";
        assert_eq!(images(text, &[]), ["a:x", "b:y", "c:arm64-v8", "d:z22", "node:22-slim"]);
        assert_eq!(images(text, &[("NODE", "20")])[4], "node:20-slim");
        assert_eq!(images("ARG X=node\nFROM $X\nARG X=other\nFROM $X AS y", &[]), ["node"]);
    }

    #[test]
    fn lines_continue_and_here_documents_end() {
        let text = "# syntax=x\n\nFROM a \\\n  # a comment\n\n  AS b\nRUN <<EOF cat\nFROM not\nEOF\nRUN <<-'E' sh\n\t\tFROM no\n\tE\nfrom c";
        let found: Vec<_> = instructions(text).into_iter().map(|i| (i.line, i.keyword, i.rest)).collect();
        assert_eq!(found[0], (3, "FROM".into(), "a   AS b".into()));
        assert_eq!(found[3], (13, "FROM".into(), "c".into()));
        assert_eq!(found.len(), 4);
        assert_eq!(images("# escape=`\nFROM a `\n AS b\nFROM b", &[]), ["a"]);
    }

    #[test]
    fn declared_arguments() {
        let found = declared_args("ARG A=1\nFROM x\narg B C=2\nENV D=1");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["A", "B", "C"]);
    }
}
