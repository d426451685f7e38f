//! [`Kind`]: what a file is, told from its first bytes.

use std::{fs::File, io, io::Read, path::Path};

/// What the kernel or an interpreter can do with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It begins with `#!`.
    Script(Shebang),
    /// A program of bytes: ELF, or whatever else binfmt_misc may know.
    Binary,
    /// Anything else, the empty file included.
    Text,
}

/// The interpreter a script names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shebang {
    /// A path, or a word for PATH where the line says `/usr/bin/env WORD`.
    pub(crate) interpreter: String,
    /// What stands between the interpreter and the script.
    pub(crate) args: Vec<String>,
}

/// As many bytes as PM2 looks at; the kernel looks at 256 (BINPRM_BUF_SIZE).
const LOOKED_AT: u64 = 512;

impl Kind {
    /// Reads the first [`LOOKED_AT`] bytes of `path`.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let mut head = Vec::new();
        File::open(path)?.take(LOOKED_AT).read_to_end(&mut head)?;
        Ok(Self::of_bytes(&head))
    }

    fn of_bytes(head: &[u8]) -> Self {
        if let Some(shebang) = head.strip_prefix(b"#!").and_then(Shebang::of_line) {
            return Self::Script(shebang);
        }
        if head.contains(&0) { Self::Binary } else { Self::Text }
    }
}

impl Shebang {
    /// The first line of `rest`, as execve(2) reads it: an interpreter and at most one argument.
    /// `env WORD` and `env -S WORD ARG…` are read through.
    fn of_line(rest: &[u8]) -> Option<Self> {
        let line = rest.split(|byte| *byte == b'\n').next()?;
        let line = std::str::from_utf8(line).ok()?.trim();
        let (interpreter, argument) = match line.split_once([' ', '\t']) {
            Some((interpreter, argument)) => (interpreter, argument.trim()),
            None => (line, ""),
        };
        if interpreter.is_empty() {
            return None;
        }
        if interpreter.ends_with("/env") && !argument.is_empty() {
            return Self::of_env(argument);
        }
        let args = if argument.is_empty() { vec![] } else { vec![argument.to_owned()] };
        Some(Self { interpreter: interpreter.to_owned(), args })
    }

    /// `None` for anything of env(1) beyond a program and its arguments.
    fn of_env(argument: &str) -> Option<Self> {
        let mut words = match argument.strip_prefix("-S") {
            Some(line) => shlex::split(line)?.into_iter(),
            None => vec![argument.to_owned()].into_iter(),
        };
        let interpreter = words.next()?;
        let plain = !interpreter.starts_with('-') && !interpreter.contains('=');
        plain.then(|| Self { interpreter, args: words.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(interpreter: &str, args: &[&str]) -> Kind {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Kind::Script(Shebang { interpreter: interpreter.into(), args })
    }

    #[test]
    fn first_bytes() {
        let table: [(&[u8], Kind); 14] = [
            (b"#!/bin/sh\necho", script("/bin/sh", &[])),
            (b"#! /bin/bash -e -u \r\n", script("/bin/bash", &["-e -u"])),
            (b"#!/usr/bin/env node\n", script("node", &[])),
            (b"#!/usr/bin/env\tpython3", script("python3", &[])),
            (b"#!/usr/bin/env -S node --title 'a b'\n", script("node", &["--title", "a b"])),
            (b"#!/usr/bin/env A=1\n", Kind::Text),
            (b"#!/usr/bin/env -S 'open\n", Kind::Text),
            (b"#!/usr/bin/env\n", script("/usr/bin/env", &[])),
            (b"#!\n", Kind::Text),
            (b"#!\xff\n", Kind::Text),
            (b"\x7fELF\x02\x01\x01\0", Kind::Binary),
            (b"MZ\0", Kind::Binary),
            (b"hello", Kind::Text),
            (b"", Kind::Text),
        ];
        for (head, want) in table {
            assert_eq!(Kind::of_bytes(head), want, "{:?}", String::from_utf8_lossy(head));
        }
    }
}
