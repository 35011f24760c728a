//! Changes that the API server refuses, and how that is told.

use crate::Test;

pub const ALL: &[Test] = &[];
