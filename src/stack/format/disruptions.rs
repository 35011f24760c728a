//! Proofs that disturb the stack.

use super::{
    Field, Group, Literal, Table, Type,
    form::{DURATION, ONE_GROUP, ROLLING, SCALED, SELECTOR, URL},
    proofs::{
        ALERT_KIND, AUTOSCALER_KIND, COUNT_KIND, DASHBOARDS_KIND, EVENTUALLY, HTTP, HTTP_KIND, LOGS_KIND, PROMQL_KIND,
        RBAC_KIND, REPLICAS_KIND, TARGETS_KIND, TIMEOUT, TRACE_KIND,
    },
};

pub const DURING_ABOUT: &str =
    "The stack is disturbed, and what must hold before, meanwhile and afterwards does; only with `--disruptive`";
pub static DURING: Table = Table {
    name: "during",
    about: DURING_ABOUT,
    fields: &[
        Field::required("disrupt", Type::Table(&DISRUPTION), "what is done"),
        Field::optional("before", Type::List(&Type::Table(&PART)), "holds before anything is done"),
        Field::grouped("meanwhile", Type::List(&Type::Table(&PART)), "holds from then on"),
        Field::grouped("after", Type::List(&Type::Table(&PART)), "holds when it is over"),
        Field::grouped("load", Type::Table(&LOAD), "requests that are sent until it is over"),
        Field::grouped("keeps", Type::Table(&KEEPS), "a number that must not be lost"),
    ],
    group: Group::Some("nothing must hold: it has at least one of `meanwhile`, `after`, `load`, `keeps`"),
};

static PART: Table = Table {
    name: "part",
    about: "A proof of any kind but `during`",
    fields: &[
        Field::optional("name", Type::String("string"), "by default that of its kind"),
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
        EVENTUALLY,
    ],
    group: Group::One("a proof"),
};

static DISRUPTION: Table = Table {
    name: "disruption",
    about: "What is done to the stack",
    fields: &[
        Field::grouped("deletePods", Type::Table(&DELETED_PODS), "over when as many others are ready"),
        Field::grouped(
            "restart",
            Type::Some(&Type::Form(&ROLLING), "there is nothing to restart"),
            "their pods are replaced, as by `kubectl rollout restart`; over when all have rolled out",
        ),
        Field::grouped(
            "scale",
            Type::Table(&SCALING),
            "another number of replicas while `meanwhile` is checked; over when it has its own again, and they are ready",
        ),
        Field::grouped(
            "drain",
            Type::Table(&DRAINING),
            "a node takes no pods while `meanwhile` is checked, and the stack's are evicted from it; see below",
        ),
    ],
    group: Group::One("it"),
};

static DELETED_PODS: Table = Table {
    name: "deleted pods",
    about: "Which pods are deleted",
    fields: &[
        Field::required("selector", Type::Form(&SELECTOR), "their labels"),
        Field::with_default("force", Type::Boolean, Literal::Boolean(false), "without a grace period"),
    ],
    group: Group::None,
};

static SCALING: Table = Table {
    name: "scaling",
    about: "What gets another number of replicas",
    fields: &[
        Field::required("object", Type::Form(&SCALED), "what is scaled"),
        Field::required("to", Type::Integer(0, 1_000), "replicas"),
    ],
    group: Group::None,
};

static DRAINING: Table = Table {
    name: "draining",
    about: "Which node is drained",
    fields: &[Field::required("nodeOf", Type::Form(&SELECTOR), "that of one of the pods with these labels")],
    group: Group::None,
};

static LOAD: Table = Table {
    name: "load",
    about: "GET requests from inside the cluster, from before the disruption until it is over",
    fields: &[
        Field::required("url", Type::Form(&URL), "what is requested"),
        Field::required("rate", Type::Positive, "requests per second, over all connections"),
        Field::required("connections", Type::Integer(1, 65_535), "open at the same time"),
        Field::required("duration", Type::Form(&DURATION), "at least"),
        Field::with_default(
            "maxErrors",
            Type::Integer(0, i64::MAX),
            Literal::Integer(0),
            "connection errors and statuses from 400 on",
        ),
        Field::with_default("minRequests", Type::Integer(1, i64::MAX), Literal::Integer(1), "answers that came"),
        TIMEOUT,
    ],
    group: Group::None,
};

static KEEPS: Table = Table {
    name: "keeps",
    about: "A number that is read before and when it is over, and must not be less then",
    fields: &[
        Field::required("request", Type::Table(&HTTP), "whose answer has the number"),
        Field::required("number", Type::Form(&ONE_GROUP), "where it stands in the answer"),
        Field::optional("by", Type::Integer(0, i64::MAX), "exactly so many more"),
    ],
    group: Group::None,
};
