//! The provider that the settings name, with what they say for it.

use crate::{provider::Choice, settings::Settings};

pub fn choice(settings: &Settings) -> Choice {
    settings.choice.clone().settled()
}
