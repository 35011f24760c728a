//! How paths, stages and headers are written on the command line.

use std::path::Path;

use super::spec::{Stage, WeightedPath};
use crate::{
    error::{Context, Error, Kind, Result},
    quantity,
};

/// As the argument parser wants it: what was expected, in words.
type Parsed<T> = std::result::Result<T, String>;

/// A secret in a header has no business being this long.
const MAX_FILE: u64 = 1 << 20;

/// `/read/1` or, three times as often as one without a weight, `3:/read/1`.
pub fn path(text: &str) -> Parsed<WeightedPath> {
    let usage = || "expected /PATH or WEIGHT:/PATH, such as 3:/read/1".to_owned();
    let (weight, path) = match text.find('/').ok_or_else(usage)? {
        0 => (1.0, text),
        slash => {
            let weight = text[..slash].strip_suffix(':').ok_or_else(usage)?;
            (weight.parse().map_err(|_| usage())?, &text[slash..])
        }
    };
    match weight > 0.0 && f64::is_finite(weight) {
        true => Ok(WeightedPath { path: path.to_owned(), weight }),
        false => Err(usage()),
    }
}

/// The address without its path, and the path with its query. None: it is no address.
pub fn split(url: &str) -> Option<(String, String)> {
    let mut base = url::Url::parse(url).ok()?;
    let path = match base.query() {
        Some(query) => format!("{}?{query}", base.path()),
        None => base.path().to_owned(),
    };
    base.set_path("");
    base.set_query(None);
    base.set_fragment(None);
    Some((base.to_string().trim_end_matches('/').to_owned(), path))
}

/// `30s:50`: for 30 s, at the end of which 50 requests per second are due.
pub fn stage(text: &str) -> Parsed<Stage> {
    let usage = || "expected DURATION:RATE, such as 30s:50".to_owned();
    let (duration, rate) = text.split_once(':').ok_or_else(usage)?;
    let rate: f64 = rate.parse().map_err(|_| usage())?;
    match rate >= 0.0 && rate.is_finite() {
        true => Ok(Stage { duration: quantity::duration(duration)?, rate }),
        false => Err(usage()),
    }
}

pub fn rate(text: &str) -> Parsed<f64> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("expected requests per second, more than 0".to_owned()),
    }
}

/// `Name: value`, or `@FILE` with one of them on each line, so that secrets stay out of the arguments.
pub fn headers(text: &str) -> Result<Vec<(String, String)>> {
    let Some(file) = text.strip_prefix('@') else {
        let wrong = || Error::new(Kind::Usage, "--header: expected `NAME: VALUE` or @FILE");
        return Ok(vec![header(text).ok_or_else(wrong)?]);
    };
    let lines = read("--header", file)?;
    let mut headers = Vec::new();
    for (number, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        // Without what the line holds: that may be a secret.
        let wrong = || Error::new(Kind::Usage, format!("{file}:{}: expected `NAME: VALUE`", number + 1));
        headers.push(header(line).ok_or_else(wrong)?);
    }
    Ok(headers)
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    (!name.is_empty() && !name.contains(char::is_whitespace)).then(|| (name.to_owned(), value.trim().to_owned()))
}

/// The text itself, or that of `@FILE`.
pub fn body(text: &str) -> Result<String> {
    match text.strip_prefix('@') {
        Some(file) => read("--body", file),
        None => Ok(text.to_owned()),
    }
}

pub fn read(flag: &str, file: &str) -> Result<String> {
    let what = || format!("{flag}: {file} could not be read");
    let length = std::fs::metadata(Path::new(file)).context(Kind::Usage, what)?.len();
    if length > MAX_FILE {
        return Err(
            Error::new(Kind::Usage, what()).cause(format!("it has {length} bytes, at most {MAX_FILE} are read"))
        );
    }
    std::fs::read_to_string(file).context(Kind::Usage, what)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn paths_have_weights() {
        let of = |text| path(text).map(|path| (path.weight, path.path));
        assert_eq!(of("/a"), Ok((1.0, "/a".to_owned())));
        assert_eq!(of("2.5:/a?b=1:/c"), Ok((2.5, "/a?b=1:/c".to_owned())));
        for wrong in ["", "a", "3:a", "3/a", "x:/a", "0:/a", "-1:/a", "NaN:/a", ":/a"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn stages_have_durations_and_rates() {
        assert_eq!(stage("1m30s:0.5"), Ok(Stage { duration: Duration::from_secs(90), rate: 0.5 }));
        assert!(stage("5s:0").is_ok());
        for wrong in ["", "30s", "30s:", ":5", "30:5", "0s:5", "30s:-1", "30s:inf", "30s:x"] {
            assert!(stage(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_are_lines_of_a_file_too() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(headers("A: b: c").unwrap(), [pair("A", "b: c")]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("headers");
        std::fs::write(&file, "Authorization: Bearer x\n\nB:c\n").unwrap();
        let from = format!("@{}", file.display());
        assert_eq!(headers(&from).unwrap(), [pair("Authorization", "Bearer x"), pair("B", "c")]);
        std::fs::write(&file, "A: b\nhunter2\n").unwrap();
        let error = headers(&from).unwrap_err();
        assert!(error.message.contains(":2:") && !error.message.contains("hunter2"), "{error}");
        for wrong in ["", "A", ": b", "A b: c", "@/no/such/file"] {
            assert!(headers(wrong).is_err(), "{wrong}");
        }
    }
}
