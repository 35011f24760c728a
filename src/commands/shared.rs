//! What several commands say alike.

use std::collections::BTreeMap;

use clap::Args;

use crate::{
    cli::StackArgs,
    commands::app::App,
    error::{Error, Kind, Result},
    execute,
    image::BuildOptions,
    machine::{Machine, choice},
    pipeline::Look,
    plan::{Plan, observed::Observed, summary::Summary},
    proof::ProofResult,
    report::{
        self,
        document::{Images, TestResult},
    },
    settings::Settings,
    settings::{DEFAULT_STACK, default_stack},
    stack::{self, LoadRequest, edge::Balanced, model::Stack},
};

/// The stack that was named, else the one of the working folder, else the embedded one, which is said: it may not be what
/// was meant.
pub fn meant(named: Option<&str>, app: &App) -> String {
    let stack = named.map_or_else(default_stack, str::to_owned);
    if named.is_none() && stack == DEFAULT_STACK {
        app.events.info(format!("no stack is named and this folder has no stack.yaml: {DEFAULT_STACK} is meant"));
    }
    stack
}

/// Reads and validates the stack that the arguments name.
pub fn load(args: &StackArgs, settings: &Settings, app: &App) -> Result<Stack> {
    let stack = stack::load(&request(args, settings, app)?)?;
    stack.notes.iter().for_each(|note| app.events.info(note));
    Ok(stack)
}

/// What the arguments ask for.
pub fn request(args: &StackArgs, settings: &Settings, app: &App) -> Result<LoadRequest> {
    let values = args.set.iter().map(|text| pair("--set", text)).collect::<Result<_>>()?;
    Ok(LoadRequest {
        stack: meant(args.stack.as_deref(), app),
        provider: settings.choice.name().to_owned(),
        edge_on_nodes: choice(settings).traits().has_proxy(),
        edge_balanced: balanced(settings),
        values,
        without: settings.without.clone(),
        left_out_now: args.without().to_vec(),
        namespace: settings.namespace.clone(),
        for_several: false,
    })
}

/// The load balancer that leads to a stack's edge, where the cluster makes one: at the usual ports, or those asked for.
pub fn balanced(settings: &Settings) -> Option<Balanced> {
    let balancer = choice(settings).traits().balancer()?;
    let (https, http) = (settings.https_port.unwrap_or(443), settings.http_port.unwrap_or(80));
    Some(Balanced { balancer, https, http })
}

/// How images are built.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Build options")]
pub struct ImageArgs {
    /// Set a build argument; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    build_arg: Vec<String>,
    /// Give builds a file as a secret; may be repeated
    #[arg(long, value_name = "ID=FILE")]
    secret: Vec<String>,
    /// Build without the engine's cache
    #[arg(long)]
    no_cache: bool,
    /// Ask registries for newer base images first
    #[arg(long)]
    pull: bool,
}

impl ImageArgs {
    pub fn options(&self, settings: &Settings) -> Result<BuildOptions> {
        let args = self.build_arg.iter().map(|text| pair("--build-arg", text)).collect::<Result<_>>()?;
        let secrets = self
            .secret
            .iter()
            .map(|text| {
                let (id, file) = pair("--secret", text)?;
                let file = std::path::PathBuf::from(file);
                match file.is_file() {
                    true => Ok((id, file)),
                    false => {
                        Err(Error::new(Kind::Usage, format!("--secret {id}: there is no file {}", file.display())))
                    }
                }
            })
            .collect::<Result<_>>()?;
        let ca_bundle = settings.ca_bundle.clone();
        Ok(BuildOptions { args, secrets, ca_bundle, no_cache: self.no_cache, pull: self.pull })
    }

    /// Whether what the registry has does not do.
    pub fn rebuild(&self) -> bool {
        self.no_cache || self.pull
    }
}

/// How plans are run that change nothing but what they are about, with images as they are declared.
pub fn how(settings: &Settings) -> execute::Options {
    let build = BuildOptions { ca_bundle: settings.ca_bundle.clone(), ..BuildOptions::default() };
    execute::Options { build, agent_image: settings.agent_image.clone(), ..execute::Options::default() }
}

/// `KEY=VALUE`
pub fn pair(flag: &str, text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Error::new(Kind::Usage, format!("{flag} {text}: expected KEY=VALUE"))),
    }
}

/// Asks before anything is changed in a cluster that is not on this machine.
pub async fn confirm_remote(app: &App, machine: &Machine) -> Result<()> {
    match machine.provider.remote_context().await? {
        Some(context) => {
            app.confirm_by_name(&format!("the cluster of context {context} is not on this machine"), &context)
        }
        None => Ok(()),
    }
}

/// Asks before a cluster is made that somebody has to pay for.
pub fn confirm_bill(app: &App, look: &Look) -> Result<()> {
    match Summary::of(&look.plan, &look.observed).bill {
        Some(bill) => app.confirm(&format!(
            "a new cluster in the account {} costs {} as long as it is there. Make it?",
            bill.account,
            bill.sum()
        )),
        None => Ok(()),
    }
}

/// Prints the results of proofs, if any ran; a failed one is the command's failure, and is shown with them.
pub async fn show_proofs(app: &App, stack: &str, results: &[ProofResult], ended: Result<()>) -> Result<()> {
    if results.is_empty() {
        return ended;
    }
    let value = TestResult { stack, proofs: results };
    let text = || report::proof_lines(results, app.view.paint()).join("\n");
    match ended {
        Ok(()) => {
            app.show(text, &value).await;
            Ok(())
        }
        Err(error) => app.fail_with(text, &value, error).await,
    }
}

/// What a plan changes; with `-v` its whole graph, too.
pub fn plan_text<'a>(app: &App, plans: impl Iterator<Item = &'a Plan>, summary: &Summary) -> String {
    let mut parts = vec![report::plan_summary(summary)];
    if app.view.verbose > 0 {
        parts.extend(plans.map(|plan| report::plan_text(&plan.outline())));
    }
    parts.join("\n\n")
}

/// The references of the images that a plan of `build` or `push` was about.
pub async fn show_images(app: &App, observed: &Observed) {
    let images: BTreeMap<&str, &str> =
        observed.images.iter().map(|(service, image)| (service.as_str(), image.reference.as_str())).collect();
    let images = Images { images };
    let text = || images.images.values().map(|reference| format!("{reference}\n")).collect::<String>();
    app.show(text, &images).await;
}

/// Names the stack of a running service, for commands whose first argument is the service.
#[derive(Debug, Args)]
pub struct OfStack {
    /// The stack that the service belongs to [default: the stack.yaml of this folder, else hello]
    #[arg(long, value_name = "STACK")]
    stack: Option<String>,
}

impl OfStack {
    /// The namespace in which the stack's objects are.
    pub fn namespace(&self, settings: &Settings, app: &App) -> Result<String> {
        match &settings.namespace {
            Some(namespace) => Ok(namespace.clone()),
            None => stack::name_of(&meant(self.stack.as_deref(), app)),
        }
    }
}
