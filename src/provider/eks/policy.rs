//! The rights that stackctl needs on AWS, and no more.

use serde_json::Value;

use crate::error::{Context, Kind, Result};

const POLICY: &str = include_str!("policy.json");

/// An IAM policy, as `aws iam create-policy` takes it.
pub fn policy() -> Result<Value> {
    serde_json::from_str(POLICY).context(Kind::Unexpected, || "the embedded policy is not JSON".to_owned())
}

/// The actions that it allows, as `ec2:CreateVpc`; some end in `*`.
#[cfg(feature = "eks")]
pub fn actions() -> Result<std::collections::BTreeSet<String>> {
    let policy = policy()?;
    let statements = crate::object::json::list(&policy, "/Statement").iter();
    let actions = statements.flat_map(|statement| match &statement["Action"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => several.iter().filter_map(|action| action.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    });
    Ok(actions.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements() -> Vec<Value> {
        policy().unwrap()["Statement"].as_array().unwrap().clone()
    }

    fn actions(statement: &Value) -> Vec<String> {
        let one_or_more = statement["Action"].as_array().cloned().unwrap_or_else(|| vec![statement["Action"].clone()]);
        one_or_more.iter().map(|action| action.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn nothing_is_allowed_wholesale_but_looking() {
        let all: Vec<String> = statements().iter().flat_map(actions).collect();
        assert!(all.iter().any(|action| action == "eks:CreateCluster"));
        assert!(all.iter().all(|action| !action.contains('*') || action.ends_with(":Describe*")), "{all:?}");
    }

    #[test]
    fn only_looking_is_allowed_everywhere_and_without_a_condition() {
        for statement in statements() {
            if statement["Resource"] != "*" || statement.get("Condition").is_some() {
                continue;
            }
            for action in actions(&statement) {
                let verb = action.split_once(':').unwrap().1;
                let looks = ["Describe", "List", "Get", "Simulate"].iter().any(|looks| verb.starts_with(looks));
                assert!(looks, "{action}");
            }
        }
    }
}
