//! Whose objects are whose, from the second `up` on.

use crate::Test;

pub const ALL: &[Test] = &[];
