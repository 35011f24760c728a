//! TLS of edges: the authority of this machine, the certificates that it issues, and the system's trust in it. And our
//! own side of connections over TLS.
//! Knows nothing of clusters.

pub mod authority;
pub mod certificate;
pub mod client;
pub mod decision;
pub mod trust;
pub mod wanted;

pub use authority::Authority;
pub use decision::{Decision, OwnTrust, Seen, decide};
