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

/// A Kubernetes quantity (`100m`, `64Mi`, `1.5`, `1e3`) as a number.
pub fn quantity(text: &str) -> Option<f64> {
    let number_end = text
        .char_indices()
        .find(|(index, c)| !(c.is_ascii_digit() || *c == '.' || *index == 0 && matches!(c, '+' | '-')))
        .map_or(text.len(), |(index, _)| index);
    let (number, suffix) = text.split_at(number_end);
    if !number.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        "Ei" => 1_152_921_504_606_846_976.0,
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            return format!("{number}e{}", exponent.parse::<i8>().ok()?).parse().ok();
        }
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// An RFC 1123 label.
pub fn is_label(text: &str) -> bool {
    let fine = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(fine) && !text.starts_with('-') && !text.ends_with('-')
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
    fn quantities() {
        for (text, number) in
            [("100m", 0.1), ("64Mi", 67_108_864.0), ("1.5", 1.5), ("-2k", -2000.0), ("1e3", 1000.0), (".5", 0.5)]
        {
            assert_eq!(quantity(text), Some(number), "{text}");
        }
        for wrong in ["", "Mi", "1 Mi", "1mi", "1..2", "one", "1e", "e3", "+", "1e999"] {
            assert_eq!(quantity(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names() {
        assert!(is_label("a-1") && is_subdomain("a.b-1") && is_label_value("A_b.c"));
        assert!(!is_label("-a") && !is_label("a.b") && !is_label("A") && !is_label(&"a".repeat(64)) && !is_label(""));
        assert!(!is_subdomain("a..b") && !is_label_value("system:x") && !is_label_value(""));
    }
}
