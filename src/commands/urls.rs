use clap::Args;

use super::shared;
use crate::{
    cli::{FlagGroups, StackArgs},
    commands::app::App,
    error::{Error, Kind, Result},
    machine::Machine,
    observe::{reach, urls},
    report::{
        self,
        document::{Addresses, OpenedUrl},
    },
    settings::Settings,
    stack::model::Stack,
};

/// List where a stack is reached, each address tried
#[derive(Debug, Args)]
pub struct UrlsArgs {
    #[command(flatten)]
    stack: StackArgs,
}

pub async fn run(args: UrlsArgs, app: &App) -> Result<()> {
    let (machine, stack, settings) = open(&args.stack, app).await?;
    match machine.until_stopped(Box::pin(urls::of_stack(&machine, &stack))).await? {
        Some(urls) => {
            let text = || report::url_table(&urls, report::width());
            let value = Addresses { urls: &urls, reach: &[] };
            if let Err(error) = urls::all_answered(&urls) {
                return app.fail_with(text, &value, error).await;
            }
            app.show(text, &value).await;
        }
        None => {
            let ways = reach::of_stack(&machine, &stack, &reach::options(&stack, &settings)).await;
            let value = Addresses { urls: &[], reach: &ways };
            let text = || ways.iter().map(reach::Way::text).collect::<Vec<_>>().join("\n");
            if let Err(error) = reach::all_lead_somewhere(&ways) {
                return app.fail_with(text, &value, error).await;
            }
            app.show(text, &value).await;
        }
    }
    Ok(())
}

async fn open(args: &StackArgs, app: &App) -> Result<(Machine, Stack, Settings)> {
    let settings = FlagGroups { stack: Some(args), ..FlagGroups::default() }.settings(&app.common.target)?;
    let stack = shared::load(args, &settings, app)?;
    let machine = app.machine_of(&stack.name, &settings).await?;
    machine.require_running().await?;
    Ok((machine, stack, settings))
}

/// Open a stack's address in the browser
#[derive(Debug, Args)]
pub struct OpenArgs {
    /// A route, such as /hello, or the service behind one, such as grafana [default: the first route]
    route: Option<String>,
    /// The stack that it belongs to [default: the stack.yaml of this folder, else hello]
    #[arg(long, value_name = "STACK")]
    stack: Option<String>,
}

pub async fn open_browser(args: OpenArgs, app: &App) -> Result<()> {
    let stack = StackArgs::of(args.stack.clone());
    let (machine, stack, _) = open(&stack, app).await?;
    let named = args.stack.map(|stack| format!(" {stack}"));
    let Some(urls) = machine.until_stopped(Box::pin(urls::of_stack(&machine, &stack))).await? else {
        return Err(Error::new(Kind::Usage, format!("stack {} has no edge on this machine", stack.name))
            .hint(format!("`stackctl urls{}` says how its services are reached", named.unwrap_or_default())));
    };
    let Some(url) = urls::find(&urls, args.route.as_deref()) else {
        let known: Vec<_> = urls.iter().map(|url| url.route.as_str()).collect();
        let word = args.route.unwrap_or_default();
        return Err(Error::new(Kind::Usage, format!("stack {} has no route {word}", stack.name))
            .hint(format!("its routes: {}", known.join(", "))));
    };
    if let Some(error) = &url.error {
        return Err(Error::new(Kind::NotReady, format!("{} does not answer", url.url))
            .cause(error)
            .hint("`stackctl status` shows what is not ready"));
    }
    let opened = browse(&url.url).await;
    app.show(|| url.url.clone(), &OpenedUrl { url: &url.url, opened }).await;
    Ok(())
}

/// Whether a program took the address; where there is none, it is there to be clicked or copied.
async fn browse(url: &str) -> bool {
    for program in ["xdg-open", "open"] {
        let child = tokio::process::Command::new(program)
            .arg(url)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        let Ok(mut child) = child else { continue };
        // Some return at once, others stay for as long as the browser does.
        return match tokio::time::timeout(std::time::Duration::from_secs(3), child.wait()).await {
            Ok(ended) => ended.is_ok_and(|status| status.success()),
            Err(_) => true,
        };
    }
    false
}
