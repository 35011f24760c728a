//! The image of this executable, where the cluster pulls from: proofs and workers run from it.

use super::{Done, images::labels, outputs::Output, run::Run};
use crate::{
    error::{Result, blocking},
    event::Progress,
    image::{self, agent::AgentImage},
};

pub async fn provide(run: &Run<'_>, progress: &Progress) -> Result<Done> {
    let platform = run.machine.provider.platform().await?;
    let agent = blocking(move || image::agent::agent_image(&platform)).await?;
    let (store, repository, tag) = (run.store().await?, run.repository(image::agent::SERVICE), agent.tag.clone());
    let reference = store.pod_name(&repository, &tag);
    let there = store.look(&repository, &tag).await?;
    let (kept, unchanged) = match there.is_there() {
        true => (there, true),
        false => {
            build(run, agent, &reference, progress).await?;
            (store.put(&repository, &tag, progress).await?, false)
        }
    };
    Ok(Done { unchanged, output: Output::Agent(kept.pinned(&reference)), ..Done::default() })
}

async fn build(run: &Run<'_>, agent: AgentImage, reference: &String, progress: &Progress) -> Result<()> {
    let labels = labels(run, image::agent::SERVICE);
    let (engine, spec, references) = (run.machine.engine().await?, agent.spec(), std::slice::from_ref(reference));
    image::build::build_context(engine, &spec, agent.context, references, &labels, progress).await.map(drop)
}
