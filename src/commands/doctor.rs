use clap::Args;

use crate::{
    cli::{EdgeArgs, FlagGroups, NewClusterArgs},
    commands::app::App,
    error::Result,
    image,
    machine::choice,
    observe::doctor,
    pipeline::preflight::{doctor_request, wanted_ports},
    provider::{Asked, check::Status},
    report::{
        self,
        document::{DoctorReport, Setting},
    },
};

/// Look at everything that `up` needs, and say how to fix each failure
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    new_cluster: NewClusterArgs,
    #[command(flatten)]
    edge: EdgeArgs,
}

pub async fn run(args: DoctorArgs, app: &App) -> Result<()> {
    let settings = FlagGroups { new_cluster: Some(&args.new_cluster), edge: Some(&args.edge), ..FlagGroups::default() }
        .settings(&app.common.target)?;
    let engine = image::engine::connect(None).await;
    let choice = choice(&settings);
    let asked = Asked { https: settings.https_port, http: settings.http_port };
    let mut ports = wanted_ports(asked, &choice)?;
    if let Ok(engine) = &engine {
        // What the cluster has already is no obstacle.
        let published = choice.published(engine).await.unwrap_or_default();
        ports.retain(|port| !published.contains(port));
    }
    let request = doctor_request(choice, &settings.mirrors, settings.registry.clone(), engine, ports);
    let checks = doctor::examine(&request).await;
    let text = || {
        let rows: Vec<[String; 4]> = checks
            .iter()
            .map(|check| {
                let sign = match check.status {
                    Status::Ok => "✓",
                    Status::Warning => "!",
                    Status::Failed => "✗",
                };
                [sign.into(), check.name.into(), check.found.clone(), check.fix.clone().unwrap_or_default()]
            })
            .collect();
        let origins: Vec<[String; 3]> = settings
            .provenance
            .iter()
            .map(|(key, value, origin)| [(*key).to_owned(), value.clone(), origin.to_string()])
            .collect();
        let checks = report::table(["", "check", "found", "fix"], &rows, report::width());
        format!("{checks}\n\n{}", report::table(["setting", "value", "from"], &origins, report::width()))
    };
    let provenance: Vec<_> = settings
        .provenance
        .iter()
        .map(|(key, value, origin)| Setting { key, value, from: origin.to_string() })
        .collect();
    let value = DoctorReport { checks: &checks, settings: provenance };
    match doctor::preflight(&checks) {
        Ok(()) => {
            app.show(text, &value).await;
            Ok(())
        }
        Err(error) => app.fail_with(text, &value, error).await,
    }
}
