//! Words that several modules put together the same way.

use std::fmt::Display;

/// How many of many are named.
const NAMED: usize = 5;

/// `a, b, c, d, e and 37 more`: all of a few, some of many.
pub fn few<T: Display>(all: impl IntoIterator<Item = T>) -> String {
    let mut all = all.into_iter();
    let mut names: Vec<String> = all.by_ref().take(NAMED).map(|name| name.to_string()).collect();
    match (all.count(), names.pop()) {
        (0, Some(last)) if names.is_empty() => last,
        (0, Some(last)) => format!("{} and {last}", names.join(", ")),
        (more, last) => {
            names.extend(last);
            format!("{} and {more} more", names.join(", "))
        }
    }
}

/// `1 cluster`, `2 containers`, `3 proxies`.
pub fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {}", plural(noun)),
    }
}

fn plural(noun: &str) -> String {
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ if noun.ends_with(['s', 'x']) => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_named_and_many_counted() {
        assert_eq!(few(["a"]), "a");
        assert_eq!(few(["a", "b", "c"]), "a, b and c");
        assert_eq!(few(1..=5), "1, 2, 3, 4 and 5");
        assert_eq!(few(1..=6), "1, 2, 3, 4, 5 and 1 more");
    }

    #[test]
    fn counts_read_well() {
        assert_eq!(count(1, "image"), "1 image");
        assert_eq!(count(0, "image"), "0 images");
        assert_eq!(count(2, "proxy"), "2 proxies");
        assert_eq!(count(2, "key"), "2 keys");
    }
}
