//! Results of proofs as JUnit XML, for `--junit FILE`.

use std::{fmt::Write, time::Duration};

use super::xml::escape;
use crate::proof::ProofResult;

/// One `<testsuite>` named after the stack.
pub fn junit(suite: &str, results: &[ProofResult]) -> String {
    let failed = results.iter().filter(|result| !result.passed && result.skipped.is_none()).count();
    let skipped = results.iter().filter(|result| result.skipped.is_some()).count();
    let total: Duration = results.iter().map(|result| result.took).sum();
    let counts = format!(
        "tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\" time=\"{:.3}\"",
        results.len(),
        total.as_secs_f64()
    );
    let suite = escape(suite);
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite name=\"{suite}\" {counts}>\n"
    );
    for result in results {
        let _ = write!(
            xml,
            "    <testcase name=\"{}\" classname=\"{suite}\" time=\"{:.3}\"",
            escape(&result.name),
            result.took.as_secs_f64()
        );
        xml += &match (&result.skipped, result.passed) {
            (Some(reason), _) => format!(">\n      <skipped message=\"{}\"/>\n    </testcase>\n", escape(reason)),
            (None, true) => "/>\n".to_owned(),
            (None, false) => {
                let expected = result.expected.as_deref().unwrap_or("success");
                let seen = result.seen.as_deref().unwrap_or("nothing");
                format!(
                    ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                    escape(&format!("expected {expected}")),
                    escape(&format!("saw {seen}"))
                )
            }
        };
    }
    xml + "  </testsuite>\n</testsuites>\n"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::xml::well_formed, *};

    fn result(name: &str, seen: Option<&str>, skipped: Option<&str>) -> ProofResult {
        ProofResult {
            name: name.into(),
            passed: seen.is_none() && skipped.is_none(),
            took: Duration::from_millis(12),
            attempts: 1,
            expected: Some("status 200".into()),
            seen: seen.map(str::to_owned),
            skipped: skipped.map(str::to_owned),
            note: None,
        }
    }

    #[test]
    fn counts_and_escapes() {
        let results = [
            result("says \"hello\"", None, None),
            result("reads", Some("<500>"), None),
            result("x", None, Some("a & b")),
        ];
        insta::assert_snapshot!(junit("hello", &results), @r###"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites tests="3" failures="1" errors="0" skipped="1" time="0.036">
          <testsuite name="hello" tests="3" failures="1" errors="0" skipped="1" time="0.036">
            <testcase name="says &quot;hello&quot;" classname="hello" time="0.012"/>
            <testcase name="reads" classname="hello" time="0.012">
              <failure message="expected status 200">saw &lt;500&gt;</failure>
            </testcase>
            <testcase name="x" classname="hello" time="0.012">
              <skipped message="a &amp; b"/>
            </testcase>
          </testsuite>
        </testsuites>
        "###);
    }

    proptest! {
        #[test]
        fn is_always_well_formed(name in any::<String>(), seen in any::<String>(), reason in any::<String>()) {
            let results = [result(&name, Some(&seen), None), result(&name, None, Some(&reason))];
            prop_assert!(well_formed(&junit(&name, &results)).is_ok());
        }
    }
}
