//! The settings that only clusters have that minikube makes.

use super::MinikubeSpec;
use crate::{
    error::Result,
    provider::settings::cluster_spec,
    setting::{Parsed, Section, Setting, Values, parse},
};

pub static SECTION: Section = Section {
    heading: Some("minikube options"),
    provider: Some("minikube"),
    settings: &[&DRIVER, &CONTAINER_RUNTIME, &CPUS, &MEMORY, &FLAGS],
};

const DRIVER: Setting<String> =
    Setting::new("driver", "--driver", "NAME", "minikube's driver", parse::word).with_default("docker");
const CONTAINER_RUNTIME: Setting<String> = Setting::new(
    "containerRuntime",
    "--container-runtime",
    "NAME",
    "The container runtime of minikube's nodes",
    parse::word,
)
.with_default("containerd");
const CPUS: Setting<u32> =
    Setting::new("cpus", "--cpus", "N", "CPUs of each of minikube's nodes", cpus).otherwise("minikube's");
/// As minikube takes it: `4096`, `4g`.
const MEMORY: Setting<String> =
    Setting::new("memory", "--memory", "SIZE", "Memory of each of minikube's nodes, such as 4g", memory)
        .otherwise("minikube's");
const FLAGS: Setting<String> = Setting::new(
    "minikubeFlags",
    "--minikube-flag",
    "FLAG",
    "A further flag of `minikube start`, such as --disk-size=40g; may be repeated",
    minikube_flag,
)
.list()
.takes_dashes();

pub fn spec(values: &Values) -> Result<MinikubeSpec> {
    Ok(MinikubeSpec {
        cluster: cluster_spec(values)?,
        driver: values.required(&DRIVER)?,
        container_runtime: values.required(&CONTAINER_RUNTIME)?,
        cpus: values.optional(&CPUS)?,
        memory: values.optional(&MEMORY)?,
        flags: values.list(&FLAGS)?,
    })
}

fn cpus(text: &str) -> Parsed<u32> {
    match text.parse() {
        Ok(cpus) if cpus > 0 => Ok(cpus),
        _ => Err("expected a number of CPUs, such as 2".to_owned()),
    }
}

/// `4096`, `4096mb`, `4g`
fn memory(text: &str) -> Parsed<String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[number.len()..].to_ascii_lowercase();
    match number.parse::<u32>().is_ok_and(|number| number > 0) && ["", "m", "mb", "g", "gb"].contains(&unit.as_str()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected a size in megabytes or with a unit, such as 4096 or 4g".to_owned()),
    }
}

/// What stackctl itself tells minikube is not to be said twice.
fn minikube_flag(text: &str) -> Parsed<String> {
    const OURS: [(&str, &str); 9] = [
        ("profile", "--cluster-name"),
        ("network", "--cluster-name"),
        ("output", "--output"),
        ("driver", "--driver"),
        ("container-runtime", "--container-runtime"),
        ("cpus", "--cpus"),
        ("memory", "--memory"),
        ("nodes", "--nodes"),
        ("kubernetes-version", "--kubernetes-version"),
    ];
    let name = text.strip_prefix("--").map(|rest| rest.split('=').next().unwrap_or_default());
    match name.filter(|name| !name.is_empty()) {
        None => Err("expected a flag of `minikube start`, such as --disk-size=40g".to_owned()),
        Some(name) => match OURS.iter().find(|(theirs, _)| *theirs == name) {
            Some((_, ours)) => Err(format!("stackctl sets --{name} itself, from its own {ours}")),
            None => Ok(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        error::Kind,
        provider::{Choice, settings::tests::values},
    };

    #[test]
    fn what_minikube_is_asked_for_is_checked_before_it_is_asked() {
        let choice = Choice::of(&values(&[("provider", "minikube"), ("memory", "4G"), ("cpus", "2")], &[]).unwrap());
        let Choice::Minikube(spec) = choice.unwrap() else { panic!("another provider") };
        assert_eq!((spec.memory.as_deref(), spec.cpus), (Some("4g"), Some(2)));
        assert_eq!((&*spec.driver, &*spec.container_runtime), ("docker", "containerd"));
        let flags = [("STACKCTL_MINIKUBE_FLAGS", "--force,--disk-size=40g")];
        assert_eq!(super::spec(&values(&[], &flags).unwrap()).unwrap().flags, ["--force", "--disk-size=40g"]);
        for (key, value, why) in [
            ("memory", "much", "4096 or 4g"),
            ("memory", "0", "4096 or 4g"),
            ("cpus", "0", "a number of CPUs"),
            ("driver", "--help", "a name of"),
            ("minikubeFlags", "disk-size=40g", "expected a flag"),
            ("minikubeFlags", "--memory=4g", "stackctl sets --memory itself, from its own --memory"),
            ("minikubeFlags", "--profile=x", "--cluster-name"),
        ] {
            let error = values(&[(key, value)], &[]).unwrap_err();
            assert!(error.kind == Kind::Usage && error.message.contains(why), "{key} {value}: {error:?}");
        }
    }
}
