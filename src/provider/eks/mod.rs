//! Clusters on AWS, by EKS Auto Mode, with all that they need: network, roles, registries.

#[cfg(feature = "eks")]
mod client;
mod policy;
#[cfg(feature = "eks")]
mod signing;
mod token;

pub use policy::policy;
#[cfg(feature = "eks")]
pub use signing::token;
#[cfg(not(feature = "eks"))]
pub use without::token;

#[cfg(not(feature = "eks"))]
mod without {
    //! A program that was compiled without the clients of AWS.

    use super::token::Token;
    use crate::{
        error::{Error, Kind, Result},
        state::State,
    };

    pub fn missing() -> Error {
        Error::new(Kind::Usage, "this stackctl was built without EKS")
            .hint("build it with: cargo build --release --features eks (the default, unless --no-default-features is given)")
    }

    pub async fn token(_: &str, _: Option<&str>, _: &State) -> Result<Token> {
        Err(missing())
    }
}
