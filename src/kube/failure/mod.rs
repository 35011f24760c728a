//! What the API server's failures mean: pure functions from a response to an `Error`.

mod refused;
pub mod refuser;
#[cfg(test)]
mod tests;
mod words;

use std::{error::Error as StdError, io, time::Duration};

pub use refused::{immutable, in_the_way, is_too_large, line, refused, too_large};
use refuser::{Refuser, refuser};

use crate::object::{Key, Origin};
use crate::{
    client::ProxyFailed,
    error::{Error, Kind},
};

/// Where in the user's files an object comes from, if it does.
pub struct Subject<'a> {
    pub key: &'a Key,
    pub origin: Option<&'a Origin>,
}

impl Subject<'_> {
    pub(super) fn name(&self) -> String {
        self.key.in_words()
    }

    pub(super) fn error(&self, sentence: String) -> Error {
        let error = Error::new(Kind::Refused, sentence);
        match self.origin {
            Some(origin) => error.detail(format!("declared at {origin}")),
            None => error,
        }
    }
}

/// Why trying again may help, and how long the server wants to be left alone.
pub fn transient(error: &::kube::Error) -> Option<Duration> {
    let now = Duration::ZERO;
    match error {
        ::kube::Error::Api(status) => {
            let pause = status.details.as_ref().map_or(now, |d| Duration::from_secs(d.retry_after_seconds.into()));
            let message = status.message.as_str();
            let by_reason = matches!(
                status.reason.as_str(),
                "ServerTimeout" | "Timeout" | "ServiceUnavailable" | "TooManyRequests"
            );
            let webhook = message.contains("failed calling webhook")
                && [
                    "connection refused",
                    "no endpoints available",
                    "deadline exceeded",
                    "EOF",
                    "no such host",
                    "i/o timeout",
                ]
                .iter()
                .any(|cause| message.contains(cause));
            let etcd = message.contains("etcdserver:") && !message.contains("too large");
            (matches!(status.code, 429 | 503 | 504) || by_reason || webhook || etcd).then_some(pause)
        }
        ::kube::Error::Service(_) | ::kube::Error::HyperError(_) => tls_failure(error).is_none().then_some(now),
        _ => None,
    }
}

/// No answer, where an answer would be possible: the server is down or restarting.
pub fn is_loss(error: &::kube::Error) -> bool {
    matches!(error, ::kube::Error::Service(_) | ::kube::Error::HyperError(_)) && transient(error).is_some()
}

/// Refused by the roles, not by a quota or a policy.
pub fn is_missing_right(error: &::kube::Error) -> bool {
    let ::kube::Error::Api(status) = error else { return false };
    status.is_forbidden() && matches!(refuser(&status.message), Some(Refuser::Roles { .. }))
}

/// The first error of the chain that `find` recognises, looking inside `io::Error`s as well, which hide what they wrap.
fn in_chain<'a, T>(
    error: &'a (dyn StdError + 'static),
    find: impl Fn(&'a (dyn StdError + 'static)) -> Option<T>,
) -> Option<T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = find(error) {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

pub fn tls_failure<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    in_chain(error, |error| error.downcast_ref::<rustls::Error>())
}

/// No answer at all: nothing listens, no route, a name that doesn't resolve, a certificate of someone else.
pub fn unreachable(server: &str, error: &::kube::Error) -> Error {
    if let Some(tls) = tls_failure(error) {
        return tls_error(server, tls);
    }
    if let Some(failed) = in_chain(error, |error| error.downcast_ref::<ProxyFailed>()) {
        return Error::new(Kind::Platform, format!("no way to {server} through the proxy {}", failed.proxy))
            .cause(&failed.why)
            .hint("name another proxy, or put the server into NO_PROXY if it is reached without one");
    }
    let refused = in_chain(error, |error| {
        error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused).then_some(())
    });
    if refused.is_some() {
        return Error::new(Kind::Platform, format!("nothing listens at {server}"))
            .cause("connection refused")
            .hint("is the cluster running? `stackctl up` brings it up, `stackctl start` starts a stopped one");
    }
    Error::new(Kind::Platform, format!("the API server at {server} cannot be reached"))
        .caused_by(error)
        .hint("check the address in the kubeconfig and the network between here and there")
}

fn tls_error(server: &str, error: &rustls::Error) -> Error {
    use rustls::CertificateError as C;
    let made = Error::new(Kind::Platform, format!("no TLS connection to {server}"));
    match error {
        rustls::Error::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => made
            .cause("its certificate is not signed by the certificate authority in the kubeconfig")
            .hint("the kubeconfig belongs to another cluster, perhaps an earlier one of the same name: fetch it again"),
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            made.cause("its certificate has expired").hint("renew the cluster's certificates, and check this machine's clock")
        }
        rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => made
            .cause(error)
            .hint("reach the API server by a name or address that its certificate carries, or set tls-server-name in the kubeconfig"),
        other => made.cause(other).hint("check that the address in the kubeconfig is that of an API server"),
    }
}

/// A refusal outside any object: the login itself, a list, discovery.
pub fn request_failed(operation: &str, server: &str, error: &::kube::Error) -> Error {
    match error {
        ::kube::Error::Api(status) if status.code == 401 => {
            Error::new(Kind::Platform, format!("{server} does not accept these credentials"))
                .cause(&status.message)
                .hint("the user's token or certificate in the kubeconfig is wrong or has expired: log in again")
        }
        ::kube::Error::Api(status) if status.is_forbidden() => {
            let made = Error::new(Kind::Refused, format!("cannot {operation}: not allowed"));
            match refuser(&status.message) {
                Some(who @ Refuser::Roles { .. }) => {
                    made.cause(who.says()).hint("ask for this right, or use another context")
                }
                _ => made.cause(&status.message).hint("ask for this right, or use another context"),
            }
        }
        ::kube::Error::Api(status) => {
            Error::new(Kind::Platform, format!("{operation}: the API server answered {}", status.code))
                .cause(&status.message)
        }
        ::kube::Error::Service(_) | ::kube::Error::HyperError(_) => {
            unreachable(server, error).detail(format!("while trying to {operation}"))
        }
        other => Error::new(Kind::Platform, operation.to_owned()).caused_by(other),
    }
}

/// The namespace is on its way out: nothing can be created in it, but soon it is gone.
pub fn is_terminating_namespace(error: &::kube::Error) -> bool {
    let ::kube::Error::Api(status) = error else { return false };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.is_forbidden()
        && (causes.any(|cause| cause.reason == "NamespaceTerminating")
            || status.message.contains("because it is being terminated"))
}

/// A path that the server does not serve (yet): a CRD that was established a moment ago.
pub fn is_unserved(error: &::kube::Error) -> bool {
    let ::kube::Error::Api(status) = error else { return false };
    status.code == 404 && status.details.as_ref().is_none_or(|details| details.name.is_empty())
}
