//! Values: what `--set` sets.

use super::{
    Cases, Field, Group, Table, Type,
    form::{NUMBER, QUANTITY, SETTER},
};
use crate::stack::values::ValueType;

const TYPES: [&str; 5] = ValueType::NAMES;

const INTEGER: (&str, Option<Type>) = (ValueType::Integer.name(), Some(Type::Integer(i64::MIN, i64::MAX)));
const NUMERIC: (&str, Option<Type>) = (ValueType::Number.name(), Some(Type::Form(&NUMBER)));
const AMOUNT: (&str, Option<Type>) = (ValueType::Quantity.name(), Some(Type::Form(&QUANTITY)));

/// What has an order.
static BOUND: Cases = Cases {
    key: "type",
    cases: &[INTEGER, NUMERIC, AMOUNT, (ValueType::Text.name(), None), (ValueType::Boolean.name(), None)],
    otherwise: "only an integer, a number or a quantity has bounds",
    noun: "of the type",
};

static ANY: Cases = Cases {
    key: "type",
    cases: &[
        INTEGER,
        NUMERIC,
        AMOUNT,
        (ValueType::Text.name(), Some(Type::String("string"))),
        (ValueType::Boolean.name(), Some(Type::Boolean)),
    ],
    otherwise: "",
    noun: "of the type",
};

/// What stands under the name of a value.
pub static NAMED: Type = Type::ByKey("setFrom", &DERIVED_VALUE, &VALUE);

pub static DERIVED_VALUE: Table = Table {
    name: "derived value",
    about: "A value that stackctl knows, and that `--set` does not take",
    fields: &[
        Field::required("setFrom", Type::OneOf(&["image.hash"]), "the content hash of a service's image, its tag"),
        Field::required("service", Type::String("string"), "the name of the service"),
        Field::optional("description", Type::String("string"), "for readers of the file"),
        SETS,
    ],
    group: Group::None,
};

static SETS: Field = Field::required("sets", Type::List(&Type::Form(&SETTER)), "the fields that it is written to");

static VALUE: Table = Table {
    name: "value",
    about: "A value that `--set` can change, and the fields that it is written to",
    fields: &[
        Field::required("type", Type::OneOf(&TYPES), "of the value"),
        Field::optional("minimum", Type::Depends(&BOUND), "for integers, numbers and quantities"),
        Field::optional("maximum", Type::Depends(&BOUND), "for integers, numbers and quantities"),
        Field::optional("enum", Type::List(&Type::Depends(&ANY)), "the only values allowed"),
        Field::optional("default", Type::Depends(&ANY), "without it, the manifests' own value"),
        Field::optional("description", Type::String("string"), "for readers of the file"),
        SETS,
    ],
    group: Group::None,
};
