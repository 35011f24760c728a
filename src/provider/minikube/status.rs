//! What `minikube status` and `minikube image ls` say.

use serde::Deserialize;

/// Of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Node {
    #[serde(rename = "Host")]
    pub host: String,
    #[serde(rename = "Kubelet")]
    pub kubelet: String,
    #[serde(rename = "APIServer")]
    pub api_server: String,
}

/// One object for one node, a list for several. Empty: it is no status, as of a profile that is not there.
pub fn read(text: &str) -> Vec<Node> {
    let text = text.trim();
    serde_json::from_str::<Vec<Node>>(text)
        .or_else(|_| serde_json::from_str::<Node>(text).map(|node| vec![node]))
        .unwrap_or_default()
        .into_iter()
        // The lines of an error are JSON too.
        .filter(|node| !node.host.is_empty())
        .collect()
}

/// `minikube pause` was there: the node runs, and what makes it a cluster does not.
pub fn is_paused(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| [&node.host, &node.kubelet, &node.api_server].iter().any(|state| *state == "Paused"))
}

pub fn is_stopped(nodes: &[Node]) -> bool {
    nodes.is_empty() || nodes.iter().any(|node| node.host != "Running")
}

#[derive(Deserialize)]
struct Image {
    #[serde(default, rename = "repoTags")]
    repo_tags: Option<Vec<String>>,
}

/// Whether a list of images has this one.
pub fn has_image(text: &str, reference: &str) -> bool {
    let images: Vec<Image> = serde_json::from_str(text.trim()).unwrap_or_default();
    images.iter().flat_map(|image| image.repo_tags.iter().flatten()).any(|tag| tag == reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart() {
        let running = read(include_str!("testdata/status.json"));
        assert!(running.len() == 1 && !is_stopped(&running) && !is_paused(&running), "{running:?}");
        assert!(is_stopped(&read(include_str!("testdata/status-stopped.json"))));
        let paused =
            r#"{"Name":"a","Host":"Running","Kubelet":"Stopped","APIServer":"Paused","Kubeconfig":"Configured"}"#;
        assert!(is_paused(&read(paused)) && !is_stopped(&read(paused)));
        let several = format!("[{paused},{paused}]");
        assert_eq!(read(&several).len(), 2);
    }

    #[test]
    fn what_is_said_of_a_profile_that_is_not_there_is_no_status() {
        let event = r#"{"type":"io.k8s.sigs.minikube.info","data":{"message":"Profile \"nope\" not found."}}"#;
        assert!(read(event).is_empty() && read(&format!("{event}\n{event}")).is_empty() && is_stopped(&read("")));
    }

    #[test]
    fn an_image_is_found_by_its_whole_name() {
        let list = include_str!("testdata/images.json");
        assert!(has_image(list, "registry.k8s.io/pause:3.10.2"));
        assert!(!has_image(list, "pause:3.10.2") && !has_image("not json", "a:1"));
    }
}
