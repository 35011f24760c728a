//! What a build depends on besides the Dockerfile's own text: images and files of the context.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::context::{Entry, select::select},
    lines::{self, Doubt, Instruction},
    words::{self, Scope},
};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// Of FROM, `COPY --from` and `RUN --mount=from`, as far as they are no stages of this file and not `scratch`.
    pub images: BTreeSet<String>,
    /// Those of FROM alone, whose ONBUILD instructions run here.
    pub bases: BTreeSet<String>,
    pub files: Files,
    /// The first reason why all this may not be all.
    pub doubt: Option<Doubt>,
}

/// Which files of the context a build takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    All,
    /// Paths, which may have wildcards.
    These(BTreeSet<String>),
}

impl Default for Files {
    fn default() -> Self {
        Files::These(BTreeSet::new())
    }
}

impl Files {
    /// Adds these too; None: all.
    pub fn extend(&mut self, paths: Option<&[String]>) {
        match paths {
            Some(paths) => paths.iter().for_each(|path| self.add(path)),
            None => *self = Files::All,
        }
    }

    /// The entries of a context that count.
    pub fn select(&self, entries: &[Entry]) -> Vec<usize> {
        match self {
            Files::All => (0..entries.len()).collect(),
            Files::These(paths) => select(entries, &paths.iter().cloned().collect::<Vec<_>>()),
        }
    }

    fn add(&mut self, source: &str) {
        let path: Vec<&str> = source.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        match self {
            Files::These(paths) if !path.is_empty() => {
                paths.insert(path.join("/"));
            }
            files => *files = Files::All,
        }
    }
}

/// Reads the text for these build arguments and this platform.
pub fn read(text: &str, args: &BTreeMap<String, String>, platform: &str) -> Reading {
    let lines = lines::read(text);
    let mut reader = Reader {
        args,
        scope: platform_args(platform),
        stages: Vec::new(),
        reading: Reading { doubt: lines.doubt, ..Reading::default() },
    };
    if let Some(syntax) = args.get("BUILDKIT_SYNTAX") {
        reader.doubt(1, format!("BUILDKIT_SYNTAX says that {syntax} reads it"));
    }
    for instruction in &lines.instructions {
        reader.instruction(instruction);
    }
    reader.finish()
}

impl Reading {
    /// Adds what the ONBUILD instructions of a base image take.
    pub fn add_triggers(&mut self, triggers: &[String]) {
        if triggers.is_empty() {
            return;
        }
        let (args, reading) = (BTreeMap::new(), std::mem::take(self));
        let mut reader = Reader { args: &args, scope: Scope::new(), stages: vec![String::new()], reading };
        for trigger in triggers {
            let line = 0;
            let lines = lines::read(trigger);
            match (lines.instructions.as_slice(), lines.doubt) {
                ([instruction], None) if instruction.keyword != "FROM" => reader.instruction(instruction),
                _ => reader.doubt(line, "an ONBUILD instruction of its base image is not understood"),
            }
        }
        *self = reader.finish();
    }
}

struct Reader<'a> {
    args: &'a BTreeMap<String, String>,
    scope: Scope,
    /// Names in lower case, empty without one.
    stages: Vec<String>,
    reading: Reading,
}

impl Reader<'_> {
    fn instruction(&mut self, instruction: &Instruction) {
        let Instruction { line, keyword, rest } = instruction;
        match keyword.as_str() {
            // Only what stands before the first FROM is seen by FROM lines.
            "ARG" if self.stages.is_empty() => self.argument(rest),
            "FROM" => self.from(*line, rest),
            "COPY" => self.copy(*line, rest, false),
            "ADD" => self.copy(*line, rest, true),
            "RUN" => self.run(*line, rest),
            // It runs in a stage that builds on this one.
            "ONBUILD" => {
                let inner = Instruction::parse(rest, *line);
                if matches!(inner.keyword.as_str(), "COPY" | "ADD" | "RUN") {
                    self.instruction(&inner);
                }
            }
            _ => {}
        }
    }

    fn argument(&mut self, rest: &str) {
        let words = words::split(rest);
        let Some(words) = words.ok().filter(|words| words.iter().all(|word| !word.starts_with(['"', '\'']))) else {
            // Whichever names are in there, their values are not certain.
            for word in rest.split(|char: char| char.is_whitespace() || matches!(char, '"' | '\'')) {
                self.scope.insert(word.split_once('=').map_or(word, |(name, _)| name).to_owned(), None);
            }
            return;
        };
        for word in words {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name, Some(default)),
                None => (word.as_str(), None),
            };
            let value = match self.args.get(name) {
                Some(value) => Some(value.clone()),
                None => default.and_then(|default| words::expand(default, &self.scope)),
            };
            self.scope.insert(name.to_owned(), value);
        }
    }

    fn from(&mut self, line: usize, rest: &str) {
        let known = |flag: &&str| flag.starts_with("platform=");
        let (words, stage): (&str, &str) = match words::flags(rest) {
            Ok((flags, rest)) if flags.iter().all(known) => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                match words.as_slice() {
                    [image] => (image, ""),
                    [image, word, stage] if word.eq_ignore_ascii_case("as") => (image, stage),
                    _ => ("", ""),
                }
            }
            _ => ("", ""),
        };
        match words::expand(words, &self.scope).filter(|image| !image.is_empty()) {
            Some(image) if image == "scratch" || self.stages.contains(&image.to_lowercase()) => {}
            Some(image) => {
                self.reading.bases.insert(image.clone());
                self.reading.images.insert(image);
            }
            None => self.doubt(line, format!("it is not certain which image `FROM {rest}` names")),
        }
        self.stages.push(stage.to_lowercase());
    }

    fn copy(&mut self, line: usize, rest: &str, is_add: bool) {
        let Ok((flags, rest)) = words::flags(rest) else {
            return self.doubt(line, "its flags are quoted");
        };
        let (mut from, mut pinned) = (None, false);
        for flag in flags {
            let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
            match name {
                "from" if !is_add => from = Some(value).filter(|value| !value.is_empty()),
                "checksum" => pinned = true,
                "chown" | "chmod" | "link" | "parents" | "exclude" | "keep-git-dir" | "unpack" => {}
                _ => self.doubt(line, format!("`--{name}` is no known flag")),
            }
        }
        if let Some(from) = from {
            return self.source_image(line, from);
        }
        let list = words::json(rest);
        let mut words: Vec<String> = match list {
            Some(list) => list,
            None => rest.split_whitespace().map(str::to_owned).collect(),
        };
        words.pop();
        for source in words {
            if matches!(words::here_document(&source), Ok(Some(_))) {
                continue;
            }
            let remote = source.contains("://") || source.starts_with("git@") || source.contains('$');
            if is_add && remote && !pinned {
                self.doubt(line, format!("what is at {source} may be another file tomorrow"));
            } else if source.contains(['$', '"', '\'', '\\', '`']) || source.split('/').any(|part| part == "..") {
                self.reading.files = Files::All;
            } else if !(is_add && remote) {
                self.reading.files.add(&source);
            }
        }
    }

    fn run(&mut self, line: usize, rest: &str) {
        let Ok((flags, _)) = words::flags(rest) else {
            return self.doubt(line, "its flags are quoted");
        };
        for flag in flags {
            let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
            match name {
                "mount" => self.mount(line, value),
                "network" | "security" | "device" => {}
                _ => self.doubt(line, format!("`--{name}` is no known flag")),
            }
        }
    }

    fn mount(&mut self, line: usize, value: &str) {
        let (mut kind, mut from, mut source) = ("bind".to_owned(), None, "");
        for field in value.split(',') {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            match key.to_ascii_lowercase().as_str() {
                "type" => kind = value.to_ascii_lowercase(),
                "from" => from = Some(value).filter(|value| !value.is_empty()),
                "source" | "src" => source = value,
                "target" | "dst" | "destination" | "readonly" | "ro" | "readwrite" | "rw" | "required" | "id"
                | "sharing" | "mode" | "uid" | "gid" | "env" | "size" => {}
                other => self.doubt(line, format!("`{other}` is no known field of a mount")),
            }
        }
        match (from, kind.as_str()) {
            (Some(from), _) => self.source_image(line, from),
            (None, "bind") if source.contains('$') || source.split('/').any(|part| part == "..") => {
                self.reading.files = Files::All;
            }
            (None, "bind") => self.reading.files.add(source),
            (None, "cache" | "tmpfs" | "secret" | "ssh") => {}
            (None, other) => self.doubt(line, format!("`{other}` is no known type of a mount")),
        }
    }

    /// `--from=X`: a stage by name or number, or an image.
    fn source_image(&mut self, line: usize, from: &str) {
        if from.contains('$') {
            return self.doubt(line, format!("it is not certain which image `{from}` is"));
        }
        let is_stage = from.parse::<usize>().is_ok() || self.stages.contains(&from.to_lowercase());
        if !is_stage && from != "scratch" {
            self.reading.images.insert(from.to_owned());
        }
    }

    fn doubt(&mut self, line: usize, why: impl Into<String>) {
        self.reading.doubt.get_or_insert(Doubt { line, why: why.into() });
    }

    fn finish(mut self) -> Reading {
        if self.reading.doubt.is_some() {
            self.reading.files = Files::All;
        }
        self.reading
    }
}

/// Of the machine that builds nothing is known here.
fn platform_args(platform: &str) -> Scope {
    let mut parts = platform.splitn(3, '/');
    let (os, arch) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let variant = parts.next().unwrap_or_default();
    [("PLATFORM", platform), ("OS", os), ("ARCH", arch), ("VARIANT", variant)]
        .into_iter()
        .flat_map(|(name, value)| [(format!("TARGET{name}"), Some(value.to_owned())), (format!("BUILD{name}"), None)])
        .collect()
}
