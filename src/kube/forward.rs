//! A port of this machine that leads to a Service's ready pods, for as long as it is kept open.

use std::{net::SocketAddr, time::Duration};

use ::kube::api::{Api, ListParams};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};

use super::{Kube, discovery::core, failure, json};
use crate::{
    error::{Context, Error, Kind, Result},
    event::Progress,
};

/// How long a connection may wait for a pod to become ready.
const POD_PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(250);
/// How long an answer may be silent once the caller has said all it had to say.
const HALF_CLOSED: Duration = Duration::from_secs(60);

/// A listening socket, not served yet.
pub struct Forward {
    kube: Kube,
    listener: TcpListener,
    namespace: String,
    service: String,
    /// The Service's name for the port, as its endpoints carry it.
    port: String,
    /// Where it listens: a port of 0 has become a real one.
    pub address: SocketAddr,
}

impl Kube {
    /// Listens for connections to a Service. `port` is a name or number of the Service's; None: its only or first one.
    pub async fn forward(
        &self,
        namespace: &str,
        service: &str,
        port: Option<&str>,
        listen: SocketAddr,
    ) -> Result<Forward> {
        let found = self.get_opt(&core("Service"), Some(namespace), service).await;
        let found = found
            .map_err(|error| failure::request_failed(&format!("look for service {service}"), &self.server, &error))?;
        let Some(found) = found else {
            return Err(Error::new(Kind::Usage, format!("there is no service {service} in namespace {namespace}"))
                .hint("`stackctl status` shows the services of a stack"));
        };
        let port = choose_port(&found, port)?;
        let listener = TcpListener::bind(listen).await;
        let listener = listener.map_err(|error| {
            let made = Error::new(Kind::Preflight, format!("cannot listen on {listen}")).cause(&error);
            if error.kind() == std::io::ErrorKind::AddrInUse {
                made.hint("another program has that port: choose another one")
            } else {
                made
            }
        })?;
        let address = listener.local_addr().context(Kind::Unexpected, || "the socket has no address".to_owned())?;
        Ok(Forward {
            kube: self.clone(),
            listener,
            namespace: namespace.to_owned(),
            service: service.to_owned(),
            port,
            address,
        })
    }

    /// A ready pod behind the Service and the port to use on it.
    async fn ready_pod(&self, namespace: &str, service: &str, port: &str, nth: usize) -> Result<Option<(String, u16)>> {
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let slices = self.list(&core("EndpointSlice"), Some(namespace), &params).await;
        let slices = slices.map_err(|error| {
            failure::request_failed(&format!("look for the pods of service {service}"), &self.server, &error)
        })?;
        let pods = targets(&slices, port);
        Ok((!pods.is_empty()).then(|| pods[nth % pods.len()].clone()))
    }
}

/// The name of the Service's port that is meant; unnamed ports have an empty one.
fn choose_port(service: &Value, wanted: Option<&str>) -> Result<String> {
    let ports = json::list(service, "/spec/ports");
    let name_of = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
    let found = match wanted {
        None => ports.first(),
        Some(wanted) => ports
            .iter()
            .find(|port| port["name"] == wanted || wanted.parse().is_ok_and(|number: i64| port["port"] == number)),
    };
    found.map(name_of).ok_or_else(|| {
        let known: Vec<_> =
            ports.iter().map(|port| format!("{} {}", port["port"], name_of(port)).trim().to_owned()).collect();
        Error::new(Kind::Usage, format!("service {} has no port {}", json::name(service), wanted.unwrap_or("at all")))
            .cause(format!("it has: {}", known.join(", ")))
    })
}

/// Ready pods and the number of the named port on each.
fn targets(slices: &[Value], port: &str) -> Vec<(String, u16)> {
    let of_slice = |slice: &Value| -> Vec<(String, u16)> {
        let found =
            json::list(slice, "/ports").iter().find(|candidate| candidate["name"].as_str().unwrap_or_default() == port);
        let Some(number) = found.and_then(|found| found["port"].as_u64()).and_then(|number| u16::try_from(number).ok())
        else {
            return Vec::new();
        };
        let ready = json::list(slice, "/endpoints")
            .iter()
            .filter(|endpoint| endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true));
        let pods = ready.filter(|endpoint| endpoint.pointer("/targetRef/kind").is_some_and(|kind| kind == "Pod"));
        pods.filter_map(|endpoint| Some((json::text(endpoint, "/targetRef/name")?.to_owned(), number))).collect()
    };
    let mut found: Vec<_> = slices.iter().flat_map(of_slice).collect();
    found.sort();
    found.dedup();
    found
}

impl Forward {
    /// Serves connections until it is dropped. Each goes to a pod that is ready when it comes; a pod that goes away ends
    /// only its own connections.
    pub async fn run(self, progress: &Progress) -> Result<()> {
        let mut connections = JoinSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (caller, _) = match accepted {
                        Ok(accepted) => accepted,
                        // One caller that left again, or no descriptor free for a moment: no reason to close the door.
                        Err(error) => {
                            progress.warn(format!("a connection to {} was not accepted: {error}", self.address));
                            tokio::time::sleep(POLL).await;
                            continue;
                        }
                    };
                    number += 1;
                    let (kube, namespace, service, port) = (self.kube.clone(), self.namespace.clone(), self.service.clone(), self.port.clone());
                    let progress = progress.clone();
                    connections.spawn(async move {
                        if let Err(error) = serve(&kube, caller, &namespace, &service, &port, number).await {
                            progress.warn(error.to_string());
                        }
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn serve(
    kube: &Kube,
    caller: TcpStream,
    namespace: &str,
    service: &str,
    port: &str,
    number: usize,
) -> Result<()> {
    let deadline = Instant::now() + POD_PATIENCE;
    let pods: Api<Pod> = Api::namespaced(kube.client.clone(), namespace);
    let mut tries = 0;
    loop {
        let failure = match kube.ready_pod(namespace, service, port, number + tries).await? {
            None => Error::new(Kind::NotReady, format!("no ready pod stands behind service {service}")),
            Some((pod, target)) => match pods.portforward(&pod, &[target]).await {
                Ok(mut forwarder) => {
                    let Some(upstream) = forwarder.take_stream(target) else {
                        return Err(Error::new(Kind::Unexpected, format!("no stream to pod {pod}")));
                    };
                    join(caller, upstream).await;
                    forwarder.abort();
                    return Ok(());
                }
                Err(error) => Error::new(Kind::Platform, format!("no connection to pod {pod}")).caused_by(&error),
            },
        };
        if Instant::now() >= deadline {
            return Err(failure);
        }
        tries += 1;
        tokio::time::sleep(POLL).await;
    }
}

/// Copies both ways. When the caller has sent all, the answer is still read to its end: the port-forward protocol cannot
/// close one direction, so the pod's side stays open until then.
async fn join(caller: TcpStream, upstream: impl AsyncRead + AsyncWrite + Unpin) {
    // Small answers must not wait for more.
    let _ = caller.set_nodelay(true);
    let (mut caller_in, mut caller_out) = caller.into_split();
    let (mut upstream_in, mut upstream_out) = tokio::io::split(upstream);
    let mut down = vec![0; 32 * 1024];
    let mut up = vec![0; 32 * 1024];
    let mut caller_done = false;
    loop {
        let silence = tokio::time::sleep(HALF_CLOSED);
        tokio::select! {
            read = upstream_in.read(&mut down) => match read {
                Ok(count) if count > 0 => {
                    if caller_out.write_all(&down[..count]).await.is_err() {
                        return;
                    }
                }
                _ => {
                    let _ = caller_out.shutdown().await;
                    return;
                }
            },
            read = caller_in.read(&mut up), if !caller_done => match read {
                Ok(0) => caller_done = true,
                Ok(count) => {
                    if upstream_out.write_all(&up[..count]).await.is_err() {
                        return;
                    }
                }
                // Reset: nobody reads the answer.
                Err(_) => return,
            },
            () = silence, if caller_done => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_are_chosen_by_name_by_number_or_as_the_first() {
        let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"name": "http", "port": 80}, {"name": "metrics", "port": 9090}]}});
        assert_eq!(choose_port(&service, None).unwrap(), "http");
        assert_eq!(choose_port(&service, Some("metrics")).unwrap(), "metrics");
        assert_eq!(choose_port(&service, Some("9090")).unwrap(), "metrics");
        let error = choose_port(&service, Some("81")).unwrap_err();
        assert_eq!(error.causes, ["it has: 80 http, 9090 metrics"]);
    }

    #[test]
    fn only_ready_pods_are_targets() {
        let slice = json!({"ports": [{"name": "", "port": 8400}], "endpoints": [
            {"conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "b"}},
            {"conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "c"}},
            {"conditions": {}, "targetRef": {"kind": "Pod", "name": "a"}},
            {"conditions": {"ready": true}}]});
        assert_eq!(targets(&[slice.clone(), slice], ""), [("a".to_owned(), 8400), ("b".to_owned(), 8400)]);
    }

    #[tokio::test]
    async fn an_answer_is_read_to_its_end_after_the_caller_closed_its_half() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let (upstream, mut pod) = tokio::io::duplex(64);
        let joined = tokio::spawn(join(accepted, upstream));
        caller.write_all(b"question").await.unwrap();
        caller.shutdown().await.unwrap();
        let mut question = [0; 8];
        pod.read_exact(&mut question).await.unwrap();
        pod.write_all(b"a long answer").await.unwrap();
        drop(pod);
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.unwrap();
        assert_eq!((&question, answer.as_str()), (b"question", "a long answer"));
        joined.await.unwrap();
    }
}
