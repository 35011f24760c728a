//! One file per command: its arguments, whose doc comments are the help, and one function that is its story.

mod agent;
pub mod app;
pub mod artifacts;
mod build;
mod ca;
mod completions;
mod cost;
mod deploy;
mod diff;
mod doctor;
mod down;
mod eks_policy;
mod eks_token;
mod forward;
mod gc;
pub mod help;
mod inspect;
mod kubeconfig;
mod list;
mod loadgen;
mod login;
mod logs;
mod man;
mod password;
mod picture;
mod plan;
mod power;
mod push;
mod render;
mod run;
mod schema;
mod shared;
mod status;
mod sweep;
mod test;
mod up;
mod up_all;
mod urls;
mod version;

use crate::commands::loadgen::view as load_view;
use clap::{Parser, Subcommand};

use crate::{cli::Common, commands::app::App, error::Result};

/// Brings a stack of microservices to life on Kubernetes, proves that it works, and removes it without a trace
///
/// STACK is the name of an embedded stack (`stackctl list`) or a folder with a stack.yaml; without one
/// it is the stack.yaml of the working folder, else hello.
/// `stackctl test-NAME` is short for `stackctl test NAME`, and `stackctl rbac-test` for `stackctl test --proof rbac`.
#[derive(Debug, Parser)]
#[command(name = "stackctl", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Every setting may also come from STACKCTL_* variables or the configuration file; \
    `stackctl doctor` shows each value and where it came from.\n\
    Exit codes: 0 done, 1 unexpected, 2 usage or invalid input, 3 preflight failed, 4 engine or cluster failed, \
    5 build failed, 6 apply refused, 7 not ready in time, 8 proof failed, 9 load verdict failed, \
    10 something left behind, 11 differences found, 130 interrupted.")]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Up(up::UpArgs),
    Plan(plan::PlanArgs),
    Diff(diff::DiffArgs),
    Status(status::StatusArgs),
    Test(test::TestArgs),
    Run(run::RunArgs),
    Backup(run::BackupArgs),
    Restore(run::RestoreArgs),
    Down(down::DownArgs),
    Stop(power::StopArgs),
    Start(power::StartArgs),
    Build(build::BuildArgs),
    Push(push::PushArgs),
    Deploy(deploy::DeployArgs),
    Login(login::LoginArgs),
    Logout(login::LogoutArgs),
    Loadgen(Box<loadgen::LoadgenArgs>),
    Logs(logs::LogsArgs),
    Forward(forward::ForwardArgs),
    Urls(urls::UrlsArgs),
    Open(urls::OpenArgs),
    Doctor(doctor::DoctorArgs),
    List(list::ListArgs),
    Render(render::RenderArgs),
    Schema(schema::SchemaArgs),
    Kubeconfig(kubeconfig::KubeconfigArgs),
    Ca(ca::CaArgs),
    Password(password::PasswordArgs),
    Gc(gc::GcArgs),
    Sweep(sweep::SweepArgs),
    Cost(cost::CostArgs),
    EksToken(eks_token::EksTokenArgs),
    EksPolicy(eks_policy::EksPolicyArgs),
    Version(version::VersionArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    #[command(hide = true)]
    Agent(agent::AgentArgs),
    #[command(hide = true)]
    Inspect(inspect::InspectArgs),
    #[command(hide = true)]
    LoadView(load_view::LoadViewArgs),
    #[command(hide = true)]
    Picture(picture::PictureArgs),
}

impl Command {
    pub async fn run(self, app: &App) -> Result<()> {
        match self {
            Command::Up(args) => up::run(args, app).await,
            Command::Plan(args) => Box::pin(plan::run(args, app)).await,
            Command::Diff(args) => diff::run(args, app).await,
            Command::Status(args) => status::run(args, app).await,
            Command::Test(args) => test::run(args, app).await,
            Command::Run(args) => run::run(args, app).await,
            Command::Backup(args) => run::backup(args, app).await,
            Command::Restore(args) => run::restore(args, app).await,
            Command::Down(args) => Box::pin(down::run(args, app)).await,
            Command::Stop(args) => power::stop(args, app).await,
            Command::Start(args) => power::start(args, app).await,
            Command::Build(args) => build::run(args, app).await,
            Command::Push(args) => push::run(args, app).await,
            Command::Deploy(args) => deploy::run(args, app).await,
            Command::Login(args) => login::login(args, app).await,
            Command::Logout(args) => login::logout(args, app).await,
            Command::Loadgen(args) => Box::pin(loadgen::run(*args, app)).await,
            Command::Logs(args) => logs::run(args, app).await,
            Command::Forward(args) => forward::run(args, app).await,
            Command::Urls(args) => urls::run(args, app).await,
            Command::Open(args) => urls::open_browser(args, app).await,
            Command::Doctor(args) => doctor::run(args, app).await,
            Command::List(args) => list::run(args, app).await,
            Command::Render(args) => render::run(args, app).await,
            Command::Schema(args) => schema::run(args, app).await,
            Command::Kubeconfig(args) => kubeconfig::run(args, app).await,
            Command::Ca(args) => ca::run(args, app).await,
            Command::Password(args) => password::run(args, app).await,
            Command::Gc(args) => gc::run(args, app).await,
            Command::Sweep(args) => Box::pin(sweep::run(args, app)).await,
            Command::Cost(args) => Box::pin(cost::run(args, app)).await,
            Command::EksToken(args) => Box::pin(eks_token::run(args, app)).await,
            Command::EksPolicy(args) => eks_policy::run(args, app).await,
            Command::Version(args) => version::run(args, app).await,
            Command::Completions(args) => completions::run(args, app).await,
            Command::Man(args) => man::run(args, app).await,
            Command::Agent(args) => agent::run(args, app).await,
            Command::Inspect(args) => inspect::run(args, app).await,
            Command::LoadView(args) => load_view::run(args, app).await,
            Command::Picture(args) => picture::run(args, app).await,
        }
    }
}
