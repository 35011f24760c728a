//! Whether a Service's pods take connections, tried through the same sessions as a forward.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::{PAUSE, Service, endpoints, join, pool::Pool, session::Incoming, spdy};
use crate::{
    error::Result,
    kube::{Kube, discovery::core, failure},
    object::json,
};

/// How many of a Service's pods are tried.
const PODS: usize = 3;
/// A connection that stands for so long was taken, whatever the pod has to say.
const STANDS: Duration = Duration::from_secs(1);
const REQUEST: &[u8] = b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// A pod took the connection.
    Connected,
    /// No ready pod stands behind the Service, so there is nothing to connect to.
    NoPod,
    /// A ready pod refused it.
    Refused {
        why: String,
        /// The pod says that it serves something: it has a readiness probe, or listens on a port that it declares. Then
        /// it is the Service that leads to the wrong port.
        serves: bool,
    },
    /// There was no way to the pods from here.
    Untried(String),
}

/// How one pod took it.
enum Taken {
    Yes,
    No(String),
    Unknown(String),
}

impl Kube {
    /// Tries until a pod takes a connection, at most for `within`.
    pub async fn try_service(&self, namespace: &str, name: &str, port: u16, within: Duration) -> Tried {
        let tried = self.try_pods(namespace, name, port, Instant::now() + within).await;
        tried.unwrap_or_else(|error| Tried::Untried(error.to_string()))
    }

    async fn try_pods(&self, namespace: &str, name: &str, port: u16, deadline: Instant) -> Result<Tried> {
        let found = self.get_opt(&core("Service"), Some(namespace), name).await;
        let found = found.map_err(|error| failure::request_failed("look for the service", &self.server, &error))?;
        let Some(found) = found else { return Ok(Tried::NoPod) };
        let port = endpoints::choose_port(&found, Some(&port.to_string()))?;
        let declared = declared(&found, &port);
        let service = Service { kube: self.clone(), namespace: namespace.to_owned(), name: name.to_owned(), port };
        let pool = Pool::new(self.client.clone(), namespace);
        loop {
            let mut refused = None;
            for (pod, number) in service.list().await?.into_iter().take(PODS) {
                match take(&pool, &pod, declared.unwrap_or(number)).await {
                    Taken::Yes => return Ok(Tried::Connected),
                    Taken::Unknown(why) => return Ok(Tried::Untried(why)),
                    Taken::No(why) => refused = Some((pod, why)),
                }
            }
            if Instant::now() + PAUSE < deadline {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let Some((pod, why)) = refused else { return Ok(Tried::NoPod) };
            let serves = self.serves(&pool, namespace, &pod).await?;
            return Ok(Tried::Refused { why, serves });
        }
    }

    async fn serves(&self, pool: &Pool, namespace: &str, pod: &str) -> Result<bool> {
        let found = self.get_opt(&core("Pod"), Some(namespace), pod).await;
        let found = found.map_err(|error| failure::request_failed("look at a pod", &self.server, &error))?;
        let Some(found) = found else { return Ok(false) };
        let containers = json::list(&found, "/spec/containers");
        if containers.iter().any(|container| container.get("readinessProbe").is_some()) {
            return Ok(true);
        }
        for port in containers.iter().flat_map(tcp_ports).take(PODS) {
            if matches!(take(pool, pod, port).await, Taken::Yes) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The port of its pods that the Service names by number. Its endpoints say so only a moment after it has changed.
fn declared(service: &Value, port: &str) -> Option<u16> {
    let ports = json::list(service, "/spec/ports");
    let port = ports.iter().find(|known| known["name"].as_str().unwrap_or_default() == port)?;
    let target = port.get("targetPort").unwrap_or(&port["port"]);
    target.as_u64()?.try_into().ok()
}

fn tcp_ports(container: &Value) -> impl Iterator<Item = u16> {
    let tcp = json::list(container, "/ports").iter().filter(|port| endpoints::is_tcp(port));
    tcp.filter_map(|port| port["containerPort"].as_u64()?.try_into().ok())
}

async fn take(pool: &Pool, pod: &str, port: u16) -> Taken {
    let (_session, mut stream) = match pool.open(pod, port).await {
        Ok(open) => open,
        Err(why) => return Taken::Unknown(format!("no connection to pod {pod}: {why}")),
    };
    let sender = stream.sender();
    let request = [&[0; spdy::HEAD][..], REQUEST].concat();
    let mut sent = false;
    loop {
        match timeout(if sent { STANDS } else { join::ACCEPT_WITHIN }, stream.next()).await {
            Ok(Some(Incoming::Accepted)) => sent = sender.send(request.as_slice().into()).await,
            Ok(Some(Incoming::Failed(why))) if join::is_refusal(&why) => return Taken::No(refused(pod, port, &why)),
            Ok(Some(Incoming::End)) => {
                let refusal = stream.late_failure().await.filter(|why| join::is_refusal(why));
                return refusal.map_or(Taken::Yes, |why| Taken::No(refused(pod, port, &why)));
            }
            // Data or a reset: in both cases the pod was there.
            Ok(Some(_)) => return Taken::Yes,
            Err(_) if sent => return Taken::Yes,
            Ok(None) | Err(_) => return Taken::Unknown(format!("the node of pod {pod} does not answer")),
        }
    }
}

fn refused(pod: &str, port: u16, why: &str) -> String {
    match why.contains("connection refused") {
        true => format!("nothing listens on port {port} of pod {pod}"),
        false => format!("pod {pod}: {why}"),
    }
}

impl Tried {
    /// Whether what the stack promises does not hold.
    pub fn is_broken(&self) -> bool {
        matches!(self, Tried::Refused { serves: true, .. })
    }

    /// What to say of it; None: that it is reached.
    pub fn remark(&self) -> Option<String> {
        match self {
            Tried::Connected => None,
            Tried::NoPod => Some("no ready pod stands behind it".to_owned()),
            Tried::Refused { why, .. } => Some(why.clone()),
            Tried::Untried(why) => Some(format!("it could not be tried: {why}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_port_of_the_pods_is_known_from_the_service_where_it_is_a_number() {
        let service = json!({"spec": {"ports": [{"name": "a", "port": 80, "targetPort": 8080}, {"name": "b", "port": 81},
            {"name": "c", "port": 82, "targetPort": "http"}]}});
        assert_eq!(["a", "b", "c", "d"].map(|port| declared(&service, port)), [Some(8080), Some(81), None, None]);
    }
}
