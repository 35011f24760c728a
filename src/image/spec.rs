//! What is built: a service of a stack, and how.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    error::{Error, Kind, Result},
    stack::model::{Service, Source, Stack},
};

/// All that decides what an image becomes. `secrets`, `ca_bundle`, `no_cache` and `pull` are not part of its identity.
#[derive(Debug, Clone)]
pub struct BuildSpec {
    pub service: String,
    pub context: Source,
    /// Relative to the context.
    pub dockerfile: String,
    pub target: Option<String>,
    pub args: BTreeMap<String, String>,
    /// BuildKit secret id to the file that holds it.
    pub secrets: BTreeMap<String, PathBuf>,
    /// PEM file offered to the build as the secret `ca-bundle`.
    pub ca_bundle: Option<PathBuf>,
    /// `linux/amd64`: the nodes' platform.
    pub platform: String,
    pub no_cache: bool,
    /// Ask the registries for newer base images.
    pub pull: bool,
}

/// How images are built, as settings and the command line say.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    pub args: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, PathBuf>,
    /// PEM file that builds are offered.
    pub ca_bundle: Option<PathBuf>,
    pub no_cache: bool,
    pub pull: bool,
}

impl BuildSpec {
    /// A service's build as its stack declares it.
    pub fn plain(service: &Service, platform: &str) -> BuildSpec {
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

    /// The same with what was asked for besides. Err: the stack has no such service.
    pub fn of(stack: &Stack, service: &str, platform: &str, options: &BuildOptions) -> Result<BuildSpec> {
        let declared = stack.services.get(service).ok_or_else(|| {
            let known: Vec<_> = stack.services.keys().map(String::as_str).collect();
            Error::new(Kind::Usage, format!("stack {} has no service {service}", stack.name))
                .hint(format!("its services: {}", known.join(", ")))
        })?;
        let mut spec = BuildSpec::plain(declared, platform);
        spec.args.extend(options.args.clone());
        Ok(BuildSpec {
            secrets: options.secrets.clone(),
            ca_bundle: options.ca_bundle.clone(),
            no_cache: options.no_cache,
            pull: options.pull,
            ..spec
        })
    }
}

/// `hello/hello`: the part of a reference between the registry and the tag.
pub fn repository(stack: &str, service: &str) -> String {
    format!("{stack}/{service}")
}

#[cfg(test)]
impl BuildSpec {
    /// Of a service called hello, with nothing said but the folder and the platform.
    pub fn of_folder(root: &std::path::Path, platform: &str) -> BuildSpec {
        BuildSpec {
            service: "hello".into(),
            context: Source::Folder(root.to_owned()),
            dockerfile: "Dockerfile".into(),
            target: None,
            args: BTreeMap::new(),
            secrets: BTreeMap::new(),
            ca_bundle: None,
            platform: platform.into(),
            no_cache: false,
            pull: false,
        }
    }
}
