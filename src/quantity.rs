//! Kubernetes quantities: `250m`, `1Gi`, `2e3`; and durations: `90s`, `5m`.

use std::time::Duration;

/// In units: bytes, cores, pieces.
pub fn parse(text: &str) -> Option<f64> {
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

/// The value in thousandths of a unit, the way the API server rounds: up.
pub fn thousandths(text: &str) -> Option<i128> {
    let thousandths = parse(text)? * 1000.0;
    // A float that should be whole may be off by its last bit.
    let nearest = thousandths.round();
    Some(if (thousandths - nearest).abs() < 1e-6 { nearest } else { thousandths.ceil() } as i128)
}

/// `90s`, `5m`, `1h30m`, `500ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let usage = || "expected a duration, such as 90s, 5m or 1h30m".to_owned();
    let span: jiff::SignedDuration = text.parse().map_err(|_| usage())?;
    match Duration::try_from(span) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(usage()),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, thousandths};

    #[test]
    fn equal_amounts_written_differently_are_equal() {
        for (a, b) in
            [("1000m", "1"), ("1Gi", "1024Mi"), ("0.1", "100m"), ("2e3", "2k"), ("1.5Gi", "1536Mi"), ("1E", "1000P")]
        {
            assert_eq!(thousandths(a), thousandths(b), "{a} and {b}");
            assert!(parse(a).is_some());
        }
        assert_ne!(parse("1G"), parse("1Gi"));
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in ["", "m", "1Zi", "ten", "1 Gi", "1.2.3"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_in_units() {
        for (text, number) in
            [("100m", 0.1), ("64Mi", 67_108_864.0), ("1.5", 1.5), ("-2k", -2000.0), ("1e3", 1000.0), (".5", 0.5)]
        {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        for wrong in ["", "Mi", "1 Mi", "1mi", "1..2", "one", "1e", "e3", "+", "1e999"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
