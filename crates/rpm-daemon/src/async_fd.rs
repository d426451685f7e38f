//! Descriptors as tokio sees them: the one place that calls its constructor.

use std::{io, os::fd::AsRawFd};
use tokio::io::unix::AsyncFd;

/// Registers an owned descriptor with the runtime.
#[expect(
    deprecated,
    reason = "sound for a type that owns its descriptor, as all here do; the replacement is unsafe"
)]
pub(crate) fn register<T: AsRawFd>(owned: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::new(owned)
}
