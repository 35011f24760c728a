//! The clients of AWS, and what their failures mean.

use std::{error::Error as _, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::{Builder, Connector, proxy::ProxyConfig, tls};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::{
    DateTime,
    date_time::Format,
    error::{display::DisplayErrorContext, metadata::ProvideErrorMetadata},
};
use jiff::Timestamp;

use crate::error::{Error, Kind, Result};

/// For one answer; AWS itself gives up after about a minute.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A call that may be repeated, or that was not taken because there were too many.
const ATTEMPTS: u32 = 6;

/// The clients of one region, with one identity.
#[derive(Debug, Clone)]
pub struct Aws {
    pub sts: aws_sdk_sts::Client,
    pub ec2: aws_sdk_ec2::Client,
    /// For calls that make something each time that they are made: nobody repeats them but who has looked first.
    pub ec2_once: aws_sdk_ec2::Client,
    pub eks: aws_sdk_eks::Client,
    pub iam: aws_sdk_iam::Client,
    pub ecr: aws_sdk_ecr::Client,
    pub logs: aws_sdk_cloudwatchlogs::Client,
    pub elb: aws_sdk_elasticloadbalancingv2::Client,
    pub quotas: aws_sdk_servicequotas::Client,
    pub region: String,
}

impl Aws {
    pub async fn open(region: Option<&str>) -> Result<Aws> {
        let config = config(region).await;
        let once = aws_sdk_ec2::config::Builder::from(&config).retry_config(RetryConfig::disabled()).build();
        Ok(Aws {
            sts: aws_sdk_sts::Client::new(&config),
            ec2: aws_sdk_ec2::Client::new(&config),
            ec2_once: aws_sdk_ec2::Client::from_conf(once),
            eks: aws_sdk_eks::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            ecr: aws_sdk_ecr::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(&config),
            quotas: aws_sdk_servicequotas::Client::new(&config),
            region: self::region(&config)?,
        })
    }
}

/// The user's configuration: variables, profiles, SSO, roles, proxies.
pub async fn config(region: Option<&str>) -> SdkConfig {
    let http = Builder::new().build_with_connector_fn(|settings, _| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build()
    });
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_WITHIN).operation_attempt_timeout(ANSWER_WITHIN).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts);
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader.load().await
}

pub fn region(config: &SdkConfig) -> Result<String> {
    config.region().map(ToString::to_string).ok_or_else(|| {
        Error::new(Kind::Usage, "it is not said in which region of AWS")
            .hint("name it: --region us-east-1, or set AWS_REGION, or `region` in your profile")
    })
}

pub fn no_credentials(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Preflight, "there are no credentials for AWS")
        .cause(why)
        .hint("set AWS_PROFILE to a profile of ~/.aws/config, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
}

/// An SSO session that ended is told apart: there is one command that helps.
pub fn credentials_failed(error: &CredentialsError) -> Error {
    let why = DisplayErrorContext(error).to_string();
    let session = ["SSO token", "SSO session", "sso_session"].iter().any(|word| why.contains(word));
    let failed = no_credentials(short(&why));
    if !session {
        return failed;
    }
    let profile = std::env::var("AWS_PROFILE").map(|profile| format!(" --profile {profile}")).unwrap_or_default();
    Error { hints: vec![format!("log in again: aws sso login{profile}")], ..failed }
}

/// What a call came to that did not give what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It changed nothing.
    Refused,
    /// It changed nothing, for there were too many: the same again, later.
    Throttled,
    /// It may have changed what it was to change.
    Unknown,
}

#[derive(Debug, Clone)]
pub struct Failure {
    /// `VpcLimitExceeded`
    pub code: Option<String>,
    pub message: String,
    pub outcome: Outcome,
    /// What it comes from, where that has nothing to do with what was called: credentials, this machine's clock.
    pub instead: Option<Box<Error>>,
}

const THROTTLED: [&str; 7] = [
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestThrottled",
    "SlowDown",
];
const ENDED: [&str; 5] =
    ["ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClientException"];
const FORBIDDEN: [&str; 4] = ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure"];
const SKEWED: [&str; 4] =
    ["SignatureDoesNotMatch", "RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException"];
/// Seconds by which clocks may differ; the answer itself took some of the five minutes.
const TOO_FAR: i64 = 240;

/// Why a call was not sent. A connection that ended without an answer may have carried it.
fn no_credentials_in<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a CredentialsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// By how many seconds this machine's clock is ahead of AWS', by the date of an answer.
fn ahead(date: &str, now: Timestamp) -> Option<i64> {
    let theirs = DateTime::from_str(date, Format::HttpDate).ok()?;
    Some(now.as_second() - theirs.secs())
}

fn clock_differs(ahead: i64) -> Error {
    let how = if ahead > 0 { "ahead of" } else { "behind" };
    Error::new(Kind::Preflight, format!("this machine's clock is {} s {how} that of AWS", ahead.abs()))
        .cause("AWS takes a signature for 5 minutes only")
        .hint("set the clock: timedatectl set-ntp true (in a virtual machine: restart it), then run the same command again")
}

impl Failure {
    /// One that AWS did not answer.
    pub fn new(message: impl Into<String>, outcome: Outcome) -> Failure {
        Failure { code: None, message: message.into(), outcome, instead: None }
    }

    pub fn of<E: ProvideErrorMetadata + std::error::Error + 'static>(error: SdkError<E, HttpResponse>) -> Failure {
        let code = error.code().map(str::to_owned);
        let message = error.message().map(str::to_owned);
        let credentials = no_credentials_in(&error);
        let throttled = code.as_deref().is_some_and(|code| THROTTLED.contains(&code));
        let outcome = match &error {
            _ if throttled => Outcome::Throttled,
            SdkError::ServiceError(context) if context.raw().status().as_u16() < 500 => Outcome::Refused,
            SdkError::ConstructionFailure(_) => Outcome::Refused,
            SdkError::DispatchFailure(failure) if failure.is_user() => Outcome::Refused,
            _ if credentials.is_some() => Outcome::Refused,
            _ => Outcome::Unknown,
        };
        let message = message.unwrap_or_else(|| match error.source() {
            Some(source) => short(&DisplayErrorContext(source).to_string()),
            None => error.to_string(),
        });
        let date = error.raw_response().and_then(|response| response.headers().get("date"));
        let off = date.and_then(|date| ahead(date, Timestamp::now())).filter(|ahead| ahead.abs() >= TOO_FAR);
        let clock = off.filter(|_| code.as_deref().is_some_and(|code| SKEWED.contains(&code))).map(clock_differs);
        let instead = credentials.map(credentials_failed).or(clock).map(Box::new);
        Failure { code, message, outcome, instead }
    }

    pub fn is(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// AWS knows nothing of what the call names; of what was just made it may say so for a while.
    pub fn is_unknown_thing(&self) -> bool {
        self.code.as_deref().is_some_and(|code| code.ends_with(".NotFound") || code == "NoSuchEntity")
    }

    /// `doing`: "making the VPC".
    pub fn error(&self, doing: &str) -> Error {
        if let Some(instead) = &self.instead {
            return Error::clone(instead);
        }
        let cause = match &self.code {
            Some(code) => format!("{code}: {}", self.message),
            None => self.message.clone(),
        };
        let error = Error::new(Kind::Platform, format!("AWS failed while {doing}")).cause(&cause);
        if self.is(&ENDED) || cause.contains("CredentialsNotLoaded") || cause.contains("credentials") {
            return Error { kind: Kind::Preflight, ..error }
                .hint("the credentials have ended or are not valid: log in again (`aws sso login`, or set new keys), then run the same command again: it goes on from here");
        }
        if self.is(&FORBIDDEN) {
            return error
                .hint("`stackctl eks-policy` prints the rights that are needed; what was begun goes on with the same command once they are there");
        }
        if self.is(&SKEWED) {
            return error
                .hint("compare this machine's clock with the real time: AWS takes signatures for 5 minutes only");
        }
        if self.outcome == Outcome::Refused {
            error
        } else {
            error.hint("run the same command again: it goes on from here")
        }
    }
}

/// Of a chain of causes what a person can use: no types, no backtraces.
fn short(why: &str) -> String {
    let end = why.find(" (").filter(|end| *end > 20).unwrap_or(why.len());
    why[..end].chars().take(400).collect()
}

/// Says what was being done where a call failed.
pub trait Doing<T> {
    fn doing(self, what: &str) -> Result<T>;
}

impl<T, E: ProvideErrorMetadata + std::error::Error + 'static> Doing<T>
    for std::result::Result<T, SdkError<E, HttpResponse>>
{
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|error| Failure::of(error).error(what))
    }
}

/// None where AWS says, by one of these codes, that there is no such thing.
pub fn unless_absent<T, E: ProvideErrorMetadata + std::error::Error + 'static>(
    answer: std::result::Result<T, SdkError<E, HttpResponse>>,
    absent: &[&str],
    doing: &str,
) -> Result<Option<T>> {
    match answer.map_err(Failure::of) {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.is(absent) => Ok(None),
        Err(failure) => Err(failure.error(doing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_compared_with_the_date_of_an_answer() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        assert_eq!(ahead("Mon, 30 Nov 2026 12:15:00 GMT", now), Some(-900));
        assert_eq!(ahead("Mon, 30 Nov 2026 11:59:30 GMT", now), Some(30));
        assert_eq!(ahead("today", now), None);
        assert!(clock_differs(-900).message.contains("900 s behind"));
    }

    #[test]
    fn an_ended_session_is_told_from_no_credentials_at_all() {
        let ended = CredentialsError::provider_error("failed to load the cached SSO token");
        assert!(credentials_failed(&ended).hints[0].starts_with("log in again: aws sso login"));
        let none = CredentialsError::not_loaded("no credentials found in chain. Attempted: WebIdentityToken");
        assert!(credentials_failed(&none).hints[0].contains("AWS_PROFILE"));
    }
}
