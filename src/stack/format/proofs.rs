//! Proofs: what `stackctl test` checks.

use super::{
    Field, Group, Literal, Table, Type,
    form::{DURATION, FIELD_PATH, HEADER_NAME, KEY, NAME, URL},
};

/// Verbs that can be tried without changing anything.
const VERBS: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

pub const STATUS: Field =
    Field::with_default("status", Type::Integer(100, 599), Literal::Integer(200), "status of the answer");
pub const JSON: Field = Field::optional("json", Type::Any("any value"), "equals the body, parsed as JSON");
pub const CONTAINS: Field = Field::optional("contains", Type::String("string"), "a part of the body");
pub const EVENTUALLY: Field =
    Field::optional("eventually", Type::Form(&DURATION), "how long a failed attempt is repeated");
const TIMEOUT: Field =
    Field::with_default("timeout", Type::Form(&DURATION), Literal::Text("10s"), "of each request");
const PROMETHEUS: Field = Field::required("url", Type::Form(&URL), "base URL of Prometheus");

pub static PROOF: Table = Table {
    name: "proof",
    about: "A claim about the running stack that `stackctl test` checks from inside the cluster",
    fields: &[
        Field::required("name", Type::String("string"), "unique in the file"),
        Field::grouped("http", Type::Table(&HTTP), HTTP_ABOUT),
        Field::grouped("trace", Type::Table(&TRACE), TRACE_ABOUT),
        Field::grouped("promql", Type::Table(&PROMQL), PROMQL_ABOUT),
        Field::grouped("targets", Type::Table(&TARGETS), TARGETS_ABOUT),
        Field::grouped("dashboards", Type::Table(&DASHBOARDS), DASHBOARDS_ABOUT),
        Field::grouped("rbac", Type::Table(&RBAC), RBAC_ABOUT),
        Field::grouped("autoscaler", Type::Table(&AUTOSCALER), AUTOSCALER_ABOUT),
        EVENTUALLY,
        Field::optional(
            "needs",
            Type::List(&Type::String("component")),
            "the proof is skipped when one of them is left out",
        ),
        Field::optional(
            "set",
            Type::List(&Type::String("value")),
            "the proof is skipped unless `--set` gave these a value",
        ),
        Field::optional("unset", Type::List(&Type::String("value")), "the proof is skipped if `--set` gave one of these a value"),
    ],
    group: Group::One("a proof"),
};

const HTTP_ABOUT: &str = "One request is answered as described";
static HTTP: Table = Table {
    name: "http",
    about: HTTP_ABOUT,
    fields: &[
        Field::required("url", Type::Form(&URL), "what is requested"),
        Field::with_default("method", Type::OneOf(&METHODS), Literal::Text("GET"), "of the request"),
        Field::optional("headers", Type::Map(&HEADER_NAME, &Type::Scalar("string")), "of the request"),
        Field::optional("body", Type::String("string"), "of the request"),
        STATUS,
        JSON,
        CONTAINS,
        Field::optional("where", Type::List(&Type::Table(&CONDITION)), "what holds of the body, parsed as JSON"),
        Field::with_default(
            "ca",
            Type::Boolean,
            Literal::Boolean(false),
            "trust the stack's certificate authority, and no other",
        ),
        TIMEOUT,
    ],
    group: Group::None,
};

static CONDITION: Table = Table {
    name: "condition",
    about: "What holds of a field of the body",
    fields: &[
        Field::required("path", Type::Form(&FIELD_PATH), "such as `items[0].status.replicas`"),
        Field::grouped("equals", Type::Any("any value"), "the field equals it"),
        Field::grouped("above", Type::Number, "the field, a number or a string that is one, is greater"),
        Field::grouped("below", Type::Number, "the field, a number or a string that is one, is less"),
        Field::grouped("contains", Type::String("string"), "the field, a string or a string of a list, contains it"),
        Field::grouped("exists", Type::Boolean, "whether there is such a field"),
    ],
    group: Group::One("it"),
};

const TRACE_ABOUT: &str = "One request, sent with a trace id of its own, is answered as described, and Jaeger has its trace with all the spans";
static TRACE: Table = Table {
    name: "trace",
    about: TRACE_ABOUT,
    fields: &[
        Field::required("request", Type::Table(&HTTP), "what is sent, and how it is answered"),
        Field::required("jaeger", Type::Form(&URL), "base URL of Jaeger"),
        Field::required("spans", Type::List(&Type::Table(&SPAN)), "all of which are in the trace"),
    ],
    group: Group::None,
};

static SPAN: Table = Table {
    name: "span",
    about: "A span that the trace must hold",
    fields: &[
        Field::optional("service", Type::String("string"), "that it is of"),
        Field::required("operation", Type::String("string"), "its name"),
        Field::optional(
            "attributes",
            Type::Map(&KEY, &Type::Scalar("string")),
            "of the span or its resource, compared as strings",
        ),
        Field::optional("error", Type::Boolean, "whether its status is an error"),
    ],
    group: Group::None,
};

const PROMQL_ABOUT: &str = "The query yields a sample, and all samples are within the bounds";
static PROMQL: Table = Table {
    name: "promql",
    about: PROMQL_ABOUT,
    fields: &[
        PROMETHEUS,
        Field::required("query", Type::String("string"), "in PromQL"),
        Field::optional("above", Type::Number, "all samples are greater"),
        Field::optional("below", Type::Number, "all samples are less"),
        TIMEOUT,
    ],
    group: Group::None,
};

const TARGETS_ABOUT: &str = "Every active target of Prometheus is up, and each of the jobs has one";
static TARGETS: Table = Table {
    name: "targets",
    about: TARGETS_ABOUT,
    fields: &[
        PROMETHEUS,
        Field::optional("jobs", Type::List(&Type::String("string")), "names of jobs of Prometheus"),
        TIMEOUT,
    ],
    group: Group::None,
};

const DASHBOARDS_ABOUT: &str =
    "Prometheus understands every expression of the Grafana dashboards (`*.json`) in a ConfigMap of the stack";
static DASHBOARDS: Table = Table {
    name: "dashboards",
    about: DASHBOARDS_ABOUT,
    fields: &[
        PROMETHEUS,
        Field::required("configMap", Type::String("string"), "its name"),
        Field::with_default("data", Type::Boolean, Literal::Boolean(false), "each expression returns data as well"),
        TIMEOUT,
    ],
    group: Group::None,
};

const RBAC_ABOUT: &str =
    "A ServiceAccount, with its own token, may and may not do these in the stack's namespace; nothing is changed";
static RBAC: Table = Table {
    name: "rbac",
    about: RBAC_ABOUT,
    fields: &[
        Field::required("serviceAccount", Type::String("string"), "its name"),
        Field::grouped("allowed", Type::List(&Type::Table(&PERMISSION)), "what it may do"),
        Field::grouped("denied", Type::List(&Type::Table(&PERMISSION)), "what it may not do"),
        TIMEOUT,
    ],
    group: Group::Some("there is nothing `allowed` or `denied` to check"),
};

static PERMISSION: Table = Table {
    name: "permission",
    about: "What is tried",
    fields: &[
        Field::required("verb", Type::OneOf(&VERBS), "as RBAC has it"),
        Field::required(
            "resource",
            Type::String("string"),
            "plural, with its group unless that is the core one: `services`, `deployments.apps`",
        ),
    ],
    group: Group::None,
};

const AUTOSCALER_ABOUT: &str = "A HorizontalPodAutoscaler reports a current value of a metric";
static AUTOSCALER: Table = Table {
    name: "autoscaler",
    about: AUTOSCALER_ABOUT,
    fields: &[
        Field::required("name", Type::String("string"), "of the HorizontalPodAutoscaler"),
        Field::optional("namespace", Type::Form(&NAME), "by default the stack's"),
        Field::required("metric", Type::String("string"), "of a resource, such as `cpu`"),
    ],
    group: Group::None,
};
