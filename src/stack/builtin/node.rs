//! A node of a manifest as serde reads it: what does not fit is noted, and reading goes on with a value that fits.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::{apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps, jiff::Timestamp};
use serde::{
    Deserialize, Deserializer,
    de::{Expected, Visitor, value::StrDeserializer},
    forward_to_deserialize_any,
};
use serde_json::Value;

use super::{
    Check,
    fields::{Entries, Items, Search},
    path::Path,
};
use crate::{
    quantity,
    stack::located::{Content, Mark, Node},
};

static NOTHING: Node =
    Node { mark: Mark { line: 1, column: 1 }, content: Content::Scalar { raw: String::new(), value: Value::Null } };

/// Ends the reading of an object, which happens only where no value fits.
#[derive(Debug)]
pub struct Stop {
    message: String,
    reported: bool,
}

impl Stop {
    /// Once, where it is known best.
    pub fn report(mut self, mark: Mark, path: &Path, check: &Check) -> Stop {
        if !std::mem::replace(&mut self.reported, true) {
            check.problem(mark, &self.message, path);
        }
        self
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Stop {}

impl serde::de::Error for Stop {
    fn custom<T: fmt::Display>(message: T) -> Stop {
        Stop { message: message.to_string(), reported: false }
    }
}

#[derive(Clone, Copy)]
pub struct At<'de, 'p> {
    node: &'de Node,
    pub path: &'p Path<'p>,
    pub check: &'p Check,
    /// There is no such node: what types have below is searched.
    pub search: Option<&'p Search>,
}

impl<'de, 'p> At<'de, 'p> {
    pub fn new(node: &'de Node, path: &'p Path<'p>, check: &'p Check) -> Self {
        At { node, path, check, search: None }
    }

    pub fn nothing(path: &'p Path<'p>, check: &'p Check, search: Option<&'p Search>) -> Self {
        At { node: &NOTHING, path, check, search }
    }

    /// Nothing where something is expected counts as absent, as it does for the API server.
    fn wrong(&self, expected: &str) {
        if self.node.is_null() {
            return;
        }
        if self.check.secret && self.scalar().is_some() && matches!(self.path.first(), Some("data" | "stringData")) {
            // What is wrong with a password is told without the password.
            self.check.problem(self.node.mark, &format!("expected {expected}; write it in quotes"), self.path);
            return;
        }
        let found = self.node.describe();
        let hint = match (&self.node.content, expected) {
            (Content::Scalar { raw, value: Value::Bool(_) | Value::Number(_) }, "text") => {
                format!("; write \"{raw}\" in quotes")
            }
            (Content::Scalar { value: Value::String(text), .. }, "true or false")
                if matches!(text.as_str(), "true" | "false") =>
            {
                "; leave out the quotes".to_owned()
            }
            (Content::Scalar { value: Value::String(text), .. }, _)
                if expected.contains("integer") && text.parse::<i64>().is_ok() =>
            {
                "; leave out the quotes".to_owned()
            }
            (Content::Mapping(_), "a list") => "; begin each item with `- `".to_owned(),
            _ => String::new(),
        };
        self.check.problem(self.node.mark, &format!("expected {expected}, found {found}{hint}"), self.path);
    }

    fn scalar(&self) -> Option<&'de Value> {
        self.node.to_scalar()
    }

    fn integer(&self, expected: &str, range: std::ops::RangeInclusive<i64>) -> i64 {
        match self.scalar().and_then(Value::as_i64).filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                self.wrong(expected);
                0
            }
        }
    }

    fn quantity(&self) {
        let fine = match self.scalar() {
            Some(Value::String(text)) => quantity::parse(text).is_some(),
            Some(Value::Number(_)) => true,
            _ => false,
        };
        if !fine {
            self.wrong("a quantity such as 250m, 2 or 64Mi");
        }
    }

    fn time(&self) {
        let time = self.node.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        if time.is_none() {
            self.wrong("a time such as 2026-01-31T12:00:00Z");
        }
    }

    fn is_base64(text: &str) -> bool {
        BASE64_STANDARD.decode(text.replace(['\n', '\r'], "")).is_ok()
    }
}

/// What a visitor says that it expects.
struct Wanted<'a>(&'a dyn Expected);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de, 'p> Deserializer<'de> for At<'de, 'p> {
    type Error = Stop;

    /// Types of the API that take values of several kinds, or any value.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let wanted = Wanted(&visitor).to_string();
        match (wanted.as_str(), &self.node.content) {
            ("IntOrString", Content::Scalar { value: Value::String(text), .. }) => visitor.visit_str(text),
            ("IntOrString", _) => {
                let number = self.integer("an integer or text", i32::MIN.into()..=i32::MAX.into());
                visitor.visit_i64(number)
            }
            ("JSONSchemaPropsOrBool", Content::Scalar { value: Value::Bool(value), .. }) => visitor.visit_bool(*value),
            ("JSONSchemaPropsOrBool", content) => {
                match content {
                    Content::Mapping(_) => drop(JSONSchemaProps::deserialize(self)?),
                    _ => self.wrong("a schema, true or false"),
                }
                visitor.visit_bool(false)
            }
            ("JSONSchemaPropsOrArray" | "JSONSchemaPropsOrStringArray", content) => {
                match content {
                    Content::Mapping(_) => drop(JSONSchemaProps::deserialize(self)?),
                    Content::Sequence(_) => return self.deserialize_seq(visitor),
                    Content::Scalar { .. } => self.wrong("a schema or a list"),
                }
                At::nothing(self.path, self.check, None).deserialize_seq(visitor)
            }
            (_, Content::Scalar { value: Value::Null, .. }) => visitor.visit_unit(),
            (_, Content::Scalar { value: Value::Bool(value), .. }) => visitor.visit_bool(*value),
            (_, Content::Scalar { value: Value::String(text), .. }) => visitor.visit_borrowed_str(text),
            (_, Content::Scalar { value, .. }) => match (value.as_i64(), value.as_f64()) {
                (Some(whole), _) => visitor.visit_i64(whole),
                (None, float) => visitor.visit_f64(float.unwrap_or_default()),
            },
            (_, Content::Sequence(_)) => self.deserialize_seq(visitor),
            (_, Content::Mapping(_)) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        if self.node.is_null() && self.search.is_none() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let value = self.scalar().and_then(Value::as_bool);
        if value.is_none() {
            self.wrong("true or false");
        }
        visitor.visit_bool(value.unwrap_or_default())
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_i64(self.integer("an integer of 32 bits", i32::MIN.into()..=i32::MAX.into()))
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_i64(self.integer("an integer", i64::MIN..=i64::MAX))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let value = self.scalar().and_then(Value::as_f64);
        if value.is_none() {
            self.wrong("a number");
        }
        visitor.visit_f64(value.unwrap_or_default())
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.node.as_str() {
            Some(text) if Wanted(&visitor).to_string() == "a base64-encoded string" => {
                if !Self::is_base64(text) {
                    let message = "expected text in base64; plain text of a Secret goes into `stringData`";
                    self.check.problem(self.node.mark, message, self.path);
                }
                visitor.visit_str("")
            }
            Some(text) => visitor.visit_borrowed_str(text),
            None => {
                self.wrong("text");
                visitor.visit_str("")
            }
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_str(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Stop> {
        match name {
            "Quantity" => {
                self.quantity();
                visitor.visit_newtype_struct(StrDeserializer::new("0"))
            }
            "Time" | "MicroTime" => {
                self.time();
                visitor.visit_newtype_struct(StrDeserializer::new("1970-01-01T00:00:00Z"))
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let items = match &self.node.content {
            Content::Sequence(items) => &items[..],
            _ => {
                self.wrong("a list");
                &[]
            }
        };
        visitor.visit_seq(Items { at: self, rest: items.iter().enumerate(), searched: false })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.entries(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        if let Some(search) = self.search {
            search.visit(&self.path.to_string().replace("[0]", "[]"), fields);
        }
        self.entries(Some((name, fields)), visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
    }
}

impl<'de> At<'de, '_> {
    fn entries<V: Visitor<'de>>(self, shape: super::fields::Shape, visitor: V) -> Result<V::Value, Stop> {
        let entries = match &self.node.content {
            Content::Mapping(entries) => &entries[..],
            _ => {
                self.wrong("a map");
                &[]
            }
        };
        visitor.visit_map(Entries::new(self, shape, entries))
    }
}
