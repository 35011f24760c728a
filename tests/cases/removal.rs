//! What is pruned and removed, in which order, and what stays.

use crate::Test;

pub const ALL: &[Test] = &[];
