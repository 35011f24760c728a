//! The format of stack.yaml and component.yaml as data: each key with its type, its default and what it means. The reader,
//! the JSON Schema and the tables of docs/stack-yaml.md all follow from it.

mod check;
mod disruptions;
#[cfg(test)]
mod documented;
mod form;
mod found;
mod jobs;
mod loads;
mod proofs;
mod routes;
pub mod schema;
mod stack;
#[cfg(test)]
mod tests;
mod values;

pub use check::check;
pub use form::target;
pub use found::{Found, Fraction, FromFound, Section};
pub use stack::{COMPONENT, STACK};
pub use values::DERIVED_VALUE;

use form::Form;

/// A map with known keys.
#[derive(Debug)]
pub struct Table {
    /// What one of them is called; unique. Also its heading in docs/stack-yaml.md.
    pub name: &'static str,
    pub about: &'static str,
    pub fields: &'static [Field],
    /// About the fields whose presence is `Grouped`.
    pub group: Group,
}

#[derive(Debug, Clone, Copy)]
pub enum Group {
    /// There are no such fields.
    None,
    /// Exactly one of them is there; who has one, such as `a proof`.
    One(&'static str),
    /// At least one of them is there and not empty; what is said otherwise.
    Some(&'static str),
}

#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub key: &'static str,
    pub holds: Type,
    pub presence: Presence,
    pub meaning: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub enum Presence {
    Required,
    Optional,
    /// What counts where it is absent.
    Default(Literal),
    /// The table's group says so.
    Grouped,
}

#[derive(Debug, Clone, Copy)]
pub enum Literal {
    Text(&'static str),
    Integer(i64),
    Boolean(bool),
}

#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// A string; of what, for the documentation.
    String(&'static str),
    /// A string, or another scalar, of some form.
    Form(&'static Form),
    /// Any scalar, taken as it is written; what it is.
    Scalar(&'static str),
    Boolean,
    /// From and to.
    Integer(i64, i64),
    Number,
    /// A number greater than 0.
    Positive,
    OneOf(&'static [&'static str]),
    List(&'static Type),
    /// A list that is not empty; what is said of one that is.
    Some(&'static Type, &'static str),
    /// Free keys of a form.
    Map(&'static Form, &'static Type),
    Table(&'static Table),
    /// The first table where it has the key, else the second.
    ByKey(&'static str, &'static Table, &'static Table),
    /// The second where its shape is that of what is there, else the first.
    Either(&'static Type, &'static Type),
    /// By the word that stands under another key of the same map.
    Depends(&'static Cases),
    /// Whatever is there; what it is.
    Any(&'static str),
}

#[derive(Debug)]
pub struct Cases {
    pub key: &'static str,
    /// Words and what each asks for; None: it must not be there.
    pub cases: &'static [(&'static str, Option<Type>)],
    /// What is said where it must not.
    pub otherwise: &'static str,
    /// All of the cases in short, for the documentation.
    pub noun: &'static str,
}

impl Field {
    const fn required(key: &'static str, holds: Type, meaning: &'static str) -> Field {
        Field { key, holds, presence: Presence::Required, meaning }
    }

    const fn optional(key: &'static str, holds: Type, meaning: &'static str) -> Field {
        Field { key, holds, presence: Presence::Optional, meaning }
    }

    const fn grouped(key: &'static str, holds: Type, meaning: &'static str) -> Field {
        Field { key, holds, presence: Presence::Grouped, meaning }
    }

    const fn with_default(key: &'static str, holds: Type, default: Literal, meaning: &'static str) -> Field {
        Field { key, holds, presence: Presence::Default(default), meaning }
    }

    fn is_grouped(&self) -> bool {
        matches!(self.presence, Presence::Grouped)
    }
}

impl Table {
    fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    fn grouped(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().filter(|field| field.is_grouped()).map(|field| field.key)
    }

    /// What is said where the group does not hold.
    fn group_message(&self) -> String {
        match self.group {
            Group::One(who) => {
                let keys: Vec<String> = self.grouped().map(|key| format!("`{key}`")).collect();
                let between = if keys.len() == 2 { " and " } else { ", " };
                format!("{who} has one of {}", keys.join(between))
            }
            Group::Some(message) => message.to_owned(),
            Group::None => String::new(),
        }
    }
}
