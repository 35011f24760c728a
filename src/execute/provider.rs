//! Steps of the provider: it gets what it asks for, and what it hands back goes where it belongs.

use futures::future::BoxFuture;

use super::Done;
use crate::{
    error::{Error, Kind, Result},
    event::Progress,
    kube::apply::ApplyOptions,
    object::{Object, Origin},
    plan::observed::LiveState,
    provider::step::{Step, StepContext},
    session::Session,
};

/// `seen`: the stacks that were in the cluster when the plan was made.
pub async fn act(session: &Session, seen: Option<&LiveState>, step: &Step, progress: &Progress) -> Result<Done> {
    let object = match step.reads() {
        Some(key) => session.kube().await?.get(key).await?,
        None => None,
    };
    let may_go = || -> BoxFuture<'_, Result<()>> { Box::pin(may_go(session, seen)) };
    let context = StepContext { object: object.as_ref(), engine: &session.engine, may_go: &may_go, progress };
    let acted = session.provider.act(step, context).await?;
    if let Some(value) = acted.object {
        let origin = Origin { file: "the provider".to_owned(), line: 1, column: 1 };
        let options = ApplyOptions { force_conflicts: true, ..ApplyOptions::default() };
        session.kube().await?.apply(&Object { value, origin }, None, &options).await?;
    }
    session.learn(|learned| {
        learned.registry_port = acted.registry_port.or(learned.registry_port);
        learned.proxy_ports.extend(acted.proxy_ports);
        learned.removed.extend(acted.removed);
    });
    Ok(Done { unchanged: acted.unchanged, note: acted.note })
}

/// A stack that came since the plan was made keeps the cluster.
async fn may_go(session: &Session, seen: Option<&LiveState>) -> Result<()> {
    let Some(seen) = seen else { return Ok(()) };
    let parents = session.kube().await?.read_parents().await?;
    let new = parents.keys().filter(|parent| !seen.parents.contains_key(*parent));
    let new: Vec<&str> = new.filter_map(|parent| parent.strip_prefix("stack-")).collect();
    match new.as_slice() {
        [] => Ok(()),
        new => Err(Error::new(Kind::Refused, format!("the cluster stays: it holds {} by now", new.join(", ")))
            .hint("run the same command again: it looks at what is there")),
    }
}
