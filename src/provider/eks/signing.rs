//! Who we are, as EKS wants to be told: a question to STS, signed in advance, that the cluster asks in our place.

use std::time::{Duration, SystemTime};

use aws_credential_types::{Credentials, provider::ProvideCredentials};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;

use super::{client, names, token::Token};
use crate::{
    error::{Context, Error, Kind, Result},
    state::State,
};

/// What the cluster's authenticator knows such tokens by.
const PREFIX: &str = "k8s-aws-v1.";
/// In which the cluster's name is signed along, so that a token is of no use elsewhere.
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
/// How long STS takes a signature that was made in advance.
const SIGNED_FOR: Duration = Duration::from_secs(60);
/// How long the cluster takes the token, from the time of its signature on.
const LASTS: Duration = Duration::from_secs(15 * 60);
/// So long before its end a token is not used any more.
const MARGIN: Duration = Duration::from_secs(60);
/// In the state folder: tokens that still last.
const CACHE: &str = "tokens";

/// A token for a cluster, from the cache while it lasts. `region`: None for the one of the user's configuration.
pub async fn token(cluster: &str, region: Option<&str>, state: &State) -> Result<Token> {
    let config = client::config(region).await;
    let region = client::region(&config)?;
    let folder = state.folder(CACHE);
    let provider = config.credentials_provider().ok_or_else(|| client::no_credentials("no provider of them"))?;
    let credentials = provider.provide_credentials().await;
    let credentials = credentials.map_err(|error| client::credentials_failed(&error))?;
    // Another identity is another token.
    let known_by = format!("{cluster}\0{region}\0{}", credentials.access_key_id());
    let file = format!("{}.json", &blake3::hash(known_by.as_bytes()).to_hex()[..32]);
    let kept = folder.read(&file).ok().flatten();
    let kept = kept.and_then(|kept| serde_json::from_slice::<Token>(&kept).ok());
    if let Some(token) = kept.filter(|token| token.until > Timestamp::now()) {
        return Ok(token);
    }
    let token = signed(cluster, &region, &credentials, SystemTime::now())?;
    // Made again each time, a token costs milliseconds.
    let _ = serde_json::to_vec(&token).map(|content| folder.write(&file, &content));
    Ok(token)
}

fn signed(cluster: &str, region: &str, credentials: &Credentials, now: SystemTime) -> Result<Token> {
    let host = format!("sts.{region}.{}", names::dns_suffix(region));
    let mut url = url::Url::parse(&format!("https://{host}/"))
        .context(Kind::Unexpected, || format!("the region {region} makes no host name"))?;
    url.query_pairs_mut().append_pair("Action", "GetCallerIdentity").append_pair("Version", "2011-06-15");

    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(SIGNED_FOR);
    let identity = credentials.clone().into();
    let failed = |error: &dyn std::fmt::Display| Error::new(Kind::Unexpected, "cannot sign a token").cause(error);
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let headers = [("host", host.as_str()), (CLUSTER_HEADER, cluster)];
    let request = SignableRequest::new("GET", url.as_str(), headers.into_iter(), SignableBody::Bytes(&[]))
        .map_err(|error| failed(&error))?;
    let (instructions, _) = sign(request, &params).map_err(|error| failed(&error))?.into_parts();
    for (name, value) in instructions.params() {
        url.query_pairs_mut().append_pair(name, value);
    }
    let end = credentials.expiry().map_or(now + LASTS, |expiry| expiry.min(now + LASTS));
    let until = Timestamp::try_from(end - MARGIN).context(Kind::Unexpected, || "the clock is far off".to_owned())?;
    Ok(Token { token: format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(url.as_str())), until })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(expiry: Option<SystemTime>) -> Credentials {
        Credentials::new("AKIDEXAMPLE", "secret", Some("session".to_owned()), expiry, "test")
    }

    #[test]
    fn a_token_is_a_question_to_sts_that_is_signed_with_the_clusters_name() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let token = signed("stackctl-hello-abc", "eu-central-1", &credentials(None), now).unwrap();
        let encoded = token.token.strip_prefix("k8s-aws-v1.").unwrap();
        assert!(!encoded.contains('='));
        let url = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap();
        let url = url::Url::parse(&url).unwrap();
        assert_eq!(url.host_str(), Some("sts.eu-central-1.amazonaws.com"));
        let value = |name: &str| url.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned();
        assert_eq!(value("X-Amz-Expires"), "60");
        assert_eq!(value("X-Amz-SignedHeaders"), "host;x-k8s-aws-id");
        assert_eq!(value("X-Amz-Security-Token"), "session");
        assert_eq!(value("X-Amz-Credential"), "AKIDEXAMPLE/20270115/eu-central-1/sts/aws4_request");
        let other = signed("another", "eu-central-1", &credentials(None), now).unwrap();
        assert_ne!(token.token, other.token);
    }

    #[test]
    fn a_token_ends_with_the_credentials_and_a_minute_before_the_cluster_refuses_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let until = |expiry: Option<u64>| {
            let expiry = expiry.map(|seconds| now + Duration::from_secs(seconds));
            signed("c", "us-east-1", &credentials(expiry), now).unwrap().until.as_second() - 1_800_000_000
        };
        assert_eq!((until(None), until(Some(300)), until(Some(7200))), (840, 240, 840));
    }
}
