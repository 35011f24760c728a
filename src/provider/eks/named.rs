//! What is known by a name of its own: roles, the log group, repositories. Making one twice is refused by AWS.

use std::collections::HashMap;

use aws_sdk_ecr::types::{ImageScanningConfiguration, ImageTagMutability};
use futures::future::try_join_all;
use serde_json::json;

use super::{
    client::{Doing, Failure, unless_absent},
    cluster::EksCluster,
    look,
    make::Tags,
    names,
    task::Role,
};
use crate::error::Result;

/// Days for which what the control plane said is kept.
pub const RETENTION: i32 = 7;
const THERE: [&str; 4] = [
    "EntityAlreadyExists",
    "ResourceAlreadyExistsException",
    "RepositoryAlreadyExistsException",
    "ResourceInUseException",
];

impl EksCluster {
    /// With all policies that it lacks.
    pub async fn make_role(&self, role: Role) -> Result<bool> {
        let aws = &self.aws;
        let name = &look::role_name(&self.name, role);
        let part = format!("role-{}", role.suffix());
        let seen = look::role(aws, &self.name, role).await?;
        let find = || async { Ok(look::role(aws, &self.name, role).await?.map(|_| name.clone())) };
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Service": role.service() },
                "Action": ["sts:AssumeRole", "sts:TagSession"],
            }],
        })
        .to_string();
        let trust = &trust;
        let make = |tags: Tags| async move {
            let tags = tags.into_iter().map(|(key, value)| {
                aws_sdk_iam::types::Tag::builder().key(key).value(value).build().map_err(|error| refused(&error))
            });
            let tags = tags.collect::<std::result::Result<Vec<_>, _>>()?;
            let call = aws.iam.create_role().role_name(name).assume_role_policy_document(trust);
            let answer = call.description("made by stackctl").set_tags(Some(tags)).send().await.map_err(Failure::of);
            exists_or(answer.map(drop), name)
        };
        let made = match &seen {
            Some(_) => self.known(&part, name.clone(), false),
            None => self.make_missing(&part, find, make).await?,
        };
        let has = seen.map(|seen| seen.policies).unwrap_or_default();
        let missing = role.policies().iter().filter(|policy| !has.contains(**policy)).collect::<Vec<_>>();
        for policy in &missing {
            let arn = format!("arn:{}:iam::aws:policy/{policy}", names::partition(&aws.region));
            let call = aws.iam.attach_role_policy().role_name(name).policy_arn(arn);
            let answer = self.once_shown(|| call.clone().send()).await;
            answer.map_err(|failure| failure.error(&format!("giving the role {name} the policy {policy}")))?;
        }
        Ok(made.new || !missing.is_empty())
    }

    /// One that is there already is taken over: an earlier cluster of this name may have left it.
    pub async fn make_log_group(&self) -> Result<bool> {
        let aws = &self.aws;
        let name = &names::log_group(&self.name);
        let seen = look::log_group(aws, &self.name).await?;
        let find = || async { Ok(look::log_group(aws, &self.name).await?.map(|_| name.clone())) };
        let make = |tags: Tags| async move {
            let tags: HashMap<String, String> = tags.into_iter().collect();
            let answer = aws.logs.create_log_group().log_group_name(name).set_tags(Some(tags)).send().await;
            exists_or(answer.map(drop).map_err(Failure::of), name)
        };
        let made = match &seen {
            Some(_) => self.known("log-group", name.clone(), false),
            None => self.make_missing("log-group", find, make).await?,
        };
        if seen.as_ref().is_some_and(|seen| seen.retention.is_some()) {
            return Ok(made.new);
        }
        let call = aws.logs.put_retention_policy().log_group_name(name).retention_in_days(RETENTION);
        call.send().await.doing("limiting how long logs are kept")?;
        Ok(true)
    }

    pub async fn make_repositories(&self, names: &[String]) -> Result<bool> {
        let made = try_join_all(names.iter().map(|name| self.make_repository(name))).await?;
        Ok(made.contains(&true))
    }

    /// Tags that stay what they are, a scan of each push, and old images that go by themselves.
    async fn make_repository(&self, relative: &str) -> Result<bool> {
        let aws = &self.aws;
        let name = &names::repository(&self.name, relative);
        let part = format!("repository-{relative}");
        let find = || async {
            let answer = aws.ecr.describe_repositories().repository_names(name).send().await;
            let found = unless_absent(answer, &["RepositoryNotFoundException"], "looking for a repository")?;
            Ok(found.map(|_| name.clone()))
        };
        let make = |tags: Tags| async move {
            let tags = tags.into_iter().map(|(key, value)| {
                aws_sdk_ecr::types::Tag::builder().key(key).value(value).build().map_err(|error| refused(&error))
            });
            let tags = tags.collect::<std::result::Result<Vec<_>, _>>()?;
            let call = aws.ecr.create_repository().repository_name(name).set_tags(Some(tags));
            let call = call.image_tag_mutability(ImageTagMutability::Immutable);
            let scan = ImageScanningConfiguration::builder().scan_on_push(true).build();
            let answer = call.image_scanning_configuration(scan).send().await.map_err(Failure::of);
            exists_or(answer.map(drop), name)
        };
        // An earlier run may have ended before it had said what is kept.
        let is_half_made = self.ledger.pending(&part)?.is_some();
        let made = self.ensure(&part, find, make).await?;
        if made.new || is_half_made {
            let rules = json!({ "rules": [{
                "rulePriority": 1,
                "description": "the newest are kept",
                "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 20 },
                "action": { "type": "expire" },
            }]});
            let call = aws.ecr.put_lifecycle_policy().repository_name(name).lifecycle_policy_text(rules.to_string());
            call.send().await.doing(&format!("limiting what the repository {name} keeps"))?;
        }
        Ok(made.new)
    }
}

fn refused(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(error.to_string(), super::client::Outcome::Refused)
}

/// That it is there is what was wanted: a call whose answer was lost was repeated by the client itself.
fn exists_or(answer: std::result::Result<(), Failure>, name: &str) -> std::result::Result<String, Failure> {
    match answer {
        Err(failure) if !failure.is(&THERE) => Err(failure),
        _ => Ok(name.to_owned()),
    }
}
