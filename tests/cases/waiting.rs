//! What is waited for, what is not, and what is blamed.

use crate::Test;

pub const ALL: &[Test] = &[];
