//! What the images of a run are called, how they are built, and which of them go.

use std::collections::BTreeMap;

use super::Session;
use crate::{
    error::{Error, Kind, Result},
    image::{self, BuildSpec, LABEL_CREATED, LABEL_SERVICE, LABEL_STACK, store::local::Registry},
    provider::{CLUSTER_LABEL, ImagesBy, OWNER, OWNER_LABEL, REGISTRY_HOST},
    settings::Settings,
    stack::model::Service,
};

impl Session {
    /// `hello/hello`: the part of a reference between the registry and the tag.
    pub fn repository(&self, service: &str) -> String {
        format!("{}/{service}", self.stack.name)
    }

    /// What the images of a service are tagged with besides their content's hash, where somebody else's registry keeps
    /// them: the commit, if there is one, and `latest`.
    pub async fn further_tags(&self, service: &str) -> Vec<String> {
        let source = self.stack.services.get(service).map(|service| &service.context);
        let (Some(source), Some(_)) = (source, &self.remote) else { return Vec::new() };
        image::git::revision::of(source).await.into_iter().chain(["latest".to_owned()]).collect()
    }

    /// How pods name an image.
    pub fn pod_reference(&self, repository: &str, tag: &str) -> String {
        pod_reference(&self.settings, repository, tag)
    }

    /// How the engine pushes it: local registries are reached through their port on loopback.
    pub fn push_reference(&self, repository: &str, tag: &str) -> Result<String> {
        match (&self.settings.registry, self.learn(|learned| learned.registry_port)) {
            (Some(prefix), _) => Ok(format!("{prefix}/{repository}:{tag}")),
            (None, Some(port)) => Ok(format!("127.0.0.1:{port}/{repository}:{tag}")),
            (None, None) => Err(Error::new(Kind::Platform, "the local registry has no port")),
        }
    }

    /// Whether images are put into the nodes' own stores, because there is no registry.
    pub fn loads_images(&self) -> bool {
        self.settings.registry.is_none() && self.provider.traits().images_reach_nodes_by == ImagesBy::NodeStore
    }

    /// The local registry as a server, while it runs.
    pub fn registry(&self) -> Result<Option<Registry>> {
        let Some(port) = self.learn(|learned| learned.registry_port) else { return Ok(None) };
        let base = url::Url::parse(&format!("http://127.0.0.1:{port}/"))
            .map_err(|error| Error::new(Kind::Unexpected, "the registry has no URL").caused_by(&error))?;
        Ok(Some(Registry::new(base)))
    }

    /// The digest that the registry has under a tag.
    pub async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        if self.settings.registry.is_some() {
            return image::store::tag::remote_digest(self.engine()?, &self.push_reference(repository, tag)?).await;
        }
        match self.registry()? {
            Some(registry) => registry.manifest_digest(repository, tag).await,
            None => Ok(None),
        }
    }

    pub fn image_labels(&self, service: &str) -> BTreeMap<String, String> {
        let labels = [
            (OWNER_LABEL, OWNER.to_owned()),
            (CLUSTER_LABEL, self.settings.cluster_name.clone()),
            (LABEL_STACK, self.stack.name.clone()),
            (LABEL_SERVICE, service.to_owned()),
            (LABEL_CREATED, jiff::Timestamp::now().as_second().to_string()),
        ];
        labels.map(|(key, value)| (key.to_owned(), value)).into()
    }

    pub fn build_spec(&self, service: &str, platform: &str) -> Result<BuildSpec> {
        let declared = self.stack.services.get(service).ok_or_else(|| {
            let known: Vec<_> = self.stack.services.keys().map(String::as_str).collect();
            Error::new(Kind::Usage, format!("stack {} has no service {service}", self.stack.name))
                .hint(format!("its services: {}", known.join(", ")))
        })?;
        let mut spec = plain_spec(declared, platform);
        spec.args.extend(self.images.args.clone());
        spec.secrets = self.images.secrets.clone();
        spec.ca_bundle = self.settings.ca_bundle.clone();
        spec.no_cache = self.images.no_cache;
        spec.pull = self.images.pull;
        Ok(spec)
    }
}

pub fn pod_reference(settings: &Settings, repository: &str, tag: &str) -> String {
    format!("{}/{repository}:{tag}", settings.registry.as_deref().unwrap_or(REGISTRY_HOST))
}

/// A service's build as its stack declares it.
pub fn plain_spec(service: &Service, platform: &str) -> BuildSpec {
    BuildSpec {
        service: service.name.clone(),
        context: service.context.clone(),
        dockerfile: service.dockerfile.clone(),
        target: service.target.clone(),
        args: service.args.clone(),
        secrets: BTreeMap::new(),
        ca_bundle: None,
        platform: platform.to_owned(),
        no_cache: false,
        pull: false,
    }
}
