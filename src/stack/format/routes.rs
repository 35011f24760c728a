//! Routes and the edge.

use super::{
    Field, Group, Literal, Table, Type,
    form::{DURATION, HOST, REQUEST_PATH, ROUTE_PATH, TARGET},
    proofs::{CONTAINS, EVENTUALLY, JSON, STATUS},
};
use crate::stack::model::EdgeKind;

pub const EDGE_KINDS: [&str; 4] = EdgeKind::NAMES;

pub static EDGE: Table = Table {
    name: "edge",
    about: "Where requests from outside come in",
    fields: &[
        Field::with_default(
            "kind",
            Type::OneOf(&EDGE_KINDS),
            Literal::Text(EdgeKind::Nginx.name()),
            "what serves the routes",
        ),
        Field::optional("hosts", Type::List(&Type::Form(&HOST)), "further names for its certificate"),
        Field::optional("class", Type::String("string"), "of the Ingress, or of the Gateway, which must have one"),
    ],
    group: Group::None,
};

pub static ROUTE: Table = Table {
    name: "route",
    about: "Requests to a path and all below it go to a service",
    fields: &[
        Field::required(
            "path",
            Type::Form(&ROUTE_PATH),
            "`/hello`: this path and all below it; `/`: all other paths; the longest match wins",
        ),
        Field::required(
            "service",
            Type::Form(&TARGET),
            "a Service of the stack or of its components; without `:PORT` its only port",
        ),
        Field::with_default(
            "strip",
            Type::Boolean,
            Literal::Boolean(false),
            "the service sees `/write` where `/hello/write` was requested",
        ),
        Field::with_default(
            "timeout",
            Type::Form(&DURATION),
            Literal::Text("60s"),
            "how long the service may take to answer",
        ),
        Field::optional(
            "needs",
            Type::List(&Type::String("component")),
            "the route is dropped when one of them is left out",
        ),
        Field::optional("check", Type::Table(&CHECK), "a proof named `route PATH`, sent over TLS through the edge"),
    ],
    group: Group::None,
};

static CHECK: Table = Table {
    name: "check",
    about: "One request through the edge and what must come back",
    fields: &[
        Field::with_default("path", Type::Form(&REQUEST_PATH), Literal::Text("/"), "appended to the route's"),
        STATUS,
        CONTAINS,
        JSON,
        EVENTUALLY,
    ],
    group: Group::None,
};
