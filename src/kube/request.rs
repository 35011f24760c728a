//! One request: its deadline, what is tried again, and how an answer becomes JSON.

use std::{sync::PoisonError, time::Duration};

use ::kube::{
    api::{DeleteParams, DynamicObject, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    client::Body,
    core::{Request, Resource, Status, request},
    discovery::ApiResource,
};
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::Instant;

use super::{Kube, discovery::Resolved, failure};

/// Longest silence that one attempt may show.
pub(super) const ATTEMPT: Duration = Duration::from_secs(30);
/// How long what passes by itself is waited for.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server that was gone may take to know everyone's rights again.
const SETTLING: Duration = Duration::from_secs(20);

type Answer<T> = Result<T, ::kube::Error>;

pub(super) fn soon() -> Instant {
    Instant::now() + TIMEOUT
}

fn built(request: Result<http::Request<Vec<u8>>, request::Error>) -> Answer<http::Request<Vec<u8>>> {
    request.map_err(::kube::Error::BuildRequest)
}

fn path(resource: &ApiResource, namespace: Option<&str>) -> Request {
    Request::new(DynamicObject::url_path(resource, namespace))
}

impl Kube {
    /// Sends until an answer comes that another attempt would not change, or the deadline has passed.
    pub(super) async fn send(&self, request: http::Request<Vec<u8>>, deadline: Instant) -> Answer<Value> {
        self.exchange(request, deadline).await.map(|(_, value)| value)
    }

    /// As `send`, and the status, which alone tells a creation (201) from a change.
    async fn exchange(&self, request: http::Request<Vec<u8>>, deadline: Instant) -> Answer<(StatusCode, Value)> {
        self.retried(deadline, || self.attempt(request.clone())).await
    }

    /// Tries until an answer comes that another attempt would not change, or the deadline has passed.
    pub(super) async fn retried<T, F: Future<Output = Answer<T>>>(
        &self,
        deadline: Instant,
        attempt: impl Fn() -> F,
    ) -> Answer<T> {
        let mut pause = Duration::from_millis(100);
        loop {
            let error = match tokio::time::timeout(self.silence, attempt()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(elapsed) => {
                    ::kube::Error::Service(Box::new(std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed)))
                }
            };
            let Some(asked) = self.asked_to_wait(&error) else { return Err(error) };
            let wait = asked.max(pause);
            if Instant::now() + wait > deadline {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// As `failure::transient`; and for a while after the server was gone, a refusal for want of rights passes by itself:
    /// a server that just started has not read the roles yet.
    fn asked_to_wait(&self, error: &::kube::Error) -> Option<Duration> {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if failure::is_loss(error) {
            *lost = Some(Instant::now());
        }
        let settling = lost.is_some_and(|lost| lost.elapsed() < SETTLING);
        failure::transient(error).or((settling && failure::is_missing_right(error)).then_some(Duration::ZERO))
    }

    async fn attempt(&self, request: http::Request<Vec<u8>>) -> Answer<(StatusCode, Value)> {
        let response = self.client.send(request.map(Body::from)).await?;
        let code = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if code.is_success() {
            let value = serde_json::from_slice(&body).map_err(::kube::Error::SerdeError)?;
            return Ok((code, value));
        }
        let status = serde_json::from_slice::<Status>(&body).ok().filter(|status| !status.message.is_empty());
        let status = status.unwrap_or_else(|| Status::failure(String::from_utf8_lossy(&body).trim(), ""));
        let known = status.code;
        Err(::kube::Error::Api(Box::new(status.with_code(if known == 0 { code.as_u16() } else { known }))))
    }

    /// None: there is no such object.
    pub(super) async fn get_opt(&self, at: &Resolved, namespace: Option<&str>, name: &str) -> Answer<Option<Value>> {
        let request = built(path(&at.resource, at.scope(namespace)).get(name, &GetParams::default()))?;
        absent(self.send(request, soon()).await)
    }

    /// The items, each with its `apiVersion` and `kind`, which lists leave out. A kind that is not served has none.
    pub(super) async fn list(&self, at: &Resolved, namespace: Option<&str>, params: &ListParams) -> Answer<Vec<Value>> {
        self.list_until(at, namespace, params, soon()).await
    }

    pub(super) async fn list_until(
        &self,
        at: &Resolved,
        namespace: Option<&str>,
        params: &ListParams,
        deadline: Instant,
    ) -> Answer<Vec<Value>> {
        let request = built(path(&at.resource, at.scope(namespace)).list(params))?;
        let items = items(absent(self.send(request, deadline).await)?);
        Ok(items.map(|item| typed(item, &at.resource)).collect())
    }

    /// As `list_until`, of the objects' metadata alone: for a look at all that there is.
    pub(super) async fn list_metadata(
        &self,
        at: &Resolved,
        namespace: Option<&str>,
        params: &ListParams,
        deadline: Instant,
    ) -> Answer<Vec<Value>> {
        let request = built(path(&at.resource, at.scope(namespace)).list_metadata(params))?;
        let listed = match absent(self.send(request, deadline).await) {
            // A server behind the API server that knows whole objects only.
            Err(::kube::Error::Api(status)) if status.code == StatusCode::NOT_ACCEPTABLE => {
                return self.list_until(at, namespace, params, deadline).await;
            }
            listed => listed?,
        };
        let items = items(listed);
        Ok(items
            .map(|mut item| {
                item["apiVersion"] = at.resource.api_version.clone().into();
                item["kind"] = at.resource.kind.clone().into();
                item
            })
            .collect())
    }

    /// Server-side apply. Returns the object and whether this made it.
    pub(super) async fn patch(
        &self,
        at: &Resolved,
        namespace: Option<&str>,
        name: &str,
        params: &PatchParams,
        body: &Value,
    ) -> Answer<(Value, bool)> {
        let request = built(path(&at.resource, at.scope(namespace)).patch(name, params, &Patch::Apply(body)))?;
        let (code, value) = self.exchange(request, soon()).await?;
        Ok((value, code == StatusCode::CREATED))
    }

    /// Changes just what the patch holds.
    pub(super) async fn merge(
        &self,
        at: &Resolved,
        namespace: Option<&str>,
        name: &str,
        patch: &Value,
    ) -> Answer<Value> {
        self.merge_as(super::CREATION_MANAGER, at, namespace, name, patch).await
    }

    /// As `merge`, with what changes owned by this field manager.
    pub(super) async fn merge_as(
        &self,
        manager: &str,
        at: &Resolved,
        namespace: Option<&str>,
        name: &str,
        patch: &Value,
    ) -> Answer<Value> {
        let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        let request = built(path(&at.resource, at.scope(namespace)).patch(name, &params, &Patch::Merge(patch)))?;
        self.send(request, soon()).await
    }

    pub(super) async fn create(
        &self,
        at: &Resolved,
        namespace: Option<&str>,
        params: &PostParams,
        body: &Value,
    ) -> Answer<Value> {
        let body = serde_json::to_vec(body).map_err(::kube::Error::SerdeError)?;
        let request = built(path(&at.resource, at.scope(namespace)).create(params, body))?;
        self.send(request, soon()).await
    }

    /// What the server would store instead of the object of that name. Nothing is stored.
    pub(super) async fn replace_dry_run(&self, at: &Resolved, body: &Value) -> Answer<Value> {
        let params = PostParams { field_manager: Some(super::MANAGER.to_owned()), dry_run: true };
        let scope = at.scope(crate::object::json::namespace(body));
        let bytes = serde_json::to_vec(body).map_err(::kube::Error::SerdeError)?;
        let request = built(path(&at.resource, scope).replace(crate::object::json::name(body), &params, bytes))?;
        self.send(request, soon()).await
    }

    /// Deletes the object only if it still is the one seen: same UID. Gone, or replaced by another, is success.
    pub(super) async fn delete_seen(&self, at: &Resolved, object: &Value, params: DeleteParams) -> Answer<Deletion> {
        self.delete_if(at, object, params, false).await
    }

    /// Deletes the object only if nobody has written to it since. False if somebody has.
    pub(super) async fn delete_version(&self, at: &Resolved, object: &Value, params: DeleteParams) -> Answer<bool> {
        self.delete_if(at, object, params, true).await.map(|done| done != Deletion::Refused)
    }

    /// `same`: only in the version seen, too.
    pub(super) async fn delete_if(
        &self,
        at: &Resolved,
        object: &Value,
        params: DeleteParams,
        same: bool,
    ) -> Answer<Deletion> {
        let uid = crate::object::json::uid(object).to_owned();
        let version =
            crate::object::json::text(object, "/metadata/resourceVersion").filter(|_| same).map(str::to_owned);
        let params = params.preconditions(Preconditions { uid: Some(uid), resource_version: version });
        let name = crate::object::json::name(object);
        let request =
            built(path(&at.resource, at.scope(crate::object::json::namespace(object))).delete(name, &params))?;
        match self.send(request, soon()).await {
            // The server answers with a status once the object is gone, and with the object while it is going.
            Ok(answer) if crate::object::json::kind(&answer) == "Status" => Ok(Deletion::Gone),
            Ok(_) => Ok(Deletion::Going),
            Err(::kube::Error::Api(status)) if status.is_not_found() => Ok(Deletion::Gone),
            Err(::kube::Error::Api(status)) if status.is_conflict() && status.message.contains("recondition") => {
                Ok(Deletion::Refused)
            }
            Err(error) => Err(error),
        }
    }
}

/// What a request to delete came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletion {
    Gone,
    /// Taken, and the object may be there for a while.
    Going,
    /// The object is not the one seen, or not as it was seen.
    Refused,
}

fn absent(answer: Answer<Value>) -> Answer<Option<Value>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(::kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn items(list: Option<Value>) -> impl Iterator<Item = Value> {
    let items = match list.and_then(|mut list| list.get_mut("items").map(Value::take)) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    items.into_iter()
}

fn typed(mut item: Value, resource: &ApiResource) -> Value {
    if let Some(fields) = item.as_object_mut() {
        fields.entry("apiVersion").or_insert_with(|| resource.api_version.clone().into());
        fields.entry("kind").or_insert_with(|| resource.kind.clone().into());
    }
    item
}
