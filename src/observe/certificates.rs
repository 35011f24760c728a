//! The certificates of edges, as the cluster has them.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::{
    error::Result,
    kube::{Kube, MANAGER},
    machine::Machine,
    object::{Key, balancer, json},
    stack::model::Stack,
    tls::{self, Authority, Decision, OwnTrust, Seen, authority, wanted::Certificate},
};

/// Label of all that we make.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// What is known of the certificates of the stack's edges; those of somebody else are told.
pub async fn all(machine: &Machine, stack: &Stack) -> Result<BTreeMap<Key, Seen>> {
    let mut found = BTreeMap::new();
    if wanted(stack).next().is_none() {
        return Ok(found);
    }
    let (kube, authority) = (machine.kube().await?, machine.known_authority().await?);
    for wanted in wanted(stack) {
        let Some(seen) = certificate(kube, wanted, authority.as_ref()).await? else { continue };
        if let Decision::KeepForeign { issuer, not_after, .. } = tls::decide(wanted, Some(&seen)) {
            let trusted = match seen.own.as_ref().is_some_and(|own| own.authority.is_some()) {
                true => "requests from here trust its own ca.crt",
                false => "it has no ca.crt, so requests from here trust this certificate alone",
            };
            machine.events.warn(format!(
                "{} in namespace {} is not stackctl's and stays as it is: issued by {issuer}, valid until {}; {trusted}",
                wanted.secret_key(),
                wanted.namespace,
                authority::date(not_after)
            ));
        }
        found.insert(wanted.secret_key(), seen);
    }
    Ok(found)
}

fn wanted(stack: &Stack) -> impl Iterator<Item = &Certificate> {
    stack.sets.iter().filter_map(|set| set.certificate.as_ref())
}

/// Of those that were seen and are somebody else's, whom to trust, by the Secret.
pub fn foreign(stack: &Stack, seen: &BTreeMap<Key, Seen>) -> BTreeMap<String, OwnTrust> {
    let own = |wanted: &Certificate| {
        let seen = seen.get(&wanted.secret_key())?;
        let is_foreign = matches!(tls::decide(wanted, Some(seen)), Decision::KeepForeign { .. });
        Some((wanted.secret.clone(), seen.own.clone().filter(|_| is_foreign)?))
    };
    wanted(stack).filter_map(own).collect()
}

/// A certificate's Secret as it is now; None: there is none. Its key is not looked at.
pub async fn certificate(kube: &Kube, wanted: &Certificate, authority: Option<&Authority>) -> Result<Option<Seen>> {
    let (secret_key, bundle_key) = (wanted.secret_key(), wanted.bundle_key());
    let (secret, bundle, host) = tokio::try_join!(kube.get(&secret_key), kube.get(&bundle_key), host(kube, wanted))?;
    let Some(secret) = secret else { return Ok(None) };
    let text = pem(&secret, "tls.crt");
    let facts = text.as_deref().ok_or_else(|| "it has no tls.crt".to_owned()).and_then(tls::certificate::facts);
    let ours = json::label(&secret, MANAGED_BY) == Some(MANAGER);
    let signed = text
        .as_ref()
        .zip(authority)
        .is_some_and(|(text, authority)| tls::certificate::is_signed_by(text, authority.certificate()));
    let known = bundle.as_ref().and_then(|bundle| bundle.pointer("/data/ca.crt")?.as_str());
    // A foreign Secret that does not name its authority leaves nothing to say about it.
    let bundled = named_authority(&secret).is_none_or(|wanted| known == Some(wanted.as_str()));
    let own = text.filter(|_| !ours).map(|certificate| OwnTrust { certificate, authority: own_authority(&secret) });
    Ok(Some(Seen { now: authority::now(), certificate: facts, ours, signed, bundled, own, host }))
}

/// The name of the load balancer that leads to the edge, where the certificate is to have it and there is one.
pub async fn host(kube: &Kube, wanted: &Certificate) -> Result<Option<String>> {
    let Some(service) = &wanted.service else { return Ok(None) };
    let service = kube.get(service).await?.filter(|service| !json::is_being_deleted(service));
    Ok(service.as_ref().and_then(balancer::host).map(str::to_owned))
}

fn own_authority(secret: &Value) -> Option<String> {
    pem(secret, "ca.crt").filter(|text| !text.trim().is_empty())
}

/// Whose signature a certificate's Secret bears, as far as the Secret itself tells.
pub fn named_authority(secret: &Value) -> Option<String> {
    own_authority(secret).or_else(|| pem(secret, "tls.crt").filter(|text| tls::certificate::is_self_signed(text)))
}

/// The certificate, PEM, of the authority whose signature clients in the cluster have to accept from the stack's edge.
/// None: it has no certificate, or its authority is not known.
pub async fn ca_bundle(kube: &Kube, stack: &Stack) -> Result<Option<String>> {
    let Some(wanted) = wanted(stack).next() else { return Ok(None) };
    let bundle = kube.get(&wanted.bundle_key()).await?;
    Ok(bundle.as_ref().and_then(|bundle| json::text(bundle, "/data/ca.crt")).map(str::to_owned))
}

/// A text of a Secret.
pub fn pem(secret: &Value, key: &str) -> Option<String> {
    let encoded = secret.get("data")?.get(key)?.as_str()?;
    String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()
}
