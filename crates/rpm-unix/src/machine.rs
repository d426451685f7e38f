//! What this kernel offers and what this user is granted, found by trying it: facts for
//! `rpm doctor`. What they mean for rpm, and what to do about them, is for the caller.

mod bind_filter;
mod disk;

pub use bind_filter::bind_filter;
pub use disk::{Disk, disk};

use crate::pidfd;
use nix::sys::resource::{Resource, getrlimit};
use std::{fs, io};

/// The kernel's release as uname(2) tells it, `6.1.0-13-amd64`.
pub fn kernel_release() -> io::Result<String> {
    Ok(nix::sys::utsname::uname()?.release().to_string_lossy().into_owned())
}

/// Whether processes can be held, signalled and asked by descriptor (Linux 5.3; taking their
/// descriptors, 5.6).
pub fn pidfd() -> io::Result<()> {
    let own = pidfd::open(nix::unistd::getpid().as_raw())?;
    pidfd::send_signal(&own, 0)?;
    // The pidfd itself is a descriptor that is certainly open.
    pidfd::getfd(&own, crate::fd::number(&own)).map(drop)
}

/// How many processes this user may have: the soft RLIMIT_NPROC; `None`: no limit.
pub fn max_processes() -> io::Result<Option<u64>> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NPROC)?;
    Ok((soft != nix::sys::resource::RLIM_INFINITY).then_some(soft))
}

/// A number that the kernel shows in a file of /proc/sys; `None` where there is none.
pub fn setting(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_what_it_is() {
        assert!(kernel_release().unwrap().contains('.'));
        pidfd().unwrap();
        assert!(max_processes().unwrap().is_none_or(|number| number > 0));
        assert!(setting("/proc/sys/fs/pipe-max-size").unwrap() >= 4096);
        assert_eq!(setting("/proc/sys/nothing"), None);
        assert_eq!(setting("/proc/version"), None);
    }
}
