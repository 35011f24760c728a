//! What a plain scalar of YAML means, such as `yes` or `0755`.

use serde_json::{Number, Value};

/// Who says what a plain scalar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalars {
    /// YAML 1.2's core schema: the files of a stack itself.
    Core,
    /// YAML 1.1 as kubectl reads it (sigs.k8s.io/yaml, which is go-yaml v2): manifests.
    Kubectl,
}

/// 2⁶³: whole floats below it are integers on kubectl's way through JSON.
const INTEGERS: f64 = 9_223_372_036_854_775_808.0;

impl Scalars {
    /// None: infinite or not a number, which JSON cannot hold.
    pub fn resolve(self, raw: &str) -> Option<Value> {
        match self {
            Scalars::Core => Some(core(raw)),
            Scalars::Kubectl => kubectl(raw),
        }
    }

    /// Whether a plain key that was resolved to `value` is the text that stands in the file. kubectl makes the text of
    /// a key from its value: `on` becomes `true`, and `010` becomes `8`.
    pub fn keeps_key(self, raw: &str, value: &Value) -> bool {
        match (self, value) {
            (Scalars::Core, _) | (_, Value::String(_)) => true,
            (_, Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => whole.to_string() == raw,
                // As text they have the precision of 32 bits.
                (None, Some(float)) => (float as f32).to_string() == raw,
                (None, None) => false,
            },
            (_, Value::Bool(value)) => raw == if *value { "true" } else { "false" },
            _ => false,
        }
    }
}

/// A number with a leading zero stays text here: YAML 1.1 reads it as octal and 1.2 as decimal, and neither may be
/// guessed. `.inf` and `.nan`, which JSON lacks, stay text as well.
fn core(raw: &str) -> Value {
    match raw {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    core_number(raw).map_or_else(|| Value::String(raw.to_owned()), Value::Number)
}

fn core_number(raw: &str) -> Option<Number> {
    if raw.starts_with("0x") || raw.starts_with("0o") {
        return integer(raw);
    }
    let unsigned = raw.strip_prefix(['-', '+']).unwrap_or(raw);
    let bytes = unsigned.as_bytes();
    if bytes.first() == Some(&b'0') && bytes.get(1).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    if unsigned.bytes().all(|c| c.is_ascii_digit())
        && let Some(integer) = integer(raw)
    {
        return Some(integer);
    }
    float(raw)
}

fn kubectl(raw: &str) -> Option<Value> {
    Some(match raw {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf"
        | "-.INF" => return None,
        _ => kubectl_number(raw).map_or_else(|| Value::String(raw.to_owned()), Value::Number),
    })
}

/// Dates, which YAML 1.1 knows as well, kubectl leaves as texts.
fn kubectl_number(raw: &str) -> Option<Number> {
    match raw.bytes().next()? {
        b'.' => float(raw),
        b'0'..=b'9' | b'+' | b'-' => {
            let digits = raw.replace('_', "");
            match integer(&digits) {
                Some(whole) if whole.is_i64() => Some(whole),
                // Kubernetes has no integers beyond 63 bits.
                Some(whole) => Number::from_f64(whole.as_f64()?),
                None => float(&digits),
            }
        }
        _ => None,
    }
}

/// Decimal, hexadecimal after `0x`, binary after `0b`, octal after `0o` or a plain zero; up to 64 bits.
fn integer(text: &str) -> Option<Number> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match unsigned.get(..2) {
        Some("0x" | "0X") => (16, &unsigned[2..]),
        Some("0o" | "0O") => (8, &unsigned[2..]),
        Some("0b" | "0B") => (2, &unsigned[2..]),
        Some(zero) if zero.starts_with('0') => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return i64::try_from(-i128::from(magnitude)).ok().map(Number::from);
    }
    i64::try_from(magnitude).map(Number::from).ok().or((text == unsigned).then(|| Number::from(magnitude)))
}

/// A decimal fraction with an exponent or without; whole ones are integers.
fn float(text: &str) -> Option<Number> {
    let digits_of = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fine = digits_of(whole) && digits_of(fraction) && !(whole.is_empty() && fraction.is_empty());
    if !fine || exponent.is_some_and(|exponent| exponent.is_empty() || !digits_of(exponent)) {
        return None;
    }
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
    if float.fract() == 0.0 && float.abs() < INTEGERS {
        return Some((float as i64).into());
    }
    Number::from_f64(float)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;
    use serde_json::json;

    use super::*;

    fn read(raw: &str) -> Value {
        Scalars::Kubectl.resolve(raw).unwrap_or_else(|| panic!("{raw} is no JSON"))
    }

    /// What sigs.k8s.io/yaml 1.4.0 makes of them.
    #[test]
    fn what_kubectl_makes_of_plain_scalars() {
        for (raw, value) in [
            ("y", json!(true)),
            ("N", json!(false)),
            ("yes", json!(true)),
            ("On", json!(true)),
            ("OFF", json!(false)),
            ("oN", json!("oN")),
            ("nULL", json!("nULL")),
            ("~", json!(null)),
            ("0755", json!(493)),
            ("-0755", json!(-493)),
            ("007", json!(7)),
            ("00", json!(0)),
            ("08", json!(8)),
            ("0755.5", json!(755.5)),
            ("0o17", json!(15)),
            ("0O17", json!(15)),
            ("0x1F", json!(31)),
            ("0X1F", json!(31)),
            ("+0x1F", json!(31)),
            ("0b101", json!(5)),
            ("-0b11", json!(-3)),
            ("0b2", json!("0b2")),
            ("0x", json!("0x")),
            ("1_000", json!(1000)),
            ("1__0_", json!(10)),
            ("0x_1F", json!(31)),
            ("_1", json!("_1")),
            ("1e1_0", json!(10_000_000_000_i64)),
            ("1.", json!(1)),
            (".5", json!(0.5)),
            (".5e1", json!(5)),
            (".5_0", json!(".5_0")),
            ("+.5", json!(0.5)),
            ("5.e3", json!(5000)),
            ("1e3", json!(1000)),
            ("1E5", json!(100_000)),
            ("1e", json!("1e")),
            ("1e999", json!("1e999")),
            ("1.10", json!(1.1)),
            ("1.0", json!(1)),
            ("-0", json!(0)),
            ("+5", json!(5)),
            ("+", json!("+")),
            (".", json!(".")),
            ("1.2.3", json!("1.2.3")),
            ("100m", json!("100m")),
            ("12:30", json!("12:30")),
            ("2001-01-01", json!("2001-01-01")),
            ("0x1p-2", json!("0x1p-2")),
            ("18446744073709551615", json!(18_446_744_073_709_551_615.0_f64)),
            ("18446744073709551616", json!(18_446_744_073_709_551_616.0_f64)),
            ("-9223372036854775809", json!(-9_223_372_036_854_775_809.0_f64)),
        ] {
            assert_eq!(read(raw), value, "{raw}");
        }
        for infinite in [".inf", "-.Inf", ".NaN"] {
            assert_eq!(Scalars::Kubectl.resolve(infinite), None);
        }
    }

    #[test]
    fn keys_whose_text_kubectl_keeps() {
        let keeps = |raw: &str| Scalars::Kubectl.keeps_key(raw, &read(raw));
        for kept in ["a", "8080", "-1", "0", "1.5", "true", "false", "2001-01-01", "app.js", "0b2"] {
            assert!(keeps(kept), "{kept}");
        }
        for changed in ["on", "y", "True", "~", "", "0755", "1.10", "1_000", "1e3", "1.0"] {
            assert!(!keeps(changed), "{changed}");
        }
    }

    #[test]
    fn the_files_of_a_stack_are_yaml_1_2() {
        for (raw, value) in [
            ("yes", json!("yes")),
            ("0755", json!("0755")),
            ("0o17", json!(15)),
            ("0x1F", json!(31)),
            ("1_000", json!("1_000")),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            (".inf", json!(".inf")),
        ] {
            assert_eq!(Scalars::Core.resolve(raw), Some(value), "{raw}");
        }
    }

    /// The grammars of go-yaml's resolve.go, told with regular expressions in place of a scanner.
    fn model(raw: &str) -> Option<f64> {
        let is = |pattern: &str, text: &str| Regex::new(pattern).unwrap().is_match(text);
        if raw.starts_with('_') || raw.starts_with('.') && raw.contains('_') {
            return None;
        }
        let text = raw.replace('_', "");
        let signed = |radix, digits: &str| {
            let number = i128::from_str_radix(digits, radix).unwrap() as f64;
            if text.starts_with('-') { -number } else { number }
        };
        let digits = text.trim_start_matches(['-', '+']);
        if is("^[-+]?0[0-7]+$", &text) {
            return Some(signed(8, digits));
        }
        for (pattern, radix) in [("^[-+]?0[oO][0-7]+$", 8), ("^[-+]?0[xX][0-9a-fA-F]+$", 16), ("^[-+]?0[bB][01]+$", 2)]
        {
            if is(pattern, &text) {
                return Some(signed(radix, &digits[2..]));
            }
        }
        let float = is(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", &text);
        float.then(|| text.parse().unwrap()).filter(|float: &f64| float.is_finite())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn numbers_are_those_of_go_yaml(raw in "[-+]?(0[xXoObB]?)?[0-9a-f_]{0,8}(\\.[0-9_]{0,3})?([eE][-+]?[0-9_]{0,3})?") {
            let wanted = if raw.is_empty() { None } else { model(&raw) };
            match (Scalars::Kubectl.resolve(&raw), wanted) {
                (Some(Value::Number(number)), Some(wanted)) => prop_assert_eq!(number.as_f64(), Some(wanted)),
                (Some(Value::Number(number)), None) => prop_assert!(false, "{} is {}", raw, number),
                (Some(other), Some(wanted)) => prop_assert!(false, "{} is {} and not {}", raw, other, wanted),
                _ => {}
            }
        }

        #[test]
        fn integers_survive(number in any::<i64>()) {
            let raw = number.to_string();
            prop_assert_eq!(Scalars::Core.resolve(&raw), Some(json!(number)));
            prop_assert_eq!(Scalars::Kubectl.resolve(&raw), Some(json!(number)));
        }

        /// What is no word and no number of YAML 1.1 is the text that it is.
        #[test]
        fn other_words_are_texts(raw in "[a-zA-Z][a-zA-Z0-9.-]{3,12}") {
            let words = ["true", "false", "null"];
            prop_assume!(!words.contains(&raw.to_lowercase().as_str()));
            prop_assert_eq!(Scalars::Kubectl.resolve(&raw), Some(json!(raw)));
        }
    }
}
