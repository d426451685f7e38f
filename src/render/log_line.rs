//! The prefix of a log line: whose it is.

use super::style::{Colors, Paint};
use rpm_protocol::LogSource;

/// PM2 gives prefixes of the past this many characters.
const PAST_WIDTH: usize = 10;
/// The narrowest prefix of the present, as under PM2.
const PRESENT_WIDTH: usize = 3;

/// Which of its two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// Writes prefixes; those of the present grow with the longest name seen.
#[derive(Debug)]
pub(crate) struct Prefixes {
    colors: Colors,
    width: usize,
}

impl Prefixes {
    pub(crate) fn new(colors: Colors) -> Self {
        Self { colors, width: PRESENT_WIDTH }
    }

    /// Before a line of the past: cut or filled to ten characters.
    pub(crate) fn past(&self, source: &LogSource, stream: Stream) -> String {
        let label: String = label(source).chars().take(PAST_WIDTH).collect();
        self.prefix(&format!("{label:PAST_WIDTH$}"), stream)
    }

    /// Before a line that has just come: never cut.
    pub(crate) fn present(&mut self, source: &LogSource, stream: Stream) -> String {
        let label = label(source);
        self.width = self.width.max(label.chars().count().saturating_add(1));
        let width = self.width;
        self.prefix(&format!("{label:width$}"), stream)
    }

    fn prefix(&self, label: &str, stream: Stream) -> String {
        let paint = match stream {
            Stream::Out => Paint::Good,
            Stream::Err => Paint::Bad,
        };
        format!("{} ", self.colors.paint(paint, &format!("{label} |")))
    }
}

fn label(source: &LogSource) -> String {
    format!("{}|{}", source.id, source.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_config::AppName;

    fn source(id: u32, name: &str) -> LogSource {
        LogSource { id, name: AppName::new(name).unwrap(), out: None, error: None }
    }

    #[test]
    fn the_past_has_ten_characters() {
        let prefixes = Prefixes::new(Colors::Off);
        let table = [
            (source(0, "web"), "0|web      | "),
            (source(1, "averylongname"), "1|averylon | "),
            (source(12, "a"), "12|a       | "),
        ];
        for (source, want) in table {
            assert_eq!(prefixes.past(&source, Stream::Out), want);
        }
    }

    #[test]
    fn the_present_grows_with_the_longest_name() {
        let mut prefixes = Prefixes::new(Colors::Off);
        let mut prefix = |id, name| prefixes.present(&source(id, name), Stream::Out);
        assert_eq!(prefix(0, "a"), "0|a  | ");
        assert_eq!(prefix(0, "web"), "0|web  | ");
        assert_eq!(prefix(1, "worker"), "1|worker  | ");
        assert_eq!(prefix(0, "a"), "0|a       | ");
    }

    #[test]
    fn streams_have_colours() {
        let prefixes = Prefixes::new(Colors::On);
        let prefix = prefixes.past(&source(0, "web"), Stream::Err);
        assert_eq!(prefix, "\u{1b}[31m0|web      |\u{1b}[0m ");
    }
}
