use clap::Args;

use crate::{
    commands::app::App,
    error::Result,
    report::{self, document::StackList},
    stack,
};

/// List the stacks that ship with stackctl
#[derive(Debug, Args)]
pub struct ListArgs {}

pub async fn run(_: ListArgs, app: &App) -> Result<()> {
    let stacks = stack::list();
    let rows: Vec<[String; 4]> = stacks
        .iter()
        .map(|stack| {
            let text = stack.description.clone().unwrap_or_default();
            [stack.name.clone(), text, stack.services.join(", "), stack.components.join(", ")]
        })
        .collect();
    let headers = ["stack", "what", "services", "components"];
    app.show(|| report::table(headers, &rows, report::width()), &StackList { items: stacks.clone() }).await;
    Ok(())
}
