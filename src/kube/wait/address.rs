//! Waiting until a Service has the name of its load balancer. Whether anybody stands behind it is another question.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Begun;
use crate::{
    error::{
        Error, Kind, Result,
        cause::{Root, What},
    },
    event::Progress,
    kube::{Kube, failure, readiness},
    object::{
        Key,
        balancer::{self, Balancer},
        json,
    },
};

/// Between two looks: a cloud needs many of them.
const EVERY: Duration = Duration::from_secs(2);

impl Kube {
    /// The name of its load balancer. What the cluster says of the Service meanwhile is the cause where none comes.
    pub async fn wait_address(
        &self,
        key: &Key,
        balancer: Option<Balancer>,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<String> {
        let begun = self.begin_wait();
        let usually = balancer.map(|balancer| format!(" ({} as a rule)", balancer.usually)).unwrap_or_default();
        progress.say(format!("waiting for a load balancer{usually}"));
        loop {
            let Some(service) = self.get(key).await? else {
                return Err(Error::new(Kind::NotReady, format!("{key} was deleted while it was waited for"))
                    .hint("run the same command again: it creates what is missing"));
            };
            if let Some(host) = balancer::host(&service).filter(|_| !json::is_being_deleted(&service)) {
                return Ok(host.to_owned());
            }
            let warnings = self.new_warnings(key, &service, begun).await?;
            let vain = balancer.and_then(|balancer| in_vain(&balancer, &warnings));
            if vain.is_some() || Instant::now() >= deadline {
                return Err(no_address(key, begun.at.elapsed(), warnings, vain));
            }
            if let Some(last) = warnings.last() {
                progress.say(format!("no load balancer yet: {last}"));
            }
            tokio::time::sleep_until((Instant::now() + EVERY).min(deadline)).await;
        }
    }

    /// What was said since the wait began, newest last.
    async fn new_warnings(&self, key: &Key, service: &Value, begun: Begun) -> Result<Vec<String>> {
        let failed =
            |error: ::kube::Error| failure::request_failed(&format!("list events of {key}"), &self.server, &error);
        let mut events = self.events(json::namespace(service), &[service]).await.map_err(failed)?;
        events.retain(|event| event["type"] == "Warning" && readiness::is_after(event, begun.time));
        events.sort_by_key(|event| readiness::last_seen(event).to_owned());
        Ok(events.iter().map(json::reason).collect())
    }
}

/// What to do, where one of the warnings says that waiting does not help.
fn in_vain(balancer: &Balancer, warnings: &[String]) -> Option<&'static str> {
    let known = |warning: &String| balancer.in_vain.iter().find(|(word, _)| warning.contains(word));
    warnings.iter().rev().find_map(known).map(|(_, hint)| *hint)
}

fn no_address(key: &Key, waited: Duration, mut warnings: Vec<String>, vain: Option<&str>) -> Error {
    let last = warnings.pop();
    let why = last.clone().unwrap_or_else(|| "nobody has said anything about it".to_owned());
    let error = Error::new(Kind::NotReady, format!("{key} has no load balancer after {} s", waited.as_secs()));
    let mut error = error.cause(&why).details(warnings.iter().skip(warnings.len().saturating_sub(4)));
    error.roots.push(Root { subject: key.to_string(), what: What::Other(why) });
    match (vain, last) {
        (Some(hint), _) => error.hint(hint),
        (None, Some(_)) => error.hint("give it longer with --timeout, or mend what the cluster complains about"),
        (None, None) => error.hint("give it longer with --timeout"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALANCER: Balancer =
        Balancer { class: "c", annotations: &[], in_vain: &[("TooMany", "ask for more")], usually: "1 minute" };

    fn failed(warnings: &[&str]) -> Error {
        let warnings: Vec<String> = warnings.iter().map(|text| (*text).to_owned()).collect();
        let key = Key { group: String::new(), kind: "Service".into(), namespace: None, name: "edge-public".into() };
        let vain = in_vain(&BALANCER, &warnings);
        no_address(&key, Duration::from_secs(9), warnings, vain)
    }

    #[test]
    fn what_the_cluster_said_last_is_the_cause() {
        let error = failed(&["FailedBuildModel: no subnets", "FailedDeployModel: TooManyLoadBalancers"]);
        assert_eq!(error.causes, ["FailedDeployModel: TooManyLoadBalancers"]);
        assert_eq!(
            (error.details.as_slice(), error.hints.as_slice()),
            (&["FailedBuildModel: no subnets".to_owned()][..], &["ask for more".to_owned()][..])
        );
        let silent = failed(&[]);
        assert!(silent.to_string().contains("after 9 s: nobody has said anything"), "{silent}");
        assert_eq!(in_vain(&BALANCER, &["no subnets".to_owned()]), None);
    }
}
