//! Load profiles.

use super::{
    Field, Group, Literal, Table, Type,
    form::{DURATION, PERCENTAGE, URL},
};

pub static LOAD_PROFILE: Table = Table {
    name: "load profile",
    about: "Requests to send, and what must hold meanwhile",
    fields: &[
        Field::required("url", Type::Form(&URL), "what is requested"),
        Field::required("rate", Type::Positive, "requests per second, over all connections"),
        Field::required("connections", Type::Integer(1, 65_535), "open at the same time"),
        Field::required("duration", Type::Form(&DURATION), "for how long"),
        Field::optional("verdict", Type::Table(&VERDICT), "what must hold; nothing else is judged"),
    ],
    group: Group::None,
};

static VERDICT: Table = Table {
    name: "verdict",
    about: "What must hold while requests are sent",
    fields: &[
        Field::optional("maxErrorRate", Type::Form(&PERCENTAGE), "share of requests that may fail"),
        Field::optional("maxP99", Type::Form(&DURATION), "99 of 100 answers come within this time"),
        Field::optional("minRate", Type::Positive, "answers per second"),
        Field::optional(
            "scaleUp",
            Type::Either(&Type::Boolean, &Type::Integer(1, 100_000)),
            "the workload gets more replicas; a number: at least this many",
        ),
        Field::with_default(
            "scaleDown",
            Type::Boolean,
            Literal::Boolean(false),
            "the workload is back at its minimum after the load",
        ),
        Field::with_default("noRestarts", Type::Boolean, Literal::Boolean(false), "no container restarts"),
    ],
    group: Group::None,
};
