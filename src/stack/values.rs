//! Typed values: their bounds, and where `--set` puts them.

use serde_json::Value;

use crate::object::Origin;
use crate::{
    quantity,
    stack::{
        format::{self, Found, FromFound, Section},
        problems::Problems,
        reader::Located,
        setter::Setter,
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    Integer,
    Number,
    Text,
    Boolean,
    Quantity,
}

impl ValueType {
    const ALL: [ValueType; 5] =
        [ValueType::Integer, ValueType::Number, ValueType::Text, ValueType::Boolean, ValueType::Quantity];
    pub const NAMES: [&'static str; 5] = [
        ValueType::Integer.name(),
        ValueType::Number.name(),
        ValueType::Text.name(),
        ValueType::Boolean.name(),
        ValueType::Quantity.name(),
    ];

    pub const fn name(self) -> &'static str {
        match self {
            ValueType::Integer => "integer",
            ValueType::Number => "number",
            ValueType::Text => "string",
            ValueType::Boolean => "boolean",
            ValueType::Quantity => "quantity",
        }
    }

    /// From a text, or why not.
    pub fn parse(self, raw: &str) -> Result<Value, String> {
        match self {
            ValueType::Integer => {
                raw.parse::<i64>().map(Value::from).map_err(|_| format!("expected an integer, found `{raw}`"))
            }
            ValueType::Number => {
                let number = finite(raw).ok_or_else(|| format!("expected a number such as `0.5`, found `{raw}`"))?;
                // `1` stays `1`.
                Ok(raw.parse::<i64>().map_or_else(|_| number.into(), Value::from))
            }
            ValueType::Boolean => {
                raw.parse::<bool>().map(Value::from).map_err(|_| format!("expected true or false, found `{raw}`"))
            }
            ValueType::Text => Ok(raw.into()),
            ValueType::Quantity => match quantity::parse(raw) {
                Some(_) => Ok(raw.into()),
                None => Err(format!("expected a quantity such as `100m` or `64Mi`, found `{raw}`")),
            },
        }
    }
}

impl FromFound for ValueType {
    fn from_found(found: &Found) -> Option<ValueType> {
        ValueType::ALL.into_iter().find(|kind| found.text() == Some(kind.name()))
    }
}

#[derive(Debug, Clone)]
pub struct ValueDecl {
    pub name: String,
    pub origin: Origin,
    kind: ValueType,
    minimum: Option<Located<String>>,
    maximum: Option<Located<String>>,
    choices: Vec<Located<String>>,
    /// None: what the manifests say.
    pub default: Option<Value>,
    pub setters: Vec<Located<Setter>>,
    /// `setFrom: image.hash`: it is the content hash of this service's image, and nobody sets it.
    of_image: Option<Located<String>>,
}

impl ValueDecl {
    pub fn read(key: &Located<String>, at: &Section, problems: &mut Problems) -> Option<ValueDecl> {
        if at.is_of(&format::DERIVED_VALUE) {
            return derived(key, at);
        }
        let mut decl = ValueDecl {
            name: key.value.clone(),
            origin: key.origin.clone(),
            kind: at.get("type")?,
            minimum: at.get("minimum")?,
            maximum: at.get("maximum")?,
            choices: at.get("enum")?,
            default: None,
            setters: at.get("sets")?,
            of_image: None,
        };
        if let Some(default) = at.given("default") {
            match decl.parse(default.text()?) {
                Ok(value) => decl.default = Some(value),
                Err(message) => default.problem(problems, message),
            }
        }
        Some(decl)
    }

    /// From the text of `--set`, or why not.
    pub fn parse(&self, raw: &str) -> Result<Value, String> {
        if let Some(service) = self.service() {
            return Err(format!(
                "`{}` is the content hash of the image of service `{service}`; nobody sets it",
                self.name
            ));
        }
        let value = self.kind.parse(raw)?;
        if let Some(number) = self.number(raw) {
            for (bound, wrong, word) in [
                (&self.minimum, std::cmp::Ordering::Less, "below the minimum"),
                (&self.maximum, std::cmp::Ordering::Greater, "above the maximum"),
            ] {
                let Some(bound) = bound else { continue };
                if self.number(&bound.value).is_some_and(|limit| number.total_cmp(&limit) == wrong) {
                    return Err(format!(
                        "{raw} is {word} {}{}, declared at {}",
                        bound.value,
                        self.bounds(),
                        bound.origin
                    ));
                }
            }
        }
        if let Some(first) = self.choices.first()
            && !self.choices.iter().any(|choice| choice.value == raw)
        {
            let choices: Vec<&str> = self.choices.iter().map(|choice| choice.value.as_str()).collect();
            return Err(format!("`{raw}` is none of {}, declared at {}", choices.join(", "), first.origin));
        }
        Ok(value)
    }

    /// The service whose image's content hash it is.
    pub fn service(&self) -> Option<&str> {
        self.of_image.as_ref().map(|service| service.value.as_str())
    }

    /// The same, with its place.
    pub fn located_service(&self) -> Option<&Located<String>> {
        self.of_image.as_ref()
    }

    /// Some value of the type, to try the setters with when there is none to set.
    pub fn probe(&self) -> Value {
        match self.kind {
            ValueType::Integer | ValueType::Number => 0.into(),
            ValueType::Boolean => false.into(),
            ValueType::Text | ValueType::Quantity => "0".into(),
        }
    }

    fn bounds(&self) -> String {
        match (&self.minimum, &self.maximum) {
            (Some(minimum), Some(maximum)) => format!(" ({} to {})", minimum.value, maximum.value),
            _ => String::new(),
        }
    }

    fn number(&self, raw: &str) -> Option<f64> {
        match self.kind {
            ValueType::Integer => raw.parse::<i64>().ok().map(|number| number as f64),
            ValueType::Number => finite(raw),
            ValueType::Quantity => quantity::parse(raw),
            ValueType::Text | ValueType::Boolean => None,
        }
    }
}

/// A value that comes from something stackctl knows.
fn derived(key: &Located<String>, at: &Section) -> Option<ValueDecl> {
    Some(ValueDecl {
        name: key.value.clone(),
        origin: key.origin.clone(),
        kind: ValueType::Text,
        minimum: None,
        maximum: None,
        choices: Vec::new(),
        default: None,
        setters: at.get("sets")?,
        of_image: Some(at.get("service")?),
    })
}

/// `inf` and `NaN` are of no use to a manifest.
fn finite(raw: &str) -> Option<f64> {
    raw.parse().ok().filter(|number: &f64| number.is_finite())
}
