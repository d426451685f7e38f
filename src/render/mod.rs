//! From views to text: pure functions, no output here.

pub(crate) mod detail;
pub(crate) mod difference;
pub(crate) mod doctor;
pub(crate) mod grid;
pub(crate) mod inspect;
pub(crate) mod leaving;
pub(crate) mod log_line;
pub(crate) mod mini;
pub(crate) mod problem;
pub(crate) mod progress;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod sort;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod units;
