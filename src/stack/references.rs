//! `$(values.NAME)` in the texts of a proof: stands for what the cluster has of a value.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    object::{Key, json, podspec},
    stack::{
        claims::Check,
        declaration::Declaration,
        desired,
        field::as_text,
        model::{Proof, Set},
        problems::{Problems, suggestion},
        setter::Setter,
        values::ValueDecl,
    },
};

const OPEN: &str = "$(values.";

/// Where the cluster shows what a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The object to look at.
    pub key: Key,
    shown: Shown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    /// In the field that the value is written to.
    Field(Setter),
    /// In the name of this service's image, whatever a field says.
    Tag(String),
}

impl Reference {
    /// The value, from the object as the cluster has it.
    pub fn find(&self, stack: &str, object: &Value) -> Option<String> {
        match &self.shown {
            Shown::Field(setter) => setter.find(object).map(as_text),
            Shown::Tag(service) => {
                let repository = format!("/{stack}/{service}:");
                let is_its = |image: &&str| image.contains(&repository);
                podspec::images(object).into_iter().find(is_its).and_then(desired::content_hash).map(str::to_owned)
            }
        }
    }
}

/// Who declares a proof and the values that it may refer to.
pub struct Declarer<'a> {
    /// None: the stack itself.
    pub component: Option<&'a str>,
    pub declaration: &'a Declaration,
    pub set: &'a Set,
}

impl Declarer<'_> {
    /// As `--set` names it.
    fn full(&self, name: &str) -> String {
        self.component.map_or_else(|| name.to_owned(), |component| format!("{component}.{name}"))
    }

    fn reference(&self, name: &str) -> Result<Reference, String> {
        let values = || self.declaration.values.iter();
        let value = values().find(|value| value.name == name).ok_or_else(|| {
            format!("there is no value `{name}`{}", suggestion(name, values().map(|value| value.name.as_str())))
        })?;
        match value.service() {
            Some(service) => self.tag(service),
            None => self.field(value),
        }
    }

    fn tag(&self, service: &str) -> Result<Reference, String> {
        let objects = self.set.objects.iter();
        let runs = objects.map(|object| &object.value).find(|object| podspec::images(object).contains(&service));
        let runs = runs.ok_or_else(|| format!("nothing in the stack runs the image of service `{service}`"))?;
        Ok(Reference { key: json::key(runs), shown: Shown::Tag(service.to_owned()) })
    }

    fn field(&self, value: &ValueDecl) -> Result<Reference, String> {
        let setter = value.setters.first().ok_or_else(|| format!("value `{}` is written to no field", value.name))?;
        let setter = &setter.value;
        let key = self.set.objects.iter().map(|object| object.key()).find(|key| setter.is_of(key));
        let key = key.ok_or_else(|| format!("there is no {}/{}", setter.kind, setter.name))?;
        Ok(Reference { key, shown: Shown::Field(setter.clone()) })
    }
}

/// Finds what the proof refers to, by the names that `--set` has for it, which stand in the proof from then on.
pub fn collect(
    proof: &mut Proof,
    declarer: &Declarer,
    references: &mut BTreeMap<String, Reference>,
    problems: &mut Problems,
) {
    let mut known = true;
    for name in names(&proof.check) {
        match declarer.reference(&name) {
            Ok(reference) => drop(references.insert(declarer.full(&name), reference)),
            Err(why) => {
                known = false;
                problems.at(proof.origin.clone(), format!("{why} (`{OPEN}{name})` in proof `{}`)", proof.name));
            }
        }
    }
    let renamed = |name: &str| Some(format!("{OPEN}{})", declarer.full(name)));
    if let Some(check) = replaced(&proof.check, &renamed).ok().filter(|_| known && declarer.component.is_some()) {
        proof.check = check;
    }
}

/// The names that the check refers to.
pub fn names(check: &Check) -> Vec<String> {
    let mut names = Vec::new();
    let mut note = |name: &str| {
        names.push(name.to_owned());
        None
    };
    // It says what it said before, so that it is still a check.
    let _ = check.with_texts(|whole| replace(whole, &mut note));
    names
}

/// The check with texts in place of references, as far as `text` knows them. Err: it makes no check any more.
pub fn replaced(check: &Check, text: &dyn Fn(&str) -> Option<String>) -> serde_json::Result<Check> {
    check.with_texts(|whole| replace(whole, &mut |name| text(name)))
}

fn replace(whole: &str, text: &mut dyn FnMut(&str) -> Option<String>) -> String {
    let (mut done, mut rest) = (String::new(), whole);
    while let Some((before, after)) = rest.split_once(OPEN) {
        done.push_str(before);
        match after.split_once(')') {
            Some((name, after)) => {
                done.push_str(&text(name).unwrap_or_else(|| format!("{OPEN}{name})")));
                rest = after;
            }
            None => {
                done.push_str(OPEN);
                rest = after;
            }
        }
    }
    done + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stack::testing::{DEPLOYMENT, Repository, shop};

    const STACK: &str = "name: shop
services: {web: {context: .}}
manifests: [web.yaml]
values:
  tag: {setFrom: image.hash, service: web, sets: ['Deployment/web spec.template.spec.containers[0].env[name=EMPTY].value']}
  mode: {type: string, sets: ['Deployment/web spec.template.spec.containers[0].env[name=MODE].value']}
proofs:
  - name: says its tag
    http: {url: 'http://web/$(values.mode)/x', contains: 'tag:  $(values.tag), $(values', headers: {X-Tag: $(values.tag)}}
";

    fn files<'a>() -> [(&'a str, &'a str); 2] {
        [("web.yaml", DEPLOYMENT), ("Dockerfile", "FROM scratch\n")]
    }

    fn http(check: &Check) -> &crate::stack::claims::HttpCheck {
        let Check::Http(check) = check else { panic!("{check:?}") };
        check
    }

    #[test]
    fn texts_of_a_proof_say_what_the_cluster_has() {
        let stack = shop(STACK, &files()).stack();
        let mut there = stack.sets[0].objects[0].value.clone();
        let container = &mut there["spec"]["template"]["spec"]["containers"][0];
        container["image"] = "127.0.0.1:5000/shop/web:0f3a@sha256:77".into();
        container["env"] =
            json!([{"name": "MODE", "value": "fast"}, {"name": "EMPTY", "value": "what somebody wrote"}]);
        assert_eq!(stack.references.keys().collect::<Vec<_>>(), ["mode", "tag"]);
        let find = |name: &str| {
            let reference = stack.references.get(name)?;
            assert_eq!(reference.key.to_string(), "Deployment/web");
            reference.find("shop", &there)
        };
        assert_eq!(find("tag").as_deref(), Some("0f3a"), "of the image, not of the field");
        let check = replaced(&stack.proofs[0].check, &find).unwrap();
        assert_eq!(http(&check).url, "http://web/fast/x");
        assert_eq!(http(&check).contains.as_deref(), Some("tag:  0f3a, $(values"));
        assert_eq!(http(&check).headers["X-Tag"], "0f3a");
        assert_eq!(stack.references["tag"].find("other", &there), None, "another stack's image");
    }

    #[test]
    fn what_a_proof_refers_to_must_be_there() {
        let stack = STACK.replace("$(values.mode)", "$(values.mod)");
        let unused = DEPLOYMENT.replace("image: web", "image: nginx:1");
        assert_eq!(
            shop(&stack, &[("web.yaml", unused.as_str()), ("Dockerfile", "FROM scratch\n")]).problems(),
            [
                "manifests/shop/stack.yaml:8:5: nothing in the stack runs the image of service `web` (`$(values.tag)` in proof \
                 `says its tag`)",
                "manifests/shop/stack.yaml:8:5: there is no value `mod`; did you mean `mode`? (`$(values.mod)` in proof `says its \
                 tag`)",
            ]
        );
    }

    #[test]
    fn a_component_refers_to_its_own_values() {
        let component = "name: metrics
namespace: metrics
manifests: [m.yaml]
values: {mode: {type: string, sets: ['ConfigMap/metrics data.mode']}}
proofs:
  - {name: runs, http: {url: 'http://metrics/$(values.mode)'}}
";
        let stack = Repository::new(&[
            ("manifests/shop/stack.yaml", "name: shop\ncomponents: [metrics]\nmanifests: [web.yaml]\n"),
            ("manifests/shop/web.yaml", DEPLOYMENT),
            ("manifests/components/metrics/component.yaml", component),
            (
                "manifests/components/metrics/m.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: metrics}\ndata: {mode: a}\n",
            ),
        ])
        .stack();
        assert_eq!(http(&stack.proofs[0].check).url, "http://metrics/$(values.metrics.mode)");
        let there = json!({"data": {"mode": "b"}});
        assert_eq!(stack.references["metrics.mode"].find("shop", &there).as_deref(), Some("b"));
    }
}
