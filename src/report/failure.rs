//! Errors as text.

use super::style::{Paint, clean};
use crate::error::Error;

pub fn text(error: &Error, paint: Paint) -> String {
    let mut lines = Vec::new();
    let mut hints: Vec<&String> = Vec::new();
    for error in std::iter::once(error).chain(&error.others) {
        what(error, paint, &mut lines);
        hints.extend(&error.hints);
    }
    // What helps against several failures is said once.
    let mut said = std::collections::HashSet::new();
    hints.retain(|hint| said.insert(*hint));
    lines.extend(hints.iter().map(|hint| format!("{} {}", paint.busy("hint:"), clean(hint))));
    lines.join("\n")
}

/// What failed and why.
fn what(error: &Error, paint: Paint, lines: &mut Vec<String>) {
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
    fn several_failures_are_told_one_after_the_other_and_a_common_hint_once() {
        let second = Error::new(Kind::Refused, "ConfigMap/b is invalid").cause("data: no").hint("look again");
        let error = Error::new(Kind::Refused, "ConfigMap/a is invalid").hint("look again").beside([second]);
        insta::assert_snapshot!(text(&error, Paint { color: false }), @r###"
        error: ConfigMap/a is invalid
        error: ConfigMap/b is invalid
          because: data: no
        hint: look again
        "###);
    }
}
