//! What a program says that was compiled without the clients of AWS.

use super::{EksSpec, token::Token};
use crate::{
    error::{Error, Kind, Result},
    provider::fleet::Fleet,
    state::State,
};

pub fn missing() -> Error {
    Error::new(Kind::Usage, "this stackctl was built without EKS")
        .hint("build it with its default features: cargo build --release, without --no-default-features")
}

pub async fn token(_: &str, _: Option<&str>, _: &State) -> Result<Token> {
    Err(missing())
}

pub async fn fleet(_: &EksSpec) -> Result<Fleet> {
    Err(missing())
}
