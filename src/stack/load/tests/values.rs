//! Values, setters, variants and patches.

use super::*;

#[test]
fn values_are_set_where_they_say() {
    let stack = "name: shop
manifests: [web.yaml]
values:
  replicas: {type: integer, minimum: 1, maximum: 5, default: 3, sets: [Deployment/web spec.replicas]}
  mode:
    type: string
    enum: [slow, fast]
    sets:
      - Deployment/web spec.template.spec.containers[name=app].env[name=MODE].value
      - Deployment/web spec.template.spec.containers[0].env[name=EMPTY].value
  cpu:
    type: quantity
    maximum: 1
    sets: ['Deployment/web spec.template.spec.containers[name=app].resources.requests.cpu']
  ratio:
    type: number
    maximum: 1
    sets: ['Deployment/web spec.template.spec.containers[name=app].env[name=EMPTY].value']
";
    let new = || shop(stack, &[("web.yaml", DEPLOYMENT)]);
    let at = |stack: &Stack, path: &str| object(stack, "Deployment/web").value.pointer(path).cloned().unwrap();
    let container = "/spec/template/spec/containers/0";
    let plain = new().stack();
    assert_eq!(at(&plain, "/spec/replicas"), json!(3));
    assert_eq!(at(&plain, &format!("{container}/env")), json!([{"name": "MODE", "value": "slow"}, {"name": "EMPTY"}]));
    let set = new().set("replicas", "5").set("mode", "fast").set("cpu", "0.5").stack();
    assert_eq!(at(&set, "/spec/replicas"), json!(5));
    assert_eq!(
        at(&set, &format!("{container}/env")),
        json!([{"name": "MODE", "value": "fast"}, {"name": "EMPTY", "value": "fast"}])
    );
    assert_eq!(at(&set, &format!("{container}/resources/requests/cpu")), json!("0.5"));

    let wrong =
        new().set("replicas", "6").set("mode", "medium").set("cpu", "1001m").set("replica", "1").set("zzz", "1");
    assert_eq!(
        wrong.problems(),
        [
            "--set cpu=1001m: 1001m is above the maximum 1, declared at manifests/shop/stack.yaml:13:14",
            "--set mode=medium: `medium` is none of slow, fast, declared at manifests/shop/stack.yaml:7:12",
            "--set replica=1: no such value; did you mean `replicas`?",
            "--set replicas=6: 6 is above the maximum 5 (1 to 5), declared at manifests/shop/stack.yaml:4:50",
            "--set zzz=1: no such value; there are cpu, mode, ratio, replicas",
        ]
    );
    for (given, is) in [("0", "0"), ("0.25", "0.25")] {
        let set = new().set("ratio", given).stack();
        assert_eq!(at(&set, &format!("{container}/env/1/value")), json!(is));
    }
    for (given, found) in [("300m", "300m"), ("NaN", "NaN")] {
        let problem = format!("--set ratio={given}: expected a number such as `0.5`, found `{found}`");
        assert_eq!(new().set("ratio", given).problems(), [problem]);
    }
    assert_eq!(new().set("replicas", "many").problems(), ["--set replicas=many: expected an integer, found `many`"]);
}

#[test]
fn a_setter_is_checked_even_when_its_value_is_not_set() {
    let stack =
        "name: shop\nmanifests: [web.yaml]\nvalues:\n  a: {type: string, sets: [Deployment/wbe spec.replicas]}\n";
    assert_eq!(
        shop(stack, &[("web.yaml", DEPLOYMENT)]).problems(),
        ["manifests/shop/stack.yaml:4:28: the setter matches nothing: there is no Deployment/wbe (values.a.sets)"]
    );
}

const VARIANTS: &str = "name: shop
manifests: [web.yaml]
values:
  size: {type: string, enum: [small, large], default: small, sets: ['Deployment/web metadata.labels.size']}
variants:
  - {when: {provider: [eks, existing]}, add: [extra.yaml], remove: [ConfigMap/local]}
  - {when: {provider: eks, size: large}, patch: [large.yaml]}
";
const LABELLED: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {size: none}}
spec: {replicas: 1, template: {spec: {containers: [{name: app, image: web}]}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: local}
";

fn variants(patch: &str) -> Repository {
    let extra = "apiVersion: v1\nkind: Service\nmetadata: {name: extra}\n";
    shop(VARIANTS, &[("web.yaml", LABELLED), ("extra.yaml", extra), ("large.yaml", patch)])
}

const LARGE: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 9, template: {spec: {containers: [{name: app, env: [{name: A, value: b}]}]}}}
";

#[test]
fn variants_add_remove_and_patch_when_they_hold() {
    let names = |stack: &Stack| stack.sets[0].objects.iter().map(|object| object.key().to_string()).collect::<Vec<_>>();
    let kind = variants(LARGE).stack();
    assert_eq!(names(&kind), ["Deployment/web", "ConfigMap/local"]);
    let existing = variants(LARGE).provider("existing").set("size", "large").stack();
    assert_eq!(names(&existing), ["Deployment/web", "Service/extra"]);
    assert_eq!(existing.sets[0].objects[0].value["spec"]["replicas"], 1);
    let eks = variants(LARGE).provider("eks").set("size", "large").stack();
    let web = &object(&eks, "Deployment/web").value;
    assert_eq!(web["spec"]["replicas"], 9);
    assert_eq!(
        web["spec"]["template"]["spec"]["containers"],
        json!([{"name": "app", "image": "web", "env": [{"name": "A", "value": "b"}]}])
    );
    assert_eq!(web["metadata"]["labels"]["size"], "large");
}

#[test]
fn a_patch_can_delete_an_object() {
    let patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n$patch: delete\n";
    let stack = VARIANTS.replace(
        "  size: {type: string, enum: [small, large], default: small, sets: ['Deployment/web metadata.labels.size']}\n",
        "  size: {type: string, default: small, sets: []}\n",
    );
    let extra = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n";
    let files = [("web.yaml", LABELLED), ("extra.yaml", extra), ("large.yaml", patch)];
    assert_eq!(shop(&stack, &files).stack().sets[0].objects.len(), 2);
    let eks = shop(&stack, &files).provider("eks").set("size", "large").stack();
    let left: Vec<_> = eks.sets[0].objects.iter().map(|object| object.key().to_string()).collect();
    assert_eq!(left, ["ConfigMap/extra"]);
}

#[test]
fn a_patch_has_to_match_even_in_a_variant_that_does_not_hold() {
    let wrong = LARGE.replace("name: web}", "name: wbe}");
    assert_eq!(
        variants(&wrong).problems(),
        ["manifests/shop/large.yaml:1:1: the patch matches nothing: there is no Deployment/wbe"]
    );
    let stack = VARIANTS.replace("provider: eks, size: large", "povider: eks, size: lage").replace("[eks, ", "[ek, ");
    let problems = shop(&stack, &[("web.yaml", LABELLED)]).problems();
    assert_eq!(
        problems,
        [
            "manifests/shop/stack.yaml:6:24: no provider named `ek`; did you mean `eks`?; there are kind, minikube, eks, existing \
             (variants[0].when.provider)",
            "manifests/shop/stack.yaml:6:46: there is no file `extra.yaml` in manifests/shop",
            "manifests/shop/stack.yaml:7:13: `povider` is neither `provider`, `without` nor a value; did you mean `provider`? \
             (variants[1].when.povider)",
            "manifests/shop/stack.yaml:7:33: `lage` is none of small, large, declared at manifests/shop/stack.yaml:4:31 \
             (variants[1].when.size)",
            "manifests/shop/stack.yaml:7:48: there is no file `large.yaml` in manifests/shop",
        ]
    );
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn a_mangled_stack_is_loaded_or_refused_but_never_panics(
        at in 0..VARIANTS.len(), length in 0..40_usize, insert in "[ \\n:,\\[\\]{}a-z0-9'\"-]{0,8}",
        patch_at in 0..LARGE.len(), patch_length in 0..40_usize,
    ) {
        let mangle = |text: &str, at: usize, length: usize| {
            format!("{}{insert}{}", &text[..at], &text[(at + length).min(text.len())..])
        };
        let stack = mangle(VARIANTS, at, length);
        let patch = mangle(LARGE, patch_at, patch_length);
        let repository = shop(&stack, &[("web.yaml", LABELLED), ("extra.yaml", ""), ("large.yaml", &patch)]);
        if let Err(error) = load(&repository.provider("eks").set("size", "large").request) {
            proptest::prop_assert_eq!(error.kind, Kind::Usage);
            proptest::prop_assert!(!error.details.is_empty());
        }
    }
}

#[test]
fn a_value_that_comes_from_an_image_is_nobodys_to_set() {
    let stack = "name: shop
manifests: [web.yaml]
services: {web: {context: .}}
values:
  tag: {setFrom: image.hash, service: wbe, sets: ['Deployment/web spec.template.spec.containers[0].env[name=TAG].value']}
  other: {setFrom: image.tag, type: string, service: web, sets: []}
variants:
  - {when: {tag: abc}, remove: [Deployment/web]}
";
    let files = [("web.yaml", DEPLOYMENT), ("Dockerfile", "FROM scratch\n")];
    assert_eq!(
        shop(stack, &files).set("tag", "mine").problems(),
        [
            "--set tag=mine: `tag` is the content hash of the image of service `wbe`; nobody sets it",
            "manifests/shop/stack.yaml:5:39: there is no service `wbe`; did you mean `web`? (values.tag.service)",
            "manifests/shop/stack.yaml:5:51: the setter matches nothing: Deployment/web (manifests/shop/web.yaml:1:1): it has \
             no spec.template.spec.containers[0].env[name=TAG] (values.tag.sets)",
            "manifests/shop/stack.yaml:6:20: expected one of image.hash, found `image.tag`; did you mean `image.hash`? \
             (values.other.setFrom)",
            "manifests/shop/stack.yaml:6:31: unknown key `type`; known keys: setFrom, service, description, sets (values.other)",
            "manifests/shop/stack.yaml:8:18: `tag` is the content hash of the image of service `wbe`; nobody sets it \
             (variants[0].when.tag)",
        ]
    );
}
