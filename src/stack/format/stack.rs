//! The two files, and what is in either of them.

use super::{
    Field, Group, Literal, Table, Type,
    form::{ANY_NAME, JOB_NAME, KEY, NAME, SECRET_KEY, SETTER, VALUE_NAME},
    jobs::JOB,
    loads::LOAD_PROFILE,
    proofs::PROOF,
    routes::{EDGE, EDGE_KINDS, ROUTE},
    values,
};

/// The Pod Security Standards.
const POD_SECURITY: [&str; 3] = ["privileged", "baseline", "restricted"];

static DESCRIPTION: Field = Field::optional("description", Type::String("string"), "shown by `list`");
static MANIFESTS: Field = Field::required(
    "manifests",
    Type::List(&Type::String("path")),
    "plain Kubernetes YAML, several documents to a file; `kind: List` is expanded",
);
static VALUES: Field =
    Field::optional("values", Type::Map(&VALUE_NAME, &values::NAMED), "what `--set NAME=VALUE` sets");
static VARIANTS: Field =
    Field::optional("variants", Type::List(&Type::Table(&VARIANT)), "what differs by provider or value");
static GENERATE: Field =
    Field::optional("generate", Type::List(&Type::Table(&SECRET)), "created in the cluster if absent, never shown");
static PROOFS: Field =
    Field::optional("proofs", Type::List(&Type::Table(&PROOF)), "what `test` checks from inside the cluster");

static YIELDS: Field = Field::optional(
    "yields",
    Type::List(&Type::Form(&SETTER)),
    "fields that controllers in the cluster take over, each as a setter of a value names it",
);

pub static STACK: Table = Table {
    name: "stack",
    about: "A stack of stackctl: services, manifests, components, proofs and load profiles",
    fields: &[
        Field::required("name", Type::Form(&NAME), "also the namespace, unless `--namespace` is given"),
        DESCRIPTION,
        Field::optional("services", Type::Map(&NAME, &Type::Table(&SERVICE)), "images to build"),
        Field::optional(
            "components",
            Type::List(&Type::String("component")),
            "brought up first, together with the components that they need",
        ),
        MANIFESTS,
        VALUES,
        VARIANTS,
        GENERATE,
        PROOFS,
        Field::optional(
            "routes",
            Type::List(&Type::Table(&ROUTE)),
            "which paths of the stack's edge lead to which services",
        ),
        Field::optional(
            "edge",
            Type::Either(&Type::OneOf(&EDGE_KINDS), &Type::Table(&EDGE)),
            "how the edge is implemented; a word alone is the `kind`, which is `nginx` by default",
        ),
        YIELDS,
        Field::optional(
            "podSecurity",
            Type::OneOf(&POD_SECURITY),
            "the Pod Security Standard that its new namespace enforces",
        ),
        Field::optional(
            "load",
            Type::Map(&ANY_NAME, &Type::Table(&LOAD_PROFILE)),
            "requests to send and the verdict on them",
        ),
        Field::optional(
            "jobs",
            Type::Map(&JOB_NAME, &Type::Table(&JOB)),
            "what a person may run with `stackctl run STACK JOB`",
        ),
    ],
    group: Group::None,
};

pub static COMPONENT: Table = Table {
    name: "component",
    about: "A component of stackctl: objects that several stacks may use",
    fields: &[
        Field::required("name", Type::Form(&NAME), "the name of its folder"),
        DESCRIPTION,
        Field::optional("needs", Type::List(&Type::String("component")), "those that must be ready first"),
        MANIFESTS,
        VALUES,
        VARIANTS,
        GENERATE,
        PROOFS,
        YIELDS,
        Field::with_default(
            "await",
            Type::OneOf(&["ready", "background"]),
            Literal::Text("ready"),
            "with `background`, `up` does not wait for it, `test` does",
        ),
        Field::with_default(
            "scope",
            Type::OneOf(&["cluster", "stack"]),
            Literal::Text("cluster"),
            "whether all stacks share one instance, or each has its own; see below",
        ),
        Field::with_default(
            "foreign",
            Type::OneOf(&["refuse", "use"]),
            Literal::Text("refuse"),
            "where objects of its names are there already and were not made by stackctl, such as those of a cluster's \
             addon: `up` refuses to go on, or leaves the component to them and says so",
        ),
        Field::optional(
            "namespace",
            Type::Form(&NAME),
            "by default the Namespace that its manifests declare, else the first one named, else `stackctl-system`",
        ),
    ],
    group: Group::None,
};

static SERVICE: Table = Table {
    name: "service",
    about: "An image that is built from a folder",
    fields: &[
        Field::required("context", Type::String("path"), "the folder to build"),
        Field::with_default(
            "dockerfile",
            Type::String("path"),
            Literal::Text("Dockerfile"),
            "relative to the context; may be outside of it",
        ),
        Field::optional("target", Type::String("string"), "stage of the Dockerfile"),
        Field::optional("args", Type::Map(&KEY, &Type::Scalar("string")), "build arguments"),
    ],
    group: Group::None,
};

static VARIANT: Table = Table {
    name: "variant",
    about: "What differs by provider, value or component",
    fields: &[
        Field::required(
            "when",
            Type::Map(&KEY, &Type::Either(&Type::Scalar("string"), &Type::List(&Type::Scalar("string")))),
            "the conditions, all of which must hold; see below",
        ),
        Field::optional("add", Type::List(&Type::String("path")), "further manifests"),
        Field::optional(
            "patch",
            Type::List(&Type::String("path")),
            "strategic-merge patches: `apiVersion`, `kind`, `metadata.name` and what changes",
        ),
        Field::optional("remove", Type::List(&Type::String("`KIND/NAME`")), "objects to leave out"),
    ],
    group: Group::None,
};

static SECRET: Table = Table {
    name: "secret",
    about: "A Secret whose keys are generated in the cluster",
    fields: &[
        Field::required("name", Type::Form(&NAME), "of the Secret"),
        Field::required(
            "keys",
            Type::Map(&SECRET_KEY, &Type::Integer(8, 1024)),
            "the number of random letters and digits to generate",
        ),
        Field::optional("fixed", Type::Map(&SECRET_KEY, &Type::Scalar("string")), "further keys"),
    ],
    group: Group::None,
};
