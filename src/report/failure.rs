//! Errors as text and as data.

use serde_json::{Value, json};

use super::style::{Paint, clean};
use crate::error::Error;

pub fn text(error: &Error, paint: Paint) -> String {
    let mut lines = Vec::new();
    let mut message = error.message.lines();
    lines.push(format!("{} {}", paint.bad("error:"), paint.bold(clean(message.next().unwrap_or_default()))));
    lines.extend(message.map(|line| format!("  {}", clean(line))));
    for cause in &error.causes {
        let mut cause = cause.lines();
        lines.push(format!("  because: {}", clean(cause.next().unwrap_or_default())));
        lines.extend(cause.map(|line| format!("    {}", clean(line))));
    }
    let details = error.details.iter().flat_map(|detail| detail.lines());
    lines.extend(details.map(|line| format!("    {}", clean(line))));
    lines.extend(error.hints.iter().map(|hint| format!("{} {}", paint.busy("hint:"), clean(hint))));
    lines.join("\n")
}

/// `{"error": {"kind", "message", "causes", "details", "hints", "exitCode"}}`
pub fn value(error: &Error) -> Value {
    json!({ "error": {
        "kind": error.kind.name(),
        "message": error.message,
        "causes": error.causes,
        "details": error.details,
        "hints": error.hints,
        "exitCode": error.kind.exit_code(),
    } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn error() -> Error {
        Error::new(Kind::Build, "building image hello failed")
            .cause("RUN npm ci exited with 1")
            .detail("npm error code E404\nnpm error 404 Not Found")
            .hint("check the name of the package in services/hello/package.json")
    }

    #[test]
    fn as_text() {
        insta::assert_snapshot!(text(&error(), Paint { color: false }), @r###"
        error: building image hello failed
          because: RUN npm ci exited with 1
            npm error code E404
            npm error 404 Not Found
        hint: check the name of the package in services/hello/package.json
        "###);
        assert!(text(&error(), Paint { color: true }).contains("\x1b[31m"));
    }

    #[test]
    fn as_data() {
        insta::assert_json_snapshot!(value(&error()), @r###"
        {
          "error": {
            "causes": [
              "RUN npm ci exited with 1"
            ],
            "details": [
              "npm error code E404\nnpm error 404 Not Found"
            ],
            "exitCode": 5,
            "hints": [
              "check the name of the package in services/hello/package.json"
            ],
            "kind": "build",
            "message": "building image hello failed"
          }
        }
        "###);
    }
}
