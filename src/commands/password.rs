use clap::Args;

use super::shared;
use crate::object::GeneratedSecret;
use crate::{
    cli::{FlagGroups, StackArgs},
    commands::app::App,
    error::{Error, Kind, Result},
    kube::secrets,
    report::document::Password,
    stack::model::Stack,
};

/// Print a password that was generated for the stack, such as Grafana's
#[derive(Debug, Args)]
pub struct PasswordArgs {
    /// The generated Secret
    secret: String,
    /// The stack that the Secret belongs to [default: the stack.yaml of this folder, else hello]
    #[arg(long, value_name = "STACK")]
    stack: Option<String>,
    /// Which of the Secret's keys [default: the generated one]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

pub async fn run(args: PasswordArgs, app: &App) -> Result<()> {
    let settings = FlagGroups::default().settings(&app.common.target)?;
    let stack = StackArgs::of(args.stack);
    let stack = shared::load(&stack, &settings, app)?;
    let secret = chosen(&stack, &args.secret)?;
    let key = key_of(secret, args.key.as_deref())?;
    let machine = app.machine_of(&stack.name, &settings).await?;
    machine.require_cluster().await?;
    let place = format!("Secret {} in namespace {}", secret.name, secret.namespace);
    let found = machine.kube().await?.get(&secret.key()).await?.ok_or_else(|| {
        Error::new(Kind::Usage, format!("there is no {place}"))
            .hint(format!("`stackctl up {}` generates it", stack.name))
    })?;
    let value = secrets::text_of(&found, key).ok_or_else(|| {
        Error::new(Kind::Usage, format!("{place} has no text under {key}"))
            .hint(format!("`stackctl up {}` adds a key that is missing", stack.name))
    })?;
    app.show(|| value.clone(), &Password { secret: &secret.name, key, value: &value }).await;
    Ok(())
}

/// The generated Secret of that name, of the stack or of one of its components.
fn chosen<'a>(stack: &'a Stack, name: &str) -> Result<&'a GeneratedSecret> {
    let all = || stack.sets.iter().flat_map(|set| &set.secrets);
    all().find(|secret| secret.name == name).ok_or_else(|| {
        let mut names: Vec<&str> = all().map(|secret| secret.name.as_str()).collect();
        names.sort_unstable();
        let error = Error::new(Kind::Usage, format!("stack {} has no generated Secret {name}", stack.name));
        match names.is_empty() {
            true => error.cause("nothing is generated for it and its components, unless for one that is left out"),
            false => error.hint(format!("it has {}", names.join(", "))),
        }
    })
}

/// The key that was asked for, else the only one that is random.
fn key_of<'a>(secret: &'a GeneratedSecret, asked: Option<&str>) -> Result<&'a str> {
    let known = || secret.keys.keys().chain(secret.fixed.keys());
    let mut random = secret.keys.keys();
    let key = match asked {
        Some(asked) => known().find(|key| *key == asked),
        None => random.next().filter(|_| random.next().is_none()),
    };
    key.map(String::as_str).ok_or_else(|| {
        let why = match asked {
            Some(asked) => format!("the generated Secret {} has no key {asked}", secret.name),
            None => format!("the generated Secret {} has several keys", secret.name),
        };
        let keys: Vec<&str> = known().map(String::as_str).collect();
        Error::new(Kind::Usage, why).hint(format!("--key takes one of {}", keys.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stack::model::{Scope, Set, SetKind};

    fn secret(name: &str, keys: &[&str]) -> GeneratedSecret {
        GeneratedSecret {
            name: name.into(),
            namespace: "shop".into(),
            keys: keys.iter().map(|key| ((*key).to_owned(), 32)).collect(),
            fixed: [("user".to_owned(), "admin".to_owned())].into(),
        }
    }

    fn stack(secrets: Vec<GeneratedSecret>) -> Stack {
        let set = Set {
            kind: SetKind::Component,
            scope: Scope::Stack,
            name: "grafana".into(),
            namespace: "shop".into(),
            objects: Vec::new(),
            secrets,
            yields: Vec::new(),
            certificate: None,
            background: false,
            steps_aside: false,
            needs: Vec::new(),
            namespace_labels: BTreeMap::new(),
        };
        Stack { sets: vec![set], ..Stack::named("shop") }
    }

    #[test]
    fn a_secret_of_any_set_is_found_by_its_name() {
        let stack = stack(vec![secret("grafana", &["password"]), secret("token", &["token"])]);
        assert_eq!(chosen(&stack, "token").unwrap().name, "token");
        let error = chosen(&stack, "grafanna").unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert_eq!(error.hints, ["it has grafana, token"]);
    }

    #[test]
    fn a_stack_that_generates_nothing_says_so() {
        let error = chosen(&stack(Vec::new()), "grafana").unwrap_err();
        assert_eq!(error.message, "stack shop has no generated Secret grafana");
        assert_eq!(error.causes.len(), 1);
    }

    #[test]
    fn the_only_random_key_needs_no_name() {
        let one = secret("grafana", &["password"]);
        assert_eq!(key_of(&one, None).unwrap(), "password");
        assert_eq!(key_of(&one, Some("user")).unwrap(), "user");
        let two = secret("grafana", &["password", "token"]);
        assert_eq!(key_of(&two, Some("token")).unwrap(), "token");
        for (secret, asked) in [(&two, None), (&one, Some("pass"))] {
            assert!(key_of(secret, asked).unwrap_err().hints[0].starts_with("--key takes one of password, "));
        }
    }
}
