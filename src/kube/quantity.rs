//! Kubernetes quantities: `250m`, `1Gi`, `2e3`.

/// The value in thousandths of a unit, the way the API server rounds: up.
pub fn parse(text: &str) -> Option<i128> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let factor: f64 = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        exponent => 10f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let thousandths = number * factor * 1000.0;
    // A float that should be whole may be off by its last bit.
    let nearest = thousandths.round();
    Some(if (thousandths - nearest).abs() < 1e-6 { nearest } else { thousandths.ceil() } as i128)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn equal_amounts_written_differently_are_equal() {
        for (a, b) in
            [("1000m", "1"), ("1Gi", "1024Mi"), ("0.1", "100m"), ("2e3", "2k"), ("1.5Gi", "1536Mi"), ("1E", "1000P")]
        {
            assert_eq!(parse(a), parse(b), "{a} and {b}");
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
}
