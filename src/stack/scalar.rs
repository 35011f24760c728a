//! Small grammars inside scalars: durations, percentages, quantities, names.

use std::time::Duration;

/// `500ms`, `60s`, `1m30s`, `1h`: whole numbers with units, the larger unit first, more than zero.
pub fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut rest = text;
    let mut total = 0_u64;
    let mut previous = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (_, millis) = UNITS.into_iter().find(|(unit, _)| *unit == &rest[..end])?;
        if millis >= previous {
            return None;
        }
        previous = millis;
        rest = &rest[end..];
        total = total.checked_add(number.checked_mul(millis)?)?;
    }
    (total > 0).then(|| Duration::from_millis(total))
}

/// `0.1%` → 0.001; 0 to 100.
pub fn percentage(text: &str) -> Option<f64> {
    let digits = text.strip_suffix('%')?;
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let percent: f64 = digits.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

/// An RFC 1123 label.
pub fn is_label(text: &str) -> bool {
    let fine = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(fine) && !text.starts_with('-') && !text.ends_with('-')
}

/// Err: what is wrong with a name that is to be an RFC 1123 label.
pub fn label(text: &str) -> Result<(), String> {
    match is_label(text) {
        true => Ok(()),
        false => Err(format!(
            "`{text}` is no valid name: lower-case letters, digits and `-`, at most 63, no `-` at the ends"
        )),
    }
}

/// An RFC 1123 subdomain: labels joined by dots, 253 characters.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// What a label's value may be.
pub fn is_label_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.len() <= 63 && edge(text.chars().next()) && edge(text.chars().last()) && text.chars().all(fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("1h1m1s1ms"), Some(Duration::from_millis(3_661_001)));
        for wrong in
            ["", "5", "s", "1s1m", "1s1s", "0s", "-1s", "1.5s", "1d", "99999999999999999999s", "9999999999999999999h"]
        {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn percentages() {
        assert_eq!(percentage("0.1%"), Some(0.001));
        assert_eq!(percentage("0%"), Some(0.0));
        for wrong in ["", "%", "1", "101%", "-1%", "NaN%", "1.2.3%"] {
            assert_eq!(percentage(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names() {
        assert!(is_label("a-1") && is_subdomain("a.b-1") && is_label_value("A_b.c"));
        assert!(!is_label("-a") && !is_label("a.b") && !is_label("A") && !is_label(&"a".repeat(64)) && !is_label(""));
        assert!(!is_subdomain("a..b") && !is_label_value("system:x") && !is_label_value(""));
    }
}
