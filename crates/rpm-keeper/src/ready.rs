//! Telling whoever started the keeper that it is ready, or why not: one line on a pipe.

use std::{fs::File, io::Write, os::fd::OwnedFd};

/// What is told when the daemon has greeted.
pub(crate) const OK: &str = "ok";

/// The pipe, until something was told.
#[derive(Debug)]
pub(crate) struct Ready(Option<File>);

impl Ready {
    pub(crate) fn new(pipe: OwnedFd) -> Self {
        Self(Some(pipe.into()))
    }

    /// Nobody waits.
    pub(crate) fn told() -> Self {
        Self(None)
    }

    /// Whether nothing was told yet.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.0.is_some()
    }

    /// Tells the first text, as one line, and closes the pipe; later ones are nobody's.
    pub(crate) fn tell(&mut self, text: &str) {
        if let Some(mut pipe) = self.0.take() {
            let line = text.replace('\n', " ") + "\n";
            // Nobody may be left who reads it.
            let _gone = pipe.write_all(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn one_line_is_told_and_then_the_end() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut ready = Ready::new(writer.into());
        assert!(ready.is_waited_for());
        ready.tell("two\nlines");
        ready.tell(OK);
        assert!(!ready.is_waited_for());
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "two lines\n");
    }
}
