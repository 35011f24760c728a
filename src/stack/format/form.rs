//! Small grammars inside of scalars: what they are called, and as whose pattern a JSON Schema has them.

use crate::stack::{claims::Pattern, field::FieldPath, scalar, setter::Setter, values::ValueType};

#[derive(Debug)]
pub struct Form {
    /// What one is called in the documentation.
    pub noun: &'static str,
    pub example: &'static str,
    /// Refuses nothing that `check` takes, and takes little else.
    pub pattern: &'static str,
    pub takes: Takes,
    pub check: fn(&str) -> Result<(), Wrong>,
}

/// What can be of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Strings,
    /// Any scalar as it is written; it is a string all the same.
    Written,
    /// Any scalar as it is written, so also a number.
    Numbers,
}

pub enum Wrong {
    /// What was expected instead.
    Expected(&'static str),
    Message(String),
}

impl Wrong {
    /// What is said of a key.
    pub fn at_key(self, key: &str) -> String {
        match self {
            Wrong::Expected(what) => format!("expected {what}, found `{key}`"),
            Wrong::Message(message) => message,
        }
    }
}

fn expect(holds: bool, what: &'static str) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(Wrong::Expected(what)) }
}

fn message(holds: bool, message: impl FnOnce() -> String) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(Wrong::Message(message())) }
}

/// An RFC 1123 label.
pub static NAME: Form = Form {
    noun: "name",
    example: "web",
    pattern: "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
    takes: Takes::Strings,
    check: |text| scalar::label(text).map_err(Wrong::Message),
};

/// The name of a job. A run's Job is `run-NAME`, and its pods' names are longer by the random end that Kubernetes gives them.
pub static JOB_NAME: Form = Form {
    noun: "name",
    example: "backup",
    pattern: "^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$",
    takes: Takes::Strings,
    check: |text| {
        message(scalar::is_label(text) && text.len() <= 52, || {
            format!("`{text}` is no valid name: lower-case letters, digits and `-`, at most 52")
        })
    },
};

/// Whatever a key can be.
pub static KEY: Form = Form { noun: "key", example: "key", pattern: "", takes: Takes::Strings, check: |_| Ok(()) };

/// The name of something that is named nowhere but here.
pub static ANY_NAME: Form = Form { noun: "name", ..KEY };

pub static URL: Form = Form {
    noun: "http:// or https:// URL",
    example: "http://web/",
    pattern: "^[Hh][Tt][Tt][Pp][Ss]?://.",
    takes: Takes::Strings,
    check: |text| {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let is_http = matches!(scheme.as_deref(), Some("http" | "https"));
        message(is_http && url::Url::parse(text).is_ok_and(|url| url.has_host()), || {
            format!("`{text}` is no http:// or https:// URL")
        })
    },
};

pub static DURATION: Form = Form {
    noun: "duration",
    example: "1m30s",
    pattern: "^([0-9]+h([0-9]+m)?([0-9]+s)?([0-9]+ms)?|[0-9]+m([0-9]+s)?([0-9]+ms)?|[0-9]+s([0-9]+ms)?|[0-9]+ms)$",
    takes: Takes::Written,
    check: |text| expect(scalar::duration(text).is_some(), "a duration such as `500ms`, `60s` or `1m30s`"),
};

pub static PERCENTAGE: Form = Form {
    noun: "percentage",
    example: "0.1%",
    pattern: "^([0-9]+\\.?[0-9]*|\\.[0-9]+)%$",
    takes: Takes::Written,
    check: |text| expect(scalar::percentage(text).is_some(), "a percentage such as `0.1%`"),
};

pub static NUMBER: Form = Form {
    noun: "number",
    example: "0.5",
    pattern: "^[-+]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][-+]?[0-9]+)?$",
    takes: Takes::Numbers,
    check: |text| ValueType::Number.parse(text).map(|_| ()).map_err(Wrong::Message),
};

pub static QUANTITY: Form = Form {
    noun: "quantity",
    example: "64Mi",
    pattern: "^[-+]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]+)?$",
    takes: Takes::Numbers,
    check: |text| ValueType::Quantity.parse(text).map(|_| ()).map_err(Wrong::Message),
};

/// A regular expression.
pub static PATTERN: Form = Form {
    noun: "pattern",
    example: "hit (\\d+) times",
    pattern: "",
    takes: Takes::Strings,
    check: |text| Pattern(text.to_owned()).groups().map(|_| ()).map_err(Wrong::Message),
};

/// A regular expression with one group.
pub static ONE_GROUP: Form = Form {
    noun: "pattern with one group",
    check: |text| {
        (PATTERN.check)(text)?;
        let groups = Pattern(text.to_owned()).filled(|_| Some("x")).map(|regex| regex.captures_len() - 1);
        let groups = groups.unwrap_or_default();
        message(groups == 1, || format!("`{text}` has {groups} groups; one is expected, as in `hit (\\d+) times`"))
    },
    ..PATTERN
};

/// `key=value`, several of them with commas: what labels are equal to.
pub static SELECTOR: Form = Form {
    noun: "selector",
    example: "app.kubernetes.io/name=web,tier=front",
    pattern: "^[-._/A-Za-z0-9]+=[-._A-Za-z0-9]*(,[-._/A-Za-z0-9]+=[-._A-Za-z0-9]*)*$",
    takes: Takes::Strings,
    check: |text| {
        message(text.split(',').all(is_label_and_value), || {
            format!("`{text}` is no selector such as `app.kubernetes.io/name=web,tier=front`")
        })
    },
};

fn is_label_and_value(part: &str) -> bool {
    let Some((key, value)) = part.split_once('=') else { return false };
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(scalar::is_subdomain)
        && scalar::is_label_value(name)
        && (value.is_empty() || scalar::is_label_value(value))
}

/// What has pods that can be replaced.
pub static ROLLING: Form = Form {
    noun: "`KIND/NAME`",
    example: "Deployment/web",
    pattern: "^(Deployment|StatefulSet|DaemonSet)/(.|\\s)",
    takes: Takes::Strings,
    check: |text| workload(text, &["Deployment", "StatefulSet", "DaemonSet"]),
};

/// What has a number of replicas.
pub static SCALED: Form = Form {
    noun: "`KIND/NAME`",
    example: "StatefulSet/redis",
    pattern: "^(Deployment|StatefulSet)/(.|\\s)",
    takes: Takes::Strings,
    check: |text| workload(text, &["Deployment", "StatefulSet"]),
};

fn workload(text: &str, kinds: &[&str]) -> Result<(), Wrong> {
    let fits = text.split_once('/').is_some_and(|(kind, name)| kinds.contains(&kind) && !name.is_empty());
    message(fits, || {
        let known: Vec<String> = kinds.iter().map(|kind| format!("{kind}/NAME")).collect();
        format!("`{text}` is none of {}", known.join(", "))
    })
}

/// The name of a value.
pub static VALUE_NAME: Form = Form {
    noun: "name",
    example: "replicas",
    pattern: "^[^.=)]+(\\.[^.=)]+)*$",
    takes: Takes::Strings,
    check: |text| {
        let reserved = ["", "provider", "without"].contains(&text);
        let wrong = reserved || text.contains(['=', ')']) || text.split('.').any(str::is_empty);
        message(!wrong, || format!("a value cannot be named `{text}`"))
    },
};

pub static SETTER: Form = Form {
    noun: "setter",
    example: "Deployment/web spec.replicas",
    pattern: "^\\s*[^ /]+/[^ ]+ ",
    takes: Takes::Strings,
    check: |text| Setter::parse(text).map(|_| ()).map_err(Wrong::Message),
};

pub static FIELD_PATH: Form = Form {
    noun: "path to a field",
    example: "items[0].status",
    pattern: "^[^.]",
    takes: Takes::Strings,
    check: |text| text.parse::<FieldPath>().map(|_| ()).map_err(Wrong::Message),
};

pub static SECRET_KEY: Form = Form {
    noun: "key",
    example: "password",
    pattern: "^[-._a-zA-Z0-9]+$",
    takes: Takes::Strings,
    check: |text| {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        message(!text.is_empty() && text.chars().all(fine), || {
            format!("`{text}` is no key of a Secret: letters, digits, `-`, `_`, `.`")
        })
    },
};

pub static HEADER_NAME: Form = Form {
    noun: "header",
    example: "accept",
    pattern: "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$",
    takes: Takes::Strings,
    check: |text| message(http::HeaderName::try_from(text).is_ok(), || format!("`{text}` is no header name")),
};

pub static HOST: Form = Form {
    noun: "host name",
    example: "shop.example.com",
    pattern: "^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    takes: Takes::Strings,
    check: |text| {
        message(scalar::is_subdomain(text.strip_prefix("*.").unwrap_or(text)), || format!("`{text}` is no host name"))
    },
};

/// The path of a route.
pub static ROUTE_PATH: Form = Form {
    noun: "path",
    example: "/hello",
    pattern: "^/[-A-Za-z0-9/_.~]*$",
    takes: Takes::Strings,
    check: |text| match wrong_path(text) {
        Some(why) => Err(Wrong::Message(format!("`{text}` is no path of a route: {why}"))),
        None => Ok(()),
    },
};

/// What stands in locations, patterns and URLs alike, so that none of them needs escapes.
fn wrong_path(text: &str) -> Option<&'static str> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    let mut segments = trimmed.split('/').skip(1);
    match () {
        () if !text.starts_with('/') => Some("it starts with `/`"),
        () if !text.chars().all(fine) => Some("letters, digits and `/-_.~` only"),
        () if segments.any(|segment| matches!(segment, "" | "." | "..")) => Some("no empty segment, no `.` and `..`"),
        () => None,
    }
}

/// What is appended to the path of a route.
pub static REQUEST_PATH: Form = Form {
    noun: "path",
    example: "/health?full",
    pattern: "^/",
    takes: Takes::Strings,
    check: |text| message(text.starts_with('/'), || format!("`{text}` does not start with `/`")),
};

/// A Service and its port.
pub static TARGET: Form = Form {
    noun: "`NAME:PORT`",
    example: "hello-service:8400",
    pattern: "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(:[0-9]+)?$",
    takes: Takes::Strings,
    check: |text| {
        message(target(text).is_some(), || {
            format!("`{text}` names no service: write NAME:PORT, such as `hello-service:8400`")
        })
    },
};

/// `NAME:PORT`, or `NAME` where the service has one port.
pub fn target(text: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = match text.split_once(':') {
        None => (text, None),
        Some((name, port)) => {
            let digits = port.bytes().all(|c| c.is_ascii_digit());
            (name, Some(port.parse::<u16>().ok().filter(|port| digits && *port != 0)?))
        }
    };
    scalar::is_label(name).then_some((name, port))
}
