//! Clusters, networks and the command line.

use crate::Test;

pub const ALL: &[Test] = &[];
