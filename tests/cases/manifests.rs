//! What manifests mean: as kubectl reads them.

use crate::Test;

pub const ALL: &[Test] = &[];
