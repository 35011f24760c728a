//! What is left of a cluster after its removal, asked of everything that could still have it: no state is believed.

use crate::object::Removed;

#[derive(Debug, Default)]
pub struct Swept {
    /// Should be gone, and is not.
    pub left: Vec<Removed>,
    /// Stays on purpose.
    pub kept: Vec<Kept>,
}

/// What stays on purpose, and how much it takes: bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub name: String,
    pub size: u64,
    /// What it costs as long as it stays: thousandths of a US dollar.
    pub per_month: Option<u32>,
}
