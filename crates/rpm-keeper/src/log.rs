//! The keeper's few lines in `rpm.log`, which is its standard error.

use std::{
    fmt,
    io::{self, Write},
};

/// Writes one line. A full disk loses it, and nothing else.
pub(crate) fn note(text: fmt::Arguments<'_>) {
    let _lost = writeln!(io::stderr(), "keeper: {text}");
}
