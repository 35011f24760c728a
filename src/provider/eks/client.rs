//! The clients of AWS, and what their failures mean.

use std::{error::Error as _, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::{Builder, Connector, proxy::ProxyConfig, tls};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::{display::DisplayErrorContext, metadata::ProvideErrorMetadata};

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
    let session = ["sso", "SSO", "token"].iter().any(|word| why.contains(word));
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
const SKEWED: [&str; 2] = ["SignatureDoesNotMatch", "RequestTimeTooSkewed"];

/// For want of credentials. A connection that ended without an answer may have carried the call.
fn was_never_sent(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<CredentialsError>() {
            return true;
        }
        next = error.source();
    }
    false
}

impl Failure {
    pub fn of<E: ProvideErrorMetadata + std::error::Error + 'static>(error: SdkError<E, HttpResponse>) -> Failure {
        let code = error.code().map(str::to_owned);
        let message = error.message().map(str::to_owned);
        let throttled = code.as_deref().is_some_and(|code| THROTTLED.contains(&code));
        let outcome = match &error {
            _ if throttled => Outcome::Throttled,
            SdkError::ServiceError(context) if context.raw().status().as_u16() < 500 => Outcome::Refused,
            SdkError::ConstructionFailure(_) => Outcome::Refused,
            SdkError::DispatchFailure(failure) if failure.is_user() => Outcome::Refused,
            SdkError::DispatchFailure(_) if was_never_sent(&error) => Outcome::Refused,
            _ => Outcome::Unknown,
        };
        let message = message.unwrap_or_else(|| match error.source() {
            Some(source) => short(&DisplayErrorContext(source).to_string()),
            None => error.to_string(),
        });
        Failure { code, message, outcome }
    }

    pub fn is(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// `doing`: "making the VPC".
    pub fn error(&self, doing: &str) -> Error {
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
