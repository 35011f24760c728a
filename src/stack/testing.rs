//! Stacks in temporary folders, for tests.

use crate::object::{Object, balancer::Balancer};
use crate::{
    error::Error,
    stack::{
        edge::Balanced,
        load::{LoadRequest, load},
        model::Stack,
    },
};

pub const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  template:
    spec:
      containers:
        - name: app
          image: web
          env: [{name: MODE, value: slow}, {name: EMPTY}]
          resources: {requests: {cpu: 25m}}
";

/// A repository with `manifests/shop` in it.
pub struct Repository {
    root: tempfile::TempDir,
    pub request: LoadRequest,
}

impl Repository {
    pub fn new(files: &[(&str, &str)]) -> Repository {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let stack = root.path().join("manifests/shop").display().to_string();
        Repository {
            root,
            request: LoadRequest { stack, provider: "kind".into(), edge_on_nodes: true, ..LoadRequest::default() },
        }
    }

    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.request.values.insert(key.into(), value.into());
        self
    }

    pub fn provider(mut self, provider: &str) -> Self {
        self.request.provider = provider.into();
        self
    }

    /// Without a way from the nodes to this machine.
    pub fn edge_in_the_cluster(mut self) -> Self {
        self.request.edge_on_nodes = false;
        self
    }

    /// With a load balancer that leads to it.
    pub fn balanced(mut self) -> Self {
        let annotations = &[("example.com/scheme", "public")];
        let balancer = Balancer { class: "example.com/lb", annotations, in_vain: &[], usually: "1 minute" };
        self.request.edge_balanced = Some(Balanced { balancer, https: 443, http: 80 });
        self.edge_in_the_cluster()
    }

    pub fn without(mut self, component: &str) -> Self {
        self.request.without.push(component.into());
        self
    }

    pub fn stack(&self) -> Stack {
        load(&self.request).unwrap_or_else(|error| panic!("{error}\n{}", error.details.join("\n")))
    }

    /// Paths without the temporary folder.
    pub fn problems(&self) -> Vec<String> {
        let root = format!("{}/", self.root.path().display());
        self.error().details.iter().map(|line| line.replace(&root, "")).collect()
    }

    pub fn error(&self) -> Error {
        load(&self.request).unwrap_err()
    }
}

/// A stack of these files; `stack.yaml` and manifests are below `manifests/shop`.
pub fn shop(stack: &str, manifests: &[(&str, &str)]) -> Repository {
    let files: Vec<(String, &str)> =
        manifests.iter().map(|(name, content)| (format!("manifests/shop/{name}"), *content)).collect();
    let mut all: Vec<(&str, &str)> = files.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    all.push(("manifests/shop/stack.yaml", stack));
    Repository::new(&all)
}

pub fn object<'a>(stack: &'a Stack, name: &str) -> &'a Object {
    let mut objects = stack.sets.iter().flat_map(|set| &set.objects);
    objects.find(|object| object.key().to_string() == name).unwrap_or_else(|| panic!("no {name}"))
}
