use clap::Args;

use super::shared;
use crate::object::{GeneratedSecret, Key};
use crate::{
    cli::{FlagGroups, StackArgs},
    commands::app::App,
    error::Result,
    observe::images,
    report::document::ObjectList,
    stack::{self, desired::DesiredSet},
};

/// Print the stack's objects as plain YAML; needs no engine and no cluster
#[derive(Debug, Args)]
pub struct RenderArgs {
    #[command(flatten)]
    stack: StackArgs,
}

pub async fn run(args: RenderArgs, app: &App) -> Result<()> {
    let settings = FlagGroups { stack: Some(&args.stack), ..FlagGroups::default() }.settings(&app.common.target)?;
    let stack = shared::load(&args.stack, &settings, app)?;
    let references = images::references(&stack, &settings).await?;
    let sets = stack::desired::desired(&stack, &references);
    let mut all: Vec<_> = sets.iter().flat_map(|set| &set.objects).collect();
    // kubectl applies in the order of the file: namespaces first, whichever set brings them.
    all.sort_by_key(|object| object.wave);
    let objects = || all.iter().map(|object| &object.object.value);
    app.show(|| stack::to_yaml(objects()), &ObjectList { items: objects().collect() }).await;
    let unknown = stack::facts::unknown_kinds(&stack);
    if !unknown.is_empty() {
        let kinds = unknown.iter().map(|(group, kind)| format!("{kind}.{group}")).collect::<Vec<_>>().join(", ");
        app.remark(&format!("only a cluster knows whether these live in namespaces, here they do: {kinds}")).await;
    }
    let made = made_by_up(&sets);
    if !made.is_empty() {
        app.remark(&format!("left out, because `up` makes them itself: {}", made.join(", "))).await;
    }
    Ok(())
}

/// What pods of these sets may need and no manifest holds: secrets are made where they are used.
fn made_by_up(sets: &[DesiredSet]) -> Vec<String> {
    let secrets = sets.iter().flat_map(|set| &set.secrets).map(GeneratedSecret::key);
    let certificates = sets.iter().filter_map(|set| set.certificate.as_ref());
    let keys = secrets.chain(certificates.flat_map(|wanted| [wanted.secret_key(), wanted.bundle_key()]));
    let shown = |key: Key| match key.namespace {
        Some(namespace) => format!("{} {namespace}/{}", key.kind, key.name),
        None => format!("{} {}", key.kind, key.name),
    };
    keys.map(shown).collect()
}
