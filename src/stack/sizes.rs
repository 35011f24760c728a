//! Objects that are too large for the API server.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::stack::{model::Set, problems::Problems};

/// What the values of one ConfigMap or Secret may hold together.
const DATA: usize = 1 << 20;

/// What the keys and values of one object's annotations may hold together.
const ANNOTATIONS: usize = 256 << 10;

pub fn check(sets: &[Set], problems: &mut Problems) {
    for object in sets.iter().flat_map(|set| &set.objects) {
        let key = object.key();
        let mut too_large = |what: &str, size: usize, limit: usize| {
            if size > limit {
                let message = format!(
                    "{key}: {what} {} bytes; the API server takes at most {} ({} KiB)",
                    grouped(size),
                    grouped(limit),
                    limit >> 10
                );
                problems.at(object.origin.clone(), message);
            }
        };
        if key.group.is_empty() && matches!(key.kind.as_str(), "ConfigMap" | "Secret") {
            too_large("its data has", data(&object.value, &key.kind), DATA);
        }
        let annotations = entries(&object.value, "/metadata/annotations");
        too_large("its annotations have", annotations.map(|(key, value)| key.len() + value.len()).sum(), ANNOTATIONS);
    }
}

fn data(object: &Value, kind: &str) -> usize {
    let plain = |pointer| entries(object, pointer).map(|(_, text)| text.len()).sum::<usize>();
    let encoded = |pointer| entries(object, pointer).map(|(_, text)| decoded(text)).sum::<usize>();
    match kind {
        "Secret" => {
            let written = |name: &str| object.pointer("/stringData").is_some_and(|texts| texts.get(name).is_some());
            let data = entries(object, "/data").filter(|(name, _)| !written(name)).map(|(_, text)| decoded(text));
            data.sum::<usize>() + plain("/stringData")
        }
        _ => plain("/data") + encoded("/binaryData"),
    }
}

fn decoded(text: &str) -> usize {
    BASE64_STANDARD.decode(text.replace(['\n', '\r'], "")).map_or(0, |bytes| bytes.len())
}

fn entries<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let map = object.pointer(pointer).and_then(Value::as_object);
    map.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// `1,048,576`
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::testing::shop;

    const STACK: &str = "name: shop\nmanifests: [a.yaml]\n";

    #[test]
    fn data_and_annotations_have_limits() {
        let fits = "x".repeat(DATA);
        let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: big}}\ndata: {{a: {fits}}}\n");
        shop(STACK, &[("a.yaml", &map)]).stack();
        let encoded = BASE64_STANDARD.encode(&fits);
        let over = format!("{map}binaryData: {{b: eA==}}\n");
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: big}}\ndata: {{a: {encoded}}}\nstringData: {{b: z}}\n"
        );
        let annotated = format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: noted\n  annotations: {{a: {}}}\n",
            "x".repeat(ANNOTATIONS)
        );
        let all = format!("{over}---\n{secret}---\n{annotated}");
        assert_eq!(
            shop(STACK, &[("a.yaml", &all)]).problems(),
            [
                "manifests/shop/a.yaml:1:1: ConfigMap/big: its data has 1,048,577 bytes; the API server takes at most \
                 1,048,576 (1024 KiB)",
                "manifests/shop/a.yaml:7:1: Secret/big: its data has 1,048,577 bytes; the API server takes at most \
                 1,048,576 (1024 KiB)",
                "manifests/shop/a.yaml:13:1: Service/noted: its annotations have 262,145 bytes; the API server takes \
                 at most 262,144 (256 KiB)",
            ]
        );
        // What both maps of a Secret name counts once, as the server merges them.
        let merged = secret.replace("{b: z}", "{a: z}");
        shop(STACK, &[("a.yaml", &merged)]).stack();
    }

    #[test]
    fn thousands() {
        assert_eq!([0, 999, 1000, 1_048_576].map(grouped), ["0", "999", "1,000", "1,048,576"]);
    }
}
