use clap::{Args, ValueEnum};

use crate::{commands::app::App, error::Result, report::document::FileSchema, stack::schema};

/// Print the JSON Schema of stack.yaml or component.yaml, for editors and checks
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of which file
    #[arg(value_enum, default_value_t = File::Stack)]
    file: File,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum File {
    Stack,
    Component,
}

pub async fn run(args: SchemaArgs, app: &App) -> Result<()> {
    let schema = match args.file {
        File::Stack => schema::of_stack(),
        File::Component => schema::of_component(),
    };
    let text = format!("{schema:#}");
    app.show(|| text, &FileSchema { schema }).await;
    Ok(())
}
