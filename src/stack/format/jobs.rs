//! Jobs that a person runs.

use super::{
    Field, Group, Table, Type,
    form::{DURATION, VALUE_NAME},
    values,
};

pub static JOB: Table = Table {
    name: "job",
    about: "What a person may run with `stackctl run STACK JOB`",
    fields: &[
        Field::optional("description", Type::String("string"), "shown by `stackctl run STACK`"),
        Field::grouped(
            "from",
            Type::String("`CronJob/NAME`"),
            "a CronJob of the stack or of its components: its `jobTemplate`, as the cluster has it",
        ),
        Field::grouped(
            "manifest",
            Type::String("path"),
            "a file with one Job, which `up` does not apply; a service's name stands for its image",
        ),
        Field::optional(
            "timeout",
            Type::Form(&DURATION),
            "how long a run may take, its pods' start included; by default `--timeout`",
        ),
        Field::optional(
            "parameters",
            Type::Map(&VALUE_NAME, &values::NAMED),
            "what `--set NAME=VALUE` sets; each setter names the job's own template",
        ),
    ],
    group: Group::One("a job"),
};
