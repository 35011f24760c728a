//! Typed values: their bounds, and where `--set` puts them.

use serde_json::Value;

use crate::object::Origin;
use crate::{
    quantity,
    stack::{
        problems::Problems,
        reader::{Fields, Item, Located},
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
    pub fn read(key: &Located<String>, item: &Item, problems: &mut Problems) -> Option<ValueDecl> {
        let mut fields = item.fields(problems)?;
        check_name(key, problems);
        if let Some(from) = fields.get("setFrom") {
            return derived(key, &from, fields, problems);
        }
        let kind = fields
            .required("type")
            .and_then(|item| item.one_of(&["integer", "number", "string", "boolean", "quantity"], problems))
            .map(|word| match word {
                "integer" => ValueType::Integer,
                "number" => ValueType::Number,
                "string" => ValueType::Text,
                "boolean" => ValueType::Boolean,
                _ => ValueType::Quantity,
            });
        let mut bound = |key| {
            let item = fields.get(key)?;
            if matches!(kind, Some(ValueType::Text | ValueType::Boolean)) {
                item.problem(problems, "only an integer, a number or a quantity has bounds");
                return None;
            }
            typed(&item, kind?, problems).map(|raw| item.located(raw))
        };
        let (minimum, maximum) = (bound("minimum"), bound("maximum"));
        let choices = fields.get("enum").map(|item| item.list(problems)).unwrap_or_default();
        let choices =
            choices.iter().filter_map(|item| typed(item, kind?, problems).map(|raw| item.located(raw))).collect();
        // For readers of the file; still a string.
        fields.get("description").and_then(|item| item.text(problems));
        let default = fields.get("default");
        let default_raw = default.as_ref().and_then(|item| typed(item, kind?, problems));
        let setters = setters(&mut fields, problems);
        fields.finish(problems);
        let (name, origin) = (key.value.clone(), key.origin.clone());
        let kind = kind?;
        let mut decl =
            ValueDecl { name, origin, kind, minimum, maximum, choices, default: None, setters, of_image: None };
        if let (Some(item), Some(raw)) = (default, default_raw) {
            match decl.parse(&raw) {
                Ok(value) => decl.default = Some(value),
                Err(message) => item.problem(problems, message),
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
        let value = parse(self.kind, raw)?;
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

fn check_name(key: &Located<String>, problems: &mut Problems) {
    let reserved = ["", "provider", "without"].contains(&key.value.as_str());
    if reserved || key.value.contains(['=', ')']) || key.value.split('.').any(str::is_empty) {
        problems.at(key.origin.clone(), format!("a value cannot be named `{}` (values)", key.value));
    }
}

/// A value that comes from something stackctl knows.
fn derived(key: &Located<String>, from: &Item, mut fields: Fields, problems: &mut Problems) -> Option<ValueDecl> {
    from.one_of(&["image.hash"], problems);
    let service = fields.required("service").and_then(|item| item.text(problems).map(|text| item.located(text)));
    fields.get("description").and_then(|item| item.text(problems));
    let setters = setters(&mut fields, problems);
    fields.finish(problems);
    Some(ValueDecl {
        name: key.value.clone(),
        origin: key.origin.clone(),
        kind: ValueType::Text,
        minimum: None,
        maximum: None,
        choices: Vec::new(),
        default: None,
        setters,
        of_image: Some(service?),
    })
}

fn setters(fields: &mut Fields, problems: &mut Problems) -> Vec<Located<Setter>> {
    let mut setters = Vec::new();
    for item in fields.required("sets").map(|item| item.list(problems)).unwrap_or_default() {
        let Some(text) = item.text(problems) else { continue };
        match Setter::parse(&text) {
            Ok(setter) => setters.push(item.located(setter)),
            Err(message) => item.problem(problems, message),
        }
    }
    setters
}

/// `inf` and `NaN` are of no use to a manifest.
fn finite(raw: &str) -> Option<f64> {
    raw.parse().ok().filter(|number: &f64| number.is_finite())
}

fn parse(kind: ValueType, raw: &str) -> Result<Value, String> {
    match kind {
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

/// The raw text of a scalar in a file, if its type fits.
fn typed(item: &Item, kind: ValueType, problems: &mut Problems) -> Option<String> {
    let raw = match kind {
        ValueType::Text => item.text(problems)?,
        ValueType::Integer => item.integer(problems)?.to_string(),
        ValueType::Boolean => item.boolean(problems)?.to_string(),
        ValueType::Number | ValueType::Quantity => item.raw(problems)?,
    };
    match parse(kind, &raw) {
        Ok(_) => Some(raw),
        Err(message) => {
            item.problem(problems, message);
            None
        }
    }
}
