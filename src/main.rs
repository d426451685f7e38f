//! The `rpm` binary.
fn main() {}
