//! Settings as flags: clap's arguments follow from the sections of settings that a command takes.

use std::{fmt, marker::PhantomData};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::{
    provider::settings::{NEW_CLUSTER, PLACES, SECTIONS},
    setting::{Declared, Flags, Section, Setting},
    settings::{AGENT, CLUSTER, EDGE, STACK, WAIT},
};

/// Which sections a group of flags holds.
pub trait Takes {
    /// Whether every command has them.
    const GLOBAL: bool = false;

    fn sections() -> Vec<&'static Section>;
}

pub struct Everywhere;

impl Takes for Everywhere {
    const GLOBAL: bool = true;

    fn sections() -> Vec<&'static Section> {
        [&CLUSTER].into_iter().chain(PLACES).collect()
    }
}

pub struct NewCluster;

impl Takes for NewCluster {
    fn sections() -> Vec<&'static Section> {
        [&NEW_CLUSTER].into_iter().chain(SECTIONS).collect()
    }
}

pub struct Variations;

impl Takes for Variations {
    fn sections() -> Vec<&'static Section> {
        vec![&STACK]
    }
}

pub struct Edge;

impl Takes for Edge {
    fn sections() -> Vec<&'static Section> {
        vec![&EDGE]
    }
}

pub struct Wait;

impl Takes for Wait {
    fn sections() -> Vec<&'static Section> {
        vec![&WAIT]
    }
}

pub struct Agent;

impl Takes for Agent {
    fn sections() -> Vec<&'static Section> {
        vec![&AGENT]
    }
}

/// The flags of some sections, as they were given.
pub struct SettingArgs<T> {
    flags: Flags,
    sections: PhantomData<T>,
}

impl<T> SettingArgs<T> {
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Whether the flag itself was given.
    pub fn has<V>(&self, setting: &Setting<V>) -> bool {
        self.flags.contains_key(setting.key())
    }

    pub fn values<V>(&self, setting: &Setting<V>) -> &[String] {
        self.flags.get(setting.key()).map(Vec::as_slice).unwrap_or_default()
    }
}

impl<T> Default for SettingArgs<T> {
    fn default() -> Self {
        SettingArgs { flags: Flags::new(), sections: PhantomData }
    }
}

impl<T> fmt::Debug for SettingArgs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.flags.fmt(f)
    }
}

fn argument(declared: &'static Declared, heading: Option<&'static str>, global: bool) -> Arg {
    let argument = Arg::new(declared.key)
        .long(declared.flag.trim_start_matches("--"))
        .value_name(declared.value)
        .help(declared.described())
        .action(if declared.is_list { ArgAction::Append } else { ArgAction::Set })
        .allow_hyphen_values(declared.takes_dashes)
        .global(global);
    let argument = match declared.short {
        Some(short) => argument.short(short),
        None => argument,
    };
    match heading {
        Some(heading) => argument.help_heading(heading),
        None => argument,
    }
}

impl<T: Takes> Args for SettingArgs<T> {
    fn augment_args(command: Command) -> Command {
        let sections = T::sections();
        let arguments = sections.iter().flat_map(|section| {
            section.declared().map(|declared| argument(declared, section.heading, T::GLOBAL)).collect::<Vec<_>>()
        });
        command.args(arguments.collect::<Vec<_>>())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Takes> FromArgMatches for SettingArgs<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut read = SettingArgs::default();
        read.update_from_arg_matches(matches)?;
        Ok(read)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for declared in T::sections().into_iter().flat_map(Section::declared) {
            if let Some(values) = matches.get_many::<String>(declared.key) {
                self.flags.insert(declared.key, values.cloned().collect());
            }
        }
        Ok(())
    }
}
