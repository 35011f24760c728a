//! stackctl: brings a stack of microservices to life on Kubernetes.
//!
//! The pipeline: parse → observe (read only) → plan (pure) → execute → events → report.

mod cli;
mod client;
mod commands;
mod error;
mod event;
mod execute;
mod image;
mod kube;
mod load;
mod machine;
mod object;
mod observe;
mod pipeline;
mod plan;
mod proof;
mod provider;
mod quantity;
mod report;
mod setting;
mod settings;
mod stack;
mod state;
#[cfg(test)]
mod testing;
mod tls;

use crate::commands::app;
use crate::event::interrupt;
use std::{
    io::Write,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

fn main() -> ExitCode {
    let cli = match commands::help::parse(cli::expand_aliases(std::env::args_os())) {
        Ok(cli) => cli,
        Err(said) => return ExitCode::from(parsed_otherwise(&said)),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        // Nothing of ours is running yet that could report it.
        Err(_) => return ExitCode::from(error::Kind::Unexpected.exit_code()),
    };
    let code = runtime.block_on(run(cli));
    // A blocking read of stdin must not keep the process.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Help and versions are asked for and go to stdout; mistakes go to stderr.
fn parsed_otherwise(said: &clap::Error) -> u8 {
    let printed = said.print();
    if said.use_stderr() {
        return error::Kind::Usage.exit_code();
    }
    report::written(printed.and_then(|()| std::io::stdout().flush()));
    match report::lost() {
        None => 0,
        Some(lost) => {
            report::error(&report::Settings::default(), &lost);
            lost.kind.exit_code()
        }
    }
}

async fn run(cli: commands::Cli) -> u8 {
    // Both rustls users of this process, kube and our own client, take the provider from here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if cli.common.verbose > 1 {
        let filter = tracing_subscriber::EnvFilter::new("debug,hyper=info,h2=info,rustls=info");
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let view = app::view(&cli.common);
    let (events, receiver) = event::Events::channel();
    let reporter = report::Reporter::start(view.clone(), receiver);
    let quiet_end = Arc::new(AtomicBool::new(false));
    let cancel = interrupt::watch(events.clone(), Arc::clone(&quiet_end));
    let app = app::App::new(cli.common, events, cancel, quiet_end, view, reporter);

    let result = Box::pin(cli.command.run(&app)).await;
    app.settle().await;
    let code = match &result {
        Ok(()) => 0,
        Err(error) => {
            if !error.shown {
                report::error(&app.view, error);
            }
            error.kind.exit_code()
        }
    };
    match report::lost() {
        None => code,
        Some(lost) => {
            report::lost_output(&app.view, &lost, result.as_ref().err());
            lost.kind.exit_code()
        }
    }
}
