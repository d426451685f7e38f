//! Sealed memory files: messages too large for a datagram, which the receiver can trust not to
//! change while it reads them.

use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};
use std::{
    fs::File,
    io::{self, Seek, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
};

/// What keeps the content as it is.
const SEALS: SealFlag =
    SealFlag::F_SEAL_WRITE.union(SealFlag::F_SEAL_SHRINK).union(SealFlag::F_SEAL_GROW);

/// A memory file with these bytes for ever.
pub fn seal(bytes: &[u8]) -> io::Result<OwnedFd> {
    let fd = memfd_create(c"rpm", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    // Whoever gets it as its standard input begins at the beginning.
    file.rewind()?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))?;
    Ok(file.into())
}

/// An empty memory file to write to.
pub fn empty(name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    Ok(memfd_create(name, MFdFlags::MFD_CLOEXEC)?)
}

/// Gives the memory of bytes `from..to` back; they read as zeros then.
pub fn punch(fd: impl AsFd, from: u64, to: u64) -> io::Result<()> {
    use nix::fcntl::{FallocateFlags, fallocate};
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let number = |bytes: u64| i64::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput);
    Ok(fallocate(fd, flags, number(from)?, number(to.saturating_sub(from))?)?)
}

/// The bytes of a sealed memory file.
///
/// # Errors
/// `InvalidData` if it is not sealed, so that its sender could still change it, or has more than
/// `max` bytes.
pub fn read(fd: impl AsFd, max: usize) -> io::Result<Vec<u8>> {
    let file = File::from(fd.as_fd().try_clone_to_owned()?);
    check_sealed(&file)?;
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if size > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "memory file is too large"));
    }
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn check_sealed(file: &File) -> io::Result<()> {
    // Anything but a memory file answers EINVAL.
    let seals = fcntl(file, FcntlArg::F_GET_SEALS).map(SealFlag::from_bits_retain);
    match seals {
        Ok(seals) if seals.contains(SEALS) => Ok(()),
        Ok(_) | Err(_) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "not a sealed memory file"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_read_and_cannot_be_changed() {
        let fd = seal(b"spec").unwrap();
        assert_eq!(read(&fd, 4).unwrap(), b"spec");
        assert_eq!(read(&fd, 3).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(File::from(fd).write_all(b"x").is_err());
    }

    #[test]
    fn unsealed_and_other_files_are_refused() {
        let unsealed = memfd_create(c"x", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        let other = tempfile::tempfile().unwrap();
        assert_eq!(read(&unsealed, 9).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(&other, 9).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
