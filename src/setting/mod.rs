//! What a setting is. Each is declared once; flags and their help, variables, the configuration file and the tables of
//! docs/configuration.md follow from it.

mod origin;
pub mod parse;
mod values;

pub use origin::Origin;
pub use values::{Environment, FileLayer, Flags, Text, Values};

pub type Parsed<T> = Result<T, String>;

/// A setting, and how its value is read from its text.
#[derive(Debug)]
pub struct Setting<T> {
    declared: Declared,
    parse: fn(&str) -> Parsed<T>,
}

/// All of a setting but the type of its value.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// In the configuration file; unique.
    pub key: &'static str,
    /// With its dashes.
    pub flag: &'static str,
    pub short: Option<char>,
    /// What stands for the value in help.
    pub value: &'static str,
    pub help: &'static str,
    pub default: Fallback,
    /// A repeated flag, a comma-separated variable, a list in the file.
    pub is_list: bool,
    /// Whether a value may begin with a dash.
    pub takes_dashes: bool,
}

/// What counts where a setting is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    Nothing,
    Value(&'static str),
    /// Something that is found out elsewhere, in words.
    Words(&'static str),
}

/// Settings that belong together.
pub struct Section {
    /// Over their flags in help. None: that of the options which they stand among.
    pub heading: Option<&'static str>,
    /// Of the provider that they are about: the name of a map in the configuration file which may hold them.
    pub provider: Option<&'static str>,
    pub settings: &'static [&'static dyn Entry],
}

/// A setting whose value may be of any type.
pub trait Entry: Sync {
    fn declared(&self) -> &Declared;

    fn check(&self, text: &str) -> Parsed<()>;
}

impl<T> Setting<T> {
    pub const fn new(
        key: &'static str,
        flag: &'static str,
        value: &'static str,
        help: &'static str,
        parse: fn(&str) -> Parsed<T>,
    ) -> Setting<T> {
        let declared = Declared {
            key,
            flag,
            short: None,
            value,
            help,
            default: Fallback::Nothing,
            is_list: false,
            takes_dashes: false,
        };
        Setting { declared, parse }
    }

    pub const fn with_default(self, text: &'static str) -> Setting<T> {
        self.with(Fallback::Value(text))
    }

    /// The default, in words.
    pub const fn otherwise(self, words: &'static str) -> Setting<T> {
        self.with(Fallback::Words(words))
    }

    const fn with(self, default: Fallback) -> Setting<T> {
        Setting { declared: Declared { default, ..self.declared }, parse: self.parse }
    }

    pub const fn list(self) -> Setting<T> {
        Setting { declared: Declared { is_list: true, ..self.declared }, parse: self.parse }
    }

    pub const fn short(self, short: char) -> Setting<T> {
        Setting { declared: Declared { short: Some(short), ..self.declared }, parse: self.parse }
    }

    pub const fn takes_dashes(self) -> Setting<T> {
        Setting { declared: Declared { takes_dashes: true, ..self.declared }, parse: self.parse }
    }

    /// The same setting, whose text is read in another way.
    pub const fn read_by<U>(&self, parse: fn(&str) -> Parsed<U>) -> Setting<U> {
        Setting { declared: self.declared, parse }
    }

    pub const fn key(&self) -> &'static str {
        self.declared.key
    }
}

impl<T> Entry for Setting<T> {
    fn declared(&self) -> &Declared {
        &self.declared
    }

    fn check(&self, text: &str) -> Parsed<()> {
        (self.parse)(text).map(drop)
    }
}

impl Declared {
    /// `STACKCTL_KUBERNETES_VERSION` for `kubernetesVersion`.
    pub fn variable(&self) -> String {
        let mut name = "STACKCTL_".to_owned();
        for c in self.key.chars() {
            if c.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(c.to_ascii_uppercase());
        }
        name
    }

    /// The help of its flag.
    pub fn described(&self) -> String {
        match self.default {
            Fallback::Nothing => self.help.to_owned(),
            Fallback::Value(default) | Fallback::Words(default) => format!("{} [default: {default}]", self.help),
        }
    }
}

impl Section {
    /// A setting's key inside of the provider's map: `flags` for `minikubeFlags` in `minikube`.
    pub fn key_within(&self, declared: &Declared) -> String {
        let rest = self.provider.and_then(|provider| declared.key.strip_prefix(provider)).unwrap_or_default();
        let mut letters = rest.chars();
        match letters.next().filter(char::is_ascii_uppercase) {
            Some(first) => first.to_ascii_lowercase().to_string() + letters.as_str(),
            None => declared.key.to_owned(),
        }
    }

    pub fn declared(&self) -> impl Iterator<Item = &'static Declared> + use<> {
        self.settings.iter().map(|setting| setting.declared())
    }
}
