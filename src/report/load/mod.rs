//! How a load run is shown: live charts, plain lines, the summary at its end, the page, the comparison.

mod buffer;
mod charts;
mod compare;
mod page;
mod summary;
mod watch;
mod words;

#[cfg(test)]
pub(super) use self::watch::fixture::ticks;
pub(super) use self::{
    charts::charts,
    watch::{Watch, line},
};
pub use self::{
    compare::comparison_text as load_comparison, page::page as load_page, summary::summary as load_summary,
};
