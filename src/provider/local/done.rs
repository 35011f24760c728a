//! What was done to nodes, as names of files in them: it goes where the node goes.

use std::time::Duration;

use bollard::Docker;
use futures::future::try_join_all;

use super::{engine, engine::Container};
use crate::error::Result;

/// In nodes.
pub const FOLDER: &str = "/kind/stackctl";

/// Whether all that makes the cluster was done; its first node says so.
pub async fn is_complete(docker: &Docker, first_node: &str) -> Result<bool> {
    engine::has_path(docker, first_node, &format!("{FOLDER}/complete")).await
}

/// To be written when the cluster is whole, last of all.
pub async fn set_complete(docker: &Docker, first_node: &str) -> Result<()> {
    let file = engine::File { path: format!("{FOLDER}/complete"), content: Vec::new() };
    engine::put_files(docker, first_node, &[file]).await
}

/// Whether all of these nodes were last given the configuration of that hash.
pub async fn is_configured(docker: &Docker, nodes: &[Container], hash: &str) -> Result<bool> {
    let file = configured_file(hash);
    let checks = try_join_all(nodes.iter().map(|node| engine::has_path(docker, &node.name, &file))).await?;
    Ok(checks.into_iter().all(|configured| configured))
}

/// To be written when all nodes have it.
pub async fn set_configured(docker: &Docker, nodes: &[Container], hash: &str) -> Result<()> {
    let file = [engine::File { path: configured_file(hash), content: Vec::new() }];
    try_join_all(nodes.iter().map(|node| engine::put_files(docker, &node.name, &file))).await.map(drop)
}

/// To be done before the configuration of its nodes is changed.
pub async fn forget_configured(docker: &Docker, nodes: &[Container]) -> Result<()> {
    let script = format!("rm -f {FOLDER}/configured-*");
    let argv = ["sh", "-c", &script];
    let forget = |node: &'_ Container| {
        let name = node.name.clone();
        async move { engine::run(docker, &name, &argv, Duration::from_secs(30)).await }
    };
    try_join_all(nodes.iter().map(forget)).await.map(drop)
}

fn configured_file(hash: &str) -> String {
    format!("{FOLDER}/configured-{hash}")
}
