//! docs/configuration.md and the settings say the same. `STACKCTL_WRITE_DOCS=1` writes its tables anew.

use std::collections::BTreeSet;

use super::sections;
use crate::{
    provider::settings::SECTIONS,
    setting::{Declared, Fallback, Section},
};

const BEGIN: &str = "<!-- settings -->\n";
const END: &str = "<!-- end -->";

fn row(section: &Section, declared: &Declared) -> String {
    let key = match section.provider {
        Some(provider) => format!("{provider}.{}", section.key_within(declared)),
        None => declared.key.to_owned(),
    };
    let default = match declared.default {
        Fallback::Nothing => "–".to_owned(),
        Fallback::Value(value) => format!("`{value}`"),
        Fallback::Words(words) => words.to_owned(),
    };
    let (flag, variable) = (declared.flag, declared.variable());
    format!("| `{key}` | `{flag}` | `{variable}` | {default} | {} |\n", declared.help)
}

fn table(sections: &[&'static Section]) -> String {
    let rows = sections.iter().flat_map(|section| section.declared().map(|declared| row(section, declared)));
    format!(
        "| key in the file | flag | variable | default | meaning |\n|---|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

fn tables() -> String {
    let (common, providers): (Vec<&Section>, Vec<&Section>) =
        sections().into_iter().partition(|section| section.provider.is_none());
    let mut text = table(&common);
    for name in SECTIONS.into_iter().filter_map(|section| section.provider) {
        let own: Vec<&Section> = providers.iter().copied().filter(|section| section.provider == Some(name)).collect();
        text.push_str(&format!("\n### Only with {name}\n\n{}", table(&own)));
    }
    text
}

#[test]
fn the_page_about_configuration_has_every_setting() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has a place for the settings");
    let (_, after) = rest.split_once(END).expect("and an end of it");
    let wanted = format!("{before}{BEGIN}{}{END}{after}", tables());
    if std::env::var_os("STACKCTL_WRITE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert!(page == wanted, "docs/configuration.md has old tables; STACKCTL_WRITE_DOCS=1 writes them anew");
    }
}

#[test]
fn every_setting_has_names_of_its_own() {
    let all: Vec<&Declared> = sections().into_iter().flat_map(|section| section.declared()).collect();
    for names in [|declared: &Declared| declared.key, |declared: &Declared| declared.flag] {
        assert_eq!(all.iter().map(|declared| names(declared)).collect::<BTreeSet<_>>().len(), all.len());
    }
    for declared in all {
        assert!(declared.flag.starts_with("--") && !declared.help.is_empty(), "{}", declared.key);
        assert!(!declared.help.contains('|') && !declared.help.ends_with('.'), "{}: {}", declared.key, declared.help);
    }
    let providers = sections().into_iter().filter_map(|section| section.provider);
    let keys: BTreeSet<&str> = sections().into_iter().flat_map(|section| section.declared()).map(|d| d.key).collect();
    assert!(providers.into_iter().all(|provider| !keys.contains(provider)), "a map of a provider is no setting");
}

#[test]
fn every_default_is_a_value() {
    for section in sections() {
        for setting in section.settings {
            if let Fallback::Value(default) = setting.declared().default {
                assert_eq!(setting.check(default), Ok(()), "{}", setting.declared().key);
            }
        }
    }
}
