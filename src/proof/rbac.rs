//! What the token of this pod's ServiceAccount may do, tried at the API server itself.

use std::{
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::http::Requester;
use crate::stack::claims::{Access, RbacCheck};

type Seen<T> = std::result::Result<T, String>;

/// No object has this name, so that a request that is let through finds nothing to change.
const NOBODY: &str = "stackctl-proof-of-access";

/// Where Kubernetes puts what a pod needs to reach its API server.
#[derive(Debug, Clone)]
pub struct ApiServer {
    /// `https://10.96.0.1:443`
    pub url: String,
    /// Holds `token`, `namespace` and `ca.crt`.
    pub credentials: PathBuf,
}

impl ApiServer {
    /// None: this is no pod.
    pub fn from_env() -> Option<ApiServer> {
        let host = std::env::var("KUBERNETES_SERVICE_HOST").ok()?;
        let port = std::env::var("KUBERNETES_SERVICE_PORT").ok()?;
        let host = match host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => bracketed(address),
            _ => host,
        };
        let credentials = PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount");
        Some(ApiServer { url: format!("https://{host}:{port}"), credentials })
    }

    pub fn ca(&self) -> PathBuf {
        self.credentials.join("ca.crt")
    }
}

fn bracketed(address: Ipv6Addr) -> String {
    format!("[{address}]")
}

/// `requester` trusts the API server's CA.
pub async fn attempt(requester: &Requester, server: &ApiServer, check: &RbacCheck) -> Seen<()> {
    let client = Client {
        requester,
        server: &server.url,
        token: read(&server.credentials.join("token"))?,
        namespace: read(&server.credentials.join("namespace"))?,
        check,
    };
    let mut wrong = Vec::new();
    for (accesses, wanted) in [(&check.allowed, true), (&check.denied, false)] {
        for access in accesses {
            match client.may(access).await {
                Ok(may) if may == wanted => {}
                Ok(true) => wrong.push(format!("may {access}, against what is declared")),
                Ok(false) => wrong.push(format!("may not {access}")),
                Err(why) => wrong.push(format!("{access}: {why}")),
            }
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("ServiceAccount {} {}", check.service_account, wrong.join("; "))),
    }
}

fn read(file: &Path) -> Seen<String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{} could not be read: {error}", file.display()))?;
    Ok(text.trim().to_owned())
}

struct Client<'a> {
    requester: &'a Requester,
    server: &'a str,
    token: String,
    namespace: String,
    check: &'a RbacCheck,
}

impl Client<'_> {
    /// Authorization comes before the API server looks for the object or at the body, so that whatever it says beside 401
    /// and 403 was allowed. Nothing is changed: the name is nobody's, and writes are dry runs.
    async fn may(&self, access: &Access) -> Seen<bool> {
        let (plural, group) = access.resource.split_once('.').unwrap_or((&access.resource, ""));
        let all = format!("{}/namespaces/{}/{plural}", self.version(group).await?, self.namespace);
        let one = format!("{all}/{NOBODY}");
        const DRY: &str = "dryRun=All";
        let (method, url) = match access.verb.as_str() {
            "get" => ("GET", one),
            "list" => ("GET", format!("{all}?limit=1")),
            "watch" => ("GET", format!("{all}?watch=true&timeoutSeconds=1&limit=1")),
            "create" => ("POST", format!("{all}?{DRY}")),
            "update" => ("PUT", format!("{one}?{DRY}")),
            "patch" => ("PATCH", format!("{one}?{DRY}")),
            _ => ("DELETE", format!("{one}?{DRY}")),
        };
        let answer = self.send(method, &url).await?;
        match answer.status {
            401 => Err(format!("the token was not accepted ({answer})")),
            403 => Ok(false),
            404 if !is_status_of_object(&answer.body) => Err(format!("there is no such resource ({answer})")),
            500.. => Err(answer.to_string()),
            _ => Ok(true),
        }
    }

    /// `SERVER/api/v1`, or the version of a group that the server prefers.
    async fn version(&self, group: &str) -> Seen<String> {
        if group.is_empty() {
            return Ok(format!("{}/api/v1", self.server));
        }
        let url = format!("{}/apis/{group}", self.server);
        let answer = self.send("GET", &url).await?;
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let version = body.as_ref().and_then(|body| body.pointer("/preferredVersion/version")?.as_str());
        version.map(|version| format!("{url}/{version}")).ok_or_else(|| format!("no group {group} ({answer})"))
    }

    async fn send(&self, method: &str, url: &str) -> Seen<super::http::Answer> {
        let mut headers = [("authorization".to_owned(), format!("Bearer {}", self.token))].to_vec();
        let body = match method {
            "GET" | "DELETE" => "",
            _ => "{}",
        };
        let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        headers.push(("content-type".to_owned(), content.to_owned()));
        self.requester.send(method, url, &headers, body, self.check.timeout).await
    }
}

/// A 404 about the object; one about the path is plain text or names no object.
fn is_status_of_object(body: &[u8]) -> bool {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    body.is_some_and(|body| body.pointer("/details/name").and_then(Value::as_str) == Some(NOBODY))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::proof::testing::{Reply, Server};

    /// An API server where the account may list and get Services, and delete Deployments.
    async fn server() -> Server {
        Server::start(|request, _| {
            let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
            if !request.head.contains("authorization: Bearer secret\r\n") {
                return Reply::Answer(401, "{}".into());
            }
            let missing = || json!({"kind": "Status", "code": 404, "details": {"name": NOBODY}}).to_string();
            match (request.method.as_str(), path) {
                ("GET", "/api/v1/namespaces/hello/services") if query == "limit=1" => Reply::Answer(200, "{}".into()),
                ("GET", "/api/v1/namespaces/hello/services/stackctl-proof-of-access") => Reply::Answer(404, missing()),
                ("GET", "/apis/apps") => Reply::Answer(200, json!({"preferredVersion": {"version": "v1"}}).to_string()),
                ("DELETE", "/apis/apps/v1/namespaces/hello/deployments/stackctl-proof-of-access") => {
                    assert_eq!(query, "dryRun=All");
                    Reply::Answer(404, missing())
                }
                (_, path) if path.ends_with("/servcies") => Reply::Answer(404, "404 page not found".into()),
                _ => Reply::Answer(403, "{}".into()),
            }
        })
        .await
    }

    async fn seen(token: &str, allowed: &[(&str, &str)], denied: &[(&str, &str)]) -> Seen<()> {
        let server = server().await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), format!("{token}\n")).unwrap();
        std::fs::write(folder.path().join("namespace"), "hello").unwrap();
        let accesses = |list: &[(&str, &str)]| {
            list.iter().map(|(verb, resource)| Access { verb: (*verb).into(), resource: (*resource).into() }).collect()
        };
        let check = RbacCheck {
            service_account: "rbac-test".into(),
            allowed: accesses(allowed),
            denied: accesses(denied),
            timeout: Duration::from_secs(5),
        };
        let api = ApiServer { url: format!("http://{}", server.address), credentials: folder.path().into() };
        attempt(&Requester::new(None, None).unwrap(), &api, &check).await
    }

    #[tokio::test]
    async fn what_is_allowed_and_denied_is_tried() {
        let allowed = [("list", "services"), ("get", "services"), ("delete", "deployments.apps")];
        let denied = [("list", "pods"), ("watch", "services"), ("create", "services"), ("patch", "secrets")];
        assert_eq!(seen("secret", &allowed, &denied).await, Ok(()));
        assert_eq!(
            seen("secret", &denied[..1], &allowed[..1]).await.unwrap_err(),
            "ServiceAccount rbac-test may not list pods; may list services, against what is declared"
        );
    }

    #[tokio::test]
    async fn a_refused_token_and_a_misspelt_resource_prove_nothing() {
        let text = seen("other", &[], &[("list", "pods")]).await.unwrap_err();
        assert!(text.contains("list pods: the token was not accepted"), "{text}");
        let text = seen("secret", &[], &[("list", "servcies")]).await.unwrap_err();
        assert!(text.contains("there is no such resource"), "{text}");
    }
}
