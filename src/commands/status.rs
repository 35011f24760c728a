use clap::Args;
use serde_json::json;

use crate::{
    app::App, cli::Given, cluster::ClusterState, error::Result, kube::status, observe, report, session::Session,
};

/// Show the cluster, its stacks and how their workloads are
#[derive(Debug, Args)]
pub struct StatusArgs {}

pub async fn run(_: StatusArgs, app: &App) -> Result<()> {
    let session = Session::without_stack(Given::default().settings(&app.common.target)?, app).await?;
    let cluster = session.provider.observe().await?;
    let name = &session.settings.cluster_name;
    let headline = match &cluster {
        ClusterState::Ours { stopped: false } => {
            format!("cluster {name}: Kubernetes {}", session.kube().await?.server_version())
        }
        ClusterState::Ours { stopped: true } => format!("cluster {name}: stopped"),
        ClusterState::Absent => format!("cluster {name}: none"),
        ClusterState::HalfMade { why } | ClusterState::Foreign { why } | ClusterState::Unreachable { why } => {
            format!("cluster {name}: {why}")
        }
    };
    if cluster != (ClusterState::Ours { stopped: false }) {
        app.show(|| headline, &json!({ "name": name, "cluster": cluster, "objects": [] })).await;
        return Ok(());
    }
    let kube = session.kube().await?;
    let recorded = observe::recorded_objects(kube).await?;
    let mut keys: Vec<_> = recorded.live.objects.keys().filter(|key| status::is_shown(key)).collect();
    keys.sort_by_key(|key| (&key.namespace, &key.kind, &key.name));
    let objects: Vec<_> = keys.iter().map(|key| recorded.live.objects[*key].clone()).collect();
    let states = kube.status(&objects).await?;
    let text = || {
        let stacks: Vec<_> = recorded.stacks().collect();
        format!("{headline}\nstacks: {}\n\n{}", stacks.join(", "), report::status_table(&states, report::width()))
    };
    let stacks: Vec<_> = recorded.stacks().collect();
    app.show(text, &json!({ "name": name, "cluster": cluster, "stacks": stacks, "objects": states })).await;
    Ok(())
}
