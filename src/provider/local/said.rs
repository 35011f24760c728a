//! What tools that make clusters say while they work, in the words of a step of ours.

/// `Preparing nodes 📦 📦   ...` is "preparing nodes". None: nothing is said.
pub fn step(text: &str) -> Option<String> {
    let text = text.trim_end().trim_end_matches("...");
    let words: Vec<&str> =
        text.split_whitespace().filter(|word| word.chars().any(|c| c.is_ascii_alphanumeric())).collect();
    let text = words.join(" ");
    let mut chars = text.chars();
    let first = chars.next()?;
    // "CNI" and the like stay as they are.
    let second_is_small = chars.clone().next().is_some_and(char::is_lowercase);
    Some(if second_is_small { first.to_lowercase().chain(chars).collect() } else { text })
}
