//! What the steps of a run have found out, for later steps and for whoever asked for the run.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

use crate::{
    event::StepId,
    kube::logs::LogLine,
    load::order::Sent,
    object::{Key, Removed, json},
    proof::ProofResult,
    provider::step,
    tls::OwnTrust,
};

/// What is known only once a step is done, as plain data.
#[derive(Debug, Clone, Default)]
pub enum Output {
    #[default]
    Nothing,
    Provided(step::Output),
    /// An image of a service, in the store. `pinned`: its reference with its digest.
    Image {
        reference: String,
        pinned: String,
    },
    /// How pods name the image that proofs and workers run from.
    Agent(String),
    /// An object as the API server returned it.
    Applied {
        key: Key,
        object: Arc<Value>,
    },
    /// The serial number in the Secret of an edge. `foreign`: of one of somebody else's, whom to trust.
    Certificate {
        secret: String,
        serial: String,
        foreign: Option<OwnTrust>,
    },
    Proofs(Vec<ProofResult>),
    Load(Arc<Sent>),
    Job(JobRun),
    /// `kept`: left in place on purpose.
    Removed {
        removed: Vec<Removed>,
        kept: Vec<Key>,
    },
}

/// What a run of a job came to.
#[derive(Debug, Default, Clone)]
pub struct JobRun {
    pub took: Duration,
    pub log: Vec<LogLine>,
}

/// The outputs of one run. Each is recorded once, by the executor, as its step ends.
#[derive(Debug, Default)]
pub struct Outputs(Mutex<Recorded>);

#[derive(Debug, Default)]
struct Recorded {
    /// By step, in the order in which they ended; without objects, of which there may be many.
    steps: Vec<(StepId, Output)>,
    objects: HashMap<Key, Arc<Value>>,
    uids: HashSet<String>,
}

impl Outputs {
    pub(super) fn record(&self, step: &StepId, output: Output) {
        self.with(|recorded| match output {
            Output::Nothing => {}
            Output::Applied { key, object } => {
                recorded.uids.insert(json::uid(&object).to_owned());
                recorded.objects.insert(key, object);
            }
            output => recorded.steps.push((Arc::clone(step), output)),
        });
    }

    /// None: the step has not ended, or has nothing to tell but an object.
    pub fn of(&self, step: &StepId) -> Option<Output> {
        self.with(|recorded| recorded.steps.iter().find(|(id, _)| id == step).map(|(_, output)| output.clone()))
    }

    /// The object as an apply of this run has left it.
    pub fn applied(&self, key: &Key) -> Option<Arc<Value>> {
        self.with(|recorded| recorded.objects.get(key).cloned())
    }

    /// Whether this run has applied the object of this UID.
    pub fn has_applied(&self, uid: &str) -> bool {
        self.with(|recorded| recorded.uids.contains(uid))
    }

    /// References of images without and with their digests.
    pub fn images(&self) -> BTreeMap<String, String> {
        self.collect(|output| match output {
            Output::Image { reference, pinned } => Some((reference.clone(), pinned.clone())),
            _ => None,
        })
    }

    /// Serial numbers by the Secret that holds the certificate.
    pub fn certificates(&self) -> BTreeMap<String, String> {
        self.collect(|output| match output {
            Output::Certificate { secret, serial, .. } => Some((secret.clone(), serial.clone())),
            _ => None,
        })
    }

    /// By the Secret that holds a certificate of somebody else, whom to trust.
    pub fn foreign_certificates(&self) -> BTreeMap<String, OwnTrust> {
        self.collect(|output| match output {
            Output::Certificate { secret, foreign: Some(own), .. } => Some((secret.clone(), own.clone())),
            _ => None,
        })
    }

    /// The port of 127.0.0.1 that images are pushed to; None: no step has made a registry.
    pub fn registry_port(&self) -> Option<u16> {
        self.collect::<_, Vec<u16>>(|output| match output {
            Output::Provided(step::Output::Registry { port }) => Some(*port),
            _ => None,
        })
        .pop()
    }

    /// Ports of the edge, in the proxy to on 127.0.0.1. Empty: no step has looked after them.
    pub fn proxy_ports(&self) -> BTreeMap<u16, u16> {
        let all: Vec<BTreeMap<u16, u16>> = self.collect(|output| match output {
            Output::Provided(step::Output::ProxyPorts(ports)) => Some(ports.clone()),
            _ => None,
        });
        all.into_iter().flatten().collect()
    }

    pub fn proofs(&self) -> Vec<ProofResult> {
        let all: Vec<Vec<ProofResult>> = self.collect(|output| match output {
            Output::Proofs(results) => Some(results.clone()),
            _ => None,
        });
        all.concat()
    }

    /// The load that was sent.
    pub fn load(&self) -> Option<Arc<Sent>> {
        self.collect::<_, Vec<_>>(|output| match output {
            Output::Load(sent) => Some(Arc::clone(sent)),
            _ => None,
        })
        .pop()
    }

    pub fn job(&self) -> Option<JobRun> {
        self.collect::<_, Vec<JobRun>>(|output| match output {
            Output::Job(run) => Some(run.clone()),
            _ => None,
        })
        .pop()
    }

    pub fn removed(&self) -> Vec<Removed> {
        let all: Vec<Vec<Removed>> = self.collect(|output| match output {
            Output::Removed { removed, .. } | Output::Provided(step::Output::Removed(removed)) => Some(removed.clone()),
            _ => None,
        });
        all.concat()
    }

    /// Left in place on purpose by a removal.
    pub fn kept(&self) -> Vec<Key> {
        let all: Vec<Vec<Key>> = self.collect(|output| match output {
            Output::Removed { kept, .. } => Some(kept.clone()),
            _ => None,
        });
        all.concat()
    }

    fn collect<T, C: FromIterator<T>>(&self, wanted: impl Fn(&Output) -> Option<T>) -> C {
        self.with(|recorded| recorded.steps.iter().filter_map(|(_, output)| wanted(output)).collect())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Recorded) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image(tag: &str) -> Output {
        let reference = format!("r/shop/web:{tag}");
        Output::Image { pinned: format!("{reference}@sha256:{tag}"), reference }
    }

    #[test]
    fn what_a_step_has_found_out_is_read_by_its_id_and_by_kind() {
        let outputs = Outputs::default();
        outputs.record(&"push:web".into(), image("1"));
        outputs.record(&"build:web".into(), Output::Nothing);
        let of = |id: &str| outputs.of(&id.into());
        assert!(matches!(of("push:web"), Some(Output::Image { pinned, .. }) if pinned == "r/shop/web:1@sha256:1"));
        assert!(of("build:web").is_none() && of("agent").is_none());
        assert_eq!(outputs.images()["r/shop/web:1"], "r/shop/web:1@sha256:1");
        assert_eq!(outputs.registry_port(), None);
        outputs.record(&"registry".into(), Output::Provided(step::Output::Registry { port: 5000 }));
        assert_eq!(outputs.registry_port(), Some(5000));
    }

    #[test]
    fn an_object_is_known_by_its_key_and_its_uid() {
        let outputs = Outputs::default();
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "1"}});
        let key = json::key(&object);
        outputs.record(&"apply:ConfigMap/a".into(), Output::Applied { key: key.clone(), object: Arc::new(object) });
        assert_eq!(json::uid(&outputs.applied(&key).unwrap()), "1");
        assert!(outputs.has_applied("1") && !outputs.has_applied("2"));
    }

    #[test]
    fn what_was_removed_is_told_in_the_order_in_which_it_went() {
        let outputs = Outputs::default();
        let removed = |name: &str| vec![Removed { kind: "x".to_owned(), name: name.to_owned() }];
        outputs.record(&"delete:b".into(), Output::Removed { removed: removed("b"), kept: Vec::new() });
        outputs.record(&"delete:a".into(), Output::Provided(step::Output::Removed(removed("a"))));
        assert_eq!(outputs.removed().iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    }
}
