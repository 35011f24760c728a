//! Proofs: what `stackctl test` checks.

use super::{
    Field, Group, Literal, Table, Type,
    disruptions::{DURING, DURING_ABOUT},
    form::{DURATION, FIELD_PATH, HEADER_NAME, KEY, NAME, ONE_GROUP, PATTERN, SELECTOR, URL},
};

/// Verbs that can be tried without changing anything.
const VERBS: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

pub const STATUS: Field =
    Field::with_default("status", Type::Integer(100, 599), Literal::Integer(200), "status of the answer");
pub const JSON: Field = Field::optional("json", Type::Any("any value"), "equals the body, parsed as JSON");
pub const CONTAINS: Field = Field::optional("contains", Type::String("string"), "a part of the body");
pub const EVENTUALLY: Field = Field::optional(
    "eventually",
    Type::Form(&DURATION),
    "how long a failed attempt is repeated; for `logs` 30s by default",
);
pub const TIMEOUT: Field =
    Field::with_default("timeout", Type::Form(&DURATION), Literal::Text("10s"), "of each request");
const PROMETHEUS: Field = Field::required("url", Type::Form(&URL), "base URL of Prometheus");

pub static HTTP_KIND: Field = Field::grouped("http", Type::Table(&HTTP), HTTP_ABOUT);
pub static TRACE_KIND: Field = Field::grouped("trace", Type::Table(&TRACE), TRACE_ABOUT);
pub static PROMQL_KIND: Field = Field::grouped("promql", Type::Table(&PROMQL), PROMQL_ABOUT);
pub static TARGETS_KIND: Field = Field::grouped("targets", Type::Table(&TARGETS), TARGETS_ABOUT);
pub static DASHBOARDS_KIND: Field = Field::grouped("dashboards", Type::Table(&DASHBOARDS), DASHBOARDS_ABOUT);
pub static ALERT_KIND: Field = Field::grouped("alert", Type::Table(&ALERT), ALERT_ABOUT);
pub static RBAC_KIND: Field = Field::grouped("rbac", Type::Table(&RBAC), RBAC_ABOUT);
pub static COUNT_KIND: Field = Field::grouped("count", Type::Table(&COUNT), COUNT_ABOUT);
pub static REPLICAS_KIND: Field = Field::grouped("replicas", Type::Table(&REPLICAS), REPLICAS_ABOUT);
pub static AUTOSCALER_KIND: Field = Field::grouped("autoscaler", Type::Table(&AUTOSCALER), AUTOSCALER_ABOUT);
pub static LOGS_KIND: Field = Field::grouped("logs", Type::Table(&LOGS), LOGS_ABOUT);

pub static PROOF: Table = Table {
    name: "proof",
    about: "A claim about the running stack that `stackctl test` checks from inside the cluster",
    fields: &[
        Field::required("name", Type::String("string"), "unique in the file"),
        HTTP_KIND,
        TRACE_KIND,
        PROMQL_KIND,
        TARGETS_KIND,
        DASHBOARDS_KIND,
        ALERT_KIND,
        RBAC_KIND,
        COUNT_KIND,
        REPLICAS_KIND,
        AUTOSCALER_KIND,
        LOGS_KIND,
        Field::grouped("during", Type::Table(&DURING), DURING_ABOUT),
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
        Field::optional(
            "unset",
            Type::List(&Type::String("value")),
            "the proof is skipped if `--set` gave one of these a value",
        ),
    ],
    group: Group::One("a proof"),
};

const HTTP_ABOUT: &str = "One request is answered as described";
pub static HTTP: Table = Table {
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

const ALERT_ABOUT: &str = "Prometheus has an alerting rule of that name, and the most active of its alerts with these labels is in that state";
static ALERT: Table = Table {
    name: "alert",
    about: ALERT_ABOUT,
    fields: &[
        PROMETHEUS,
        Field::required("name", Type::String("string"), "of the rule"),
        Field::required("state", Type::OneOf(&["firing", "pending", "inactive"]), "of the alert"),
        Field::optional("labels", Type::Map(&KEY, &Type::Scalar("string")), "of the alert"),
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

const COUNT_ABOUT: &str = "Each of many requests at the same time raises a number in the answers by exactly one; none is missing, none comes twice";
static COUNT: Table = Table {
    name: "count",
    about: COUNT_ABOUT,
    fields: &[
        Field::required("request", Type::Table(&HTTP), "what is sent, and how it is answered"),
        Field::required("number", Type::Form(&ONE_GROUP), "where the number stands in the answer"),
        Field::required(
            "requests",
            Type::Integer(1, 100_000),
            "how many, with one more before and one after them; each has a connection of its own",
        ),
        Field::with_default("concurrency", Type::Integer(1, 1_000), Literal::Integer(10), "requests at the same time"),
    ],
    group: Group::None,
};

const REPLICAS_ABOUT: &str = "All pods of the Service that the URL names are ready, and each of them, asked by its own address, answers as described";
static REPLICAS: Table = Table {
    name: "replicas",
    about: REPLICAS_ABOUT,
    fields: &[
        Field::required("request", Type::Table(&HTTP), "what is sent, and how it is answered; http:// only"),
        Field::with_default("minimum", Type::Integer(1, 1_000), Literal::Integer(1), "of pods"),
        Field::optional("distinct", Type::Form(&ONE_GROUP), "each pod's answer has another text in the group"),
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

const LOGS_ABOUT: &str = "Pods have logged these lines, after the request was answered as described";
static LOGS: Table = Table {
    name: "logs",
    about: LOGS_ABOUT,
    fields: &[
        Field::optional("request", Type::Table(&HTTP), "what is sent first, and how it is answered"),
        Field::with_default(
            "since",
            Type::OneOf(&["start", "pod"]),
            Literal::Text("start"),
            "lines from the proof's beginning on, or all that the pods have logged",
        ),
        Field::required(
            "pods",
            Type::Some(&Type::Table(&LOG), "there are no pods whose logs are read"),
            "whose logs are read; each entry holds",
        ),
    ],
    group: Group::None,
};

static LOG: Table = Table {
    name: "log",
    about: "Lines of the log of one container",
    fields: &[
        Field::required("selector", Type::Form(&SELECTOR), "labels of the pods"),
        Field::optional("container", Type::Form(&NAME), "by default any of the pod"),
        Field::with_default(
            "every",
            Type::Boolean,
            Literal::Boolean(false),
            "a container of every pod has the lines, not of one",
        ),
        Field::with_default("anyOrder", Type::Boolean, Literal::Boolean(false), "the lines may come in another order"),
        Field::required(
            "matches",
            Type::Some(&Type::Form(&PATTERN), "there is no line to look for"),
            "one for each line; a named group of one pattern is `$(name)` in those after it",
        ),
    ],
    group: Group::None,
};
