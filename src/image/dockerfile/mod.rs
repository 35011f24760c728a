//! What a Dockerfile says about its inputs: instructions with their lines, declared ARGs, the images it builds on, the
//! files it takes. Read as BuildKit reads it; what cannot be read for certain is a doubt, never a guess.

mod lines;
mod reading;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;

pub use self::{
    lines::Instruction,
    reading::{Files, read},
};

/// The instructions in order; comments, blank lines and the bodies of here-documents are left out.
pub fn instructions(text: &str) -> Vec<Instruction> {
    lines::read(text).instructions
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

/// Whether the classic builder would not understand it.
pub fn needs_buildkit(text: &str) -> bool {
    instructions(text).iter().any(|instruction| {
        let shell = matches!(instruction.keyword.as_str(), "RUN" | "COPY" | "ADD");
        let documents = || words::here_documents(&instruction.rest).is_ok_and(|found| !found.is_empty());
        shell && (instruction.rest.contains("--mount=") || documents())
    })
}
