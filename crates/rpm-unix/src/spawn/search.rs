//! What execve(2) needs, laid out before the fork: argument and environment vectors, and the files
//! that the word may mean. The rules are those of execvpe(3), without its fall-back to a shell.

use super::Program;
use std::{
    ffi::{CStr, CString},
    io,
    os::unix::ffi::OsStrExt,
    ptr,
};

/// Directories of a PATH beyond this number are not searched.
const MAX_DIRECTORIES: usize = 1024;
/// The longest file name (NAME_MAX); a longer word is in no directory.
const MAX_NAME: usize = 255;
/// Where execvpe looks when there is no PATH.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// Ready for execve. Borrows the program.
pub(super) struct Image<'a> {
    candidates: Vec<CString>,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    /// What [`Self::tell_pid`] added; the vector points to it.
    pid: Option<CString>,
    _program: &'a Program,
}

impl<'a> Image<'a> {
    pub(super) fn new(program: &'a Program) -> Self {
        Self {
            candidates: candidates(&program.file, &program.environment),
            arguments: vector(&program.arguments),
            environment: vector(&program.environment),
            pid: None,
            _program: program,
        }
    }

    /// Adds a variable with the pid of this process: called once, in the child.
    pub(super) fn tell_pid(&mut self, variable: &CStr) {
        let mut entry = variable.to_bytes().to_vec();
        entry.extend(format!("={}", std::process::id()).bytes());
        // No byte of either part is zero.
        let Ok(entry) = CString::new(entry) else { return };
        self.environment.pop();
        self.environment.extend([entry.as_ptr(), ptr::null()]);
        self.pid = Some(entry);
    }

    /// Executes the first candidate that can be; returns why none could.
    pub(super) fn execute(&self) -> io::Error {
        let mut told = io::Error::from_raw_os_error(libc::ENOENT);
        for candidate in &self.candidates {
            let error = self.execute_one(candidate);
            match error.raw_os_error() {
                Some(libc::EACCES) => told = error,
                Some(libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV) => {}
                _ => return error,
            }
        }
        told
    }

    fn execute_one(&self, file: &CStr) -> io::Error {
        // SAFETY: both vectors end with null and point to strings of the borrowed program, or to
        // that of `pid`. If the
        // call returns, nothing has changed.
        unsafe {
            libc::execve(file.as_ptr(), self.arguments.as_ptr(), self.environment.as_ptr());
        }
        io::Error::last_os_error()
    }
}

/// A vector of pointers with null at the end.
fn vector(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|one| one.as_ptr()).chain([ptr::null()]).collect()
}

/// The files a word may mean, in order. One with a slash is itself; it, like a relative directory
/// of the PATH, is relative to the working directory at exec.
fn candidates(file: &CStr, environment: &[CString]) -> Vec<CString> {
    let name = file.to_bytes();
    if name.contains(&b'/') {
        return vec![file.to_owned()];
    }
    if name.is_empty() || name.len() > MAX_NAME {
        return Vec::new();
    }
    let path = environment.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
    let directories = path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':');
    directories.take(MAX_DIRECTORIES).filter_map(|directory| join(directory, name)).collect()
}

/// An empty directory is the working directory.
fn join(directory: &[u8], name: &[u8]) -> Option<CString> {
    let directory = if directory.is_empty() { b"." } else { directory };
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(directory));
    CString::new(path.join(std::ffi::OsStr::from_bytes(name)).into_os_string().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, environment: &[&str]) -> Vec<String> {
        let environment: Vec<_> =
            environment.iter().map(|entry| CString::new(*entry).unwrap()).collect();
        let found = candidates(&CString::new(file).unwrap(), &environment);
        found.into_iter().map(|path| path.into_string().unwrap()).collect()
    }

    #[test]
    fn a_word_is_looked_up_in_the_childs_own_path() {
        let environment = ["XPATH=/no", "PATH=/a:/b/::c", "PATH=/late"];
        assert_eq!(found("node", &environment), ["/a/node", "/b/node", "./node", "c/node"]);
        assert_eq!(found("node", &[]), ["/bin/node", "/usr/bin/node"]);
        assert_eq!(found("node", &["PATH="]), ["./node"]);
        assert_eq!(found("./node", &environment), ["./node"]);
        assert_eq!(found("", &environment), Vec::<String>::new());
    }

    #[test]
    fn the_search_has_bounds() {
        let path = format!("PATH={}", "/x:".repeat(MAX_DIRECTORIES + 5));
        assert_eq!(found("node", &[&path]).len(), MAX_DIRECTORIES);
        assert_eq!(found(&"x".repeat(MAX_NAME), &["PATH=/a"]).len(), 1);
        assert_eq!(found(&"x".repeat(MAX_NAME + 1), &["PATH=/a"]).len(), 0);
    }
}
