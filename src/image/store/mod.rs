pub mod gc;
pub mod local;
pub mod prefix;
pub mod pull;
pub mod push;
pub mod remote;
pub mod tag;
