//! What is built, and when it is built again.

use crate::Test;

pub const ALL: &[Test] = &[];
