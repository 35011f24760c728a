//! Objects that are written as a whole by one step, and not applied: what they hold is made while the plan runs.

use ::kube::api::PostParams;
use serde_json::{Value, json};

use super::{
    CREATION_MANAGER, Kube,
    discovery::core,
    failure::{self, Subject},
};
use crate::error::Result;
use crate::object::{Key, Origin};

impl Kube {
    /// Creates an object of the core group, or changes what `body` says of the one that is there. `body` has neither
    /// kind nor name. Returns the object. `origin`: what in the stack's files asks for it.
    pub async fn put(&self, key: &Key, body: &Value, origin: &Origin) -> Result<Value> {
        let at = core(&key.kind);
        let namespace = key.namespace.as_deref();
        let subject = Subject { key, origin: Some(origin) };
        let failed = |error: ::kube::Error| failure::refused("write", &subject, &self.server, &error);
        loop {
            match self.merge(&at, namespace, &key.name, body).await {
                Ok(object) => return Ok(object),
                Err(::kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => return Err(failed(error)),
            }
            let mut new = body.clone();
            new["apiVersion"] = "v1".into();
            new["kind"] = key.kind.as_str().into();
            let labels = new["metadata"]["labels"].take();
            new["metadata"] = json!({"name": key.name, "namespace": key.namespace, "labels": labels});
            let params = PostParams { field_manager: Some(CREATION_MANAGER.to_owned()), dry_run: false };
            match self.create(&at, namespace, &params, &new).await {
                Ok(object) => return Ok(object),
                Err(::kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}
