//! Sessions to the pods of a Service, opened ahead, so that a connection need not wait for one.
//!
//! A session serves one connection at a time: a caller that does not read holds up nobody but itself.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::kube::Client;

use super::session::{Claim, Session, Stream};

/// A session that nobody used for so long is closed, unless it is the pod's last spare one.
const IDLE: Duration = Duration::from_secs(60);
/// Beyond so many to one pod, connections share sessions.
const MOST: usize = 64;

#[derive(Clone)]
pub struct Pool {
    client: Client,
    namespace: String,
    sessions: Arc<Mutex<HashMap<String, Vec<Arc<Session>>>>>,
}

impl Pool {
    pub fn new(client: Client, namespace: &str) -> Pool {
        Pool { client, namespace: namespace.to_owned(), sessions: Arc::default() }
    }

    /// Connections that each pod serves now.
    pub fn load(&self, pod: &str) -> usize {
        self.with(pod, |sessions| sessions.iter().map(|session| session.streams()).sum())
    }

    /// A stream to a port of the pod, and the session that must live as long as it.
    pub async fn open(&self, pod: &str, port: u16) -> Result<(Arc<Session>, Stream), String> {
        let found = self.with(pod, |sessions| {
            sessions.retain(|session| !session.is_gone());
            let free = sessions.iter().find(|session| session.streams() == 0);
            let shared = || sessions.iter().min_by_key(|session| session.streams()).filter(|_| sessions.len() >= MOST);
            free.or_else(shared).map(|session| (Arc::clone(session), session.claim()))
        });
        if let Some((session, claim)) = found
            && let Some(stream) = session.open(port, claim).await
        {
            return Ok((session, stream));
        }
        let (session, claim) = self.connect(pod).await?;
        match session.open(port, claim).await {
            Some(stream) => Ok((session, stream)),
            None => Err(format!("the connection to pod {pod} was lost as it was made")),
        }
    }

    async fn connect(&self, pod: &str) -> Result<(Arc<Session>, Claim), String> {
        let session = Arc::new(Session::connect(&self.client, &self.namespace, pod).await?);
        let claim = session.claim();
        self.with(pod, |sessions| sessions.push(Arc::clone(&session)));
        Ok((session, claim))
    }

    /// Opens a session for the pod unless one is free. That it fails is for the connection to say that needs it.
    pub async fn spare(&self, pod: &str) {
        let wanted = self.with(pod, |sessions| {
            let free = sessions.iter().any(|session| session.streams() == 0 && !session.is_gone());
            !free && sessions.len() < MOST
        });
        if wanted {
            let _ = self.connect(pod).await;
        }
    }

    /// Forgets pods that are no targets any more (what they still serve goes on) and sessions that nobody uses.
    pub fn tidy(&self, pods: &BTreeSet<String>) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|pod, _| pods.contains(pod));
        for of_pod in sessions.values_mut() {
            let mut spare = 0;
            of_pod.retain(|session| {
                let unused = session.streams() == 0;
                spare += usize::from(unused);
                !session.is_gone() && (!unused || spare == 1 || session.idle() < IDLE)
            });
        }
    }

    /// A session that does not answer is used no more.
    pub fn discard(&self, pod: &str, session: &Arc<Session>) {
        self.with(pod, |sessions| sessions.retain(|known| !Arc::ptr_eq(known, session)));
    }

    fn with<T>(&self, pod: &str, work: impl FnOnce(&mut Vec<Arc<Session>>) -> T) -> T {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        match sessions.get_mut(pod) {
            Some(of_pod) => work(of_pod),
            None => work(sessions.entry(pod.to_owned()).or_default()),
        }
    }
}
