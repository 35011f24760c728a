//! Stacks as data: parsing, validation and the objects that they declare. Knows nothing of clusters.

pub mod model;
