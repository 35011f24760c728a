//! Documents as they are printed, and a JSON Schema for what each command prints, made from the types that it prints.

use std::{collections::BTreeSet, path::Path};

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use super::{Document, Envelope, Failure, failure as failed, pretty, results::*};
use crate::{
    error::{Error, Kind},
    event::Event,
    observe::overview::Overview,
    report::timings::Timings,
};

/// A document's schema, with the constants that tell which one it is.
fn one<T: Document>(generator: &mut SchemaGenerator) -> Value {
    let mut schema = Envelope::<T>::json_schema(generator).to_value();
    schema["title"] = T::KIND.into();
    schema["properties"]["apiVersion"] = json!({ "const": T::API_VERSION });
    schema["properties"]["kind"] = json!({ "const": T::KIND });
    schema
}

/// One that is only there to carry an error has one.
fn failure(generator: &mut SchemaGenerator) -> Value {
    let mut schema = one::<Failure>(generator);
    schema["required"] = json!(["apiVersion", "kind", "error"]);
    schema
}

/// Schemas of files that people write, which the format of the stack yields.
const OF_FILES: [&str; 2] = ["component.schema.json", "stack.schema.json"];

type Make = fn(&mut SchemaGenerator) -> Value;

/// Each command with the documents that it may print; and what else is printed or written as JSON.
const PAGES: [(&str, &[Make]); 38] = [
    ("backup", &[one::<JobResult>, one::<JobPlan>, failure]),
    ("build", &[one::<Images>, failure]),
    ("ca", &[one::<CertificateAuthority>, failure]),
    ("completions", &[one::<Completions>, failure]),
    ("cost", &[one::<FleetCosts>, failure]),
    ("deploy", &[one::<UpResult>, failure]),
    ("diff", &[one::<Diff>, failure]),
    ("doctor", &[one::<DoctorReport>, failure]),
    ("down", &[one::<RemovalResult>, one::<Plan>, failure]),
    ("eks-policy", &[one::<AccessPolicy>, failure]),
    ("eks-token", &[one::<ExecCredential>, failure]),
    ("event", &[one::<Event>]),
    ("forward", &[one::<Forwards>, failure]),
    ("gc", &[one::<RemovedImages>, failure]),
    ("kubeconfig", &[one::<Kubeconfig>, failure]),
    ("list", &[one::<StackList>, failure]),
    ("loadgen", &[one::<LoadResult>, one::<Plan>, failure]),
    ("login", &[one::<Login>, failure]),
    ("logout", &[one::<Logout>, failure]),
    ("logs", &[one::<LogLine>, failure]),
    ("man", &[one::<Page>, failure]),
    ("open", &[one::<OpenedUrl>, failure]),
    ("password", &[one::<Password>, failure]),
    ("plan", &[one::<Plan>, failure]),
    ("push", &[one::<Images>, failure]),
    ("render", &[one::<ObjectList>, failure]),
    ("restore", &[one::<JobResult>, one::<JobPlan>, failure]),
    ("run", &[one::<JobResult>, one::<JobList>, one::<JobPlan>, failure]),
    ("schema", &[one::<FileSchema>, failure]),
    ("start", &[one::<ClusterPower>, failure]),
    ("status", &[one::<Overview>, failure]),
    ("stop", &[one::<ClusterPower>, failure]),
    ("sweep", &[one::<SweepResult>, failure]),
    ("test", &[one::<TestResult>, failure]),
    ("timings", &[one::<Timings>]),
    ("up", &[one::<UpResult>, one::<UpAllResult>, one::<Plan>, one::<Plans>, failure]),
    ("urls", &[one::<Addresses>, failure]),
    ("version", &[one::<Version>, failure]),
];

fn page(name: &str, documents: &[Make]) -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let documents: Vec<Value> = documents.iter().map(|make| make(&mut generator)).collect();
    let title = match name {
        "event" => "A line of `--output json` on stderr".to_owned(),
        "timings" => "The file of `--timings FILE.json`".to_owned(),
        command => format!("What `stackctl {command} --output json` prints on stdout"),
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "oneOf": documents,
        "$defs": generator.take_definitions(true),
    })
}

/// `STACKCTL_WRITE_DOCS=1` writes the files anew.
#[test]
fn the_published_schemas_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
    let write = std::env::var_os("STACKCTL_WRITE_DOCS").is_some();
    let there = || -> BTreeSet<String> {
        let entries = std::fs::read_dir(&folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !OF_FILES.contains(&name.as_str())).collect()
    };
    if write {
        there().iter().for_each(|name| std::fs::remove_file(folder.join(name)).unwrap());
    }
    let mut names = BTreeSet::new();
    for (name, documents) in PAGES {
        let file = format!("{name}.schema.json");
        let text = serde_json::to_string_pretty(&page(name, documents)).unwrap() + "\n";
        if write {
            std::fs::write(folder.join(&file), &text).unwrap();
        }
        let written = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
        assert!(written == text, "docs/schemas/{file} is not what is printed; STACKCTL_WRITE_DOCS=1 writes it anew");
        names.insert(file);
    }
    assert_eq!(there(), names);
}

#[test]
fn every_key_is_in_camel_case() {
    fn keys(schema: &Value, found: &mut BTreeSet<String>) {
        match schema {
            Value::Object(fields) => {
                if let Some(Value::Object(properties)) = fields.get("properties") {
                    found.extend(properties.keys().cloned());
                }
                fields.values().for_each(|value| keys(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    PAGES.iter().for_each(|(name, documents)| keys(&page(name, documents), &mut found));
    let odd: Vec<&String> =
        found.iter().filter(|key| key.contains(['_', '-']) || key.starts_with(char::is_uppercase)).collect();
    assert!(found.len() > 50 && odd.is_empty(), "{odd:?}");
}

#[test]
fn results_and_an_error_share_one_document() {
    let error = Error::new(Kind::ProofFailed, "1 proof failed");
    let text = pretty(&Version { version: "1" }, Some(&error));
    assert!(text.starts_with("{\n  \"apiVersion\": \"stackctl.dev/v1\",\n  \"kind\": \"Version\""), "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&document["version"], &document["error"]["exitCode"]), (&json!("1"), &json!(8)));
}

#[test]
fn a_failure_is_data() {
    let second = Error::new(Kind::Refused, "ConfigMap/b is invalid").cause("data: no");
    let error = Error::new(Kind::Build, "building image hello failed")
        .cause("RUN npm ci exited with 1")
        .detail("npm error code E404\nnpm error 404 Not Found")
        .hint("check the name of the package in services/hello/package.json")
        .beside([second]);
    insta::assert_snapshot!(failed(&error), @r#"
    {
      "apiVersion": "stackctl.dev/v1",
      "kind": "Failure",
      "error": {
        "kind": "build",
        "message": "building image hello failed",
        "causes": [
          "RUN npm ci exited with 1"
        ],
        "details": [
          "npm error code E404\nnpm error 404 Not Found"
        ],
        "hints": [
          "check the name of the package in services/hello/package.json"
        ],
        "exitCode": 5,
        "others": [
          {
            "kind": "refused",
            "message": "ConfigMap/b is invalid",
            "causes": [
              "data: no"
            ],
            "details": [],
            "hints": [],
            "exitCode": 6
          }
        ]
      }
    }
    "#);
}
