//! Colours: whether there are any, and which meaning has which. No meaning is in a colour alone.

use comfy_table::{Attribute, Cell, Color};
use std::ffi::OsString;

/// Whether a stream gets colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colors {
    On,
    Off,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// As it should be.
    Good,
    /// On the way somewhere.
    Starting,
    /// Needs watching.
    Busy,
    /// Broken, or down.
    Bad,
    /// Headings and labels.
    Label,
    /// Less important.
    Dim,
}

impl Colors {
    /// `FORCE_COLOR` and `NO_COLOR` as everywhere, else whether it is a terminal that can.
    pub(crate) fn choose(
        refused: bool,
        terminal: bool,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let given = |name| variable(name).filter(|value| !value.is_empty());
        let forced = given("FORCE_COLOR").map(|value| value != "0" && value != "false");
        let dumb = given("TERM").is_some_and(|term| term == "dumb");
        let wanted = forced.unwrap_or(given("NO_COLOR").is_none() && terminal && !dumb);
        if wanted && !refused { Self::On } else { Self::Off }
    }

    /// `text` in the colour of `paint`.
    pub(crate) fn paint(self, paint: Paint, text: &str) -> String {
        match self {
            Self::On => format!("\u{1b}[{}m{text}\u{1b}[0m", paint.code()),
            Self::Off => text.to_owned(),
        }
    }

    /// A cell of a table in that colour.
    pub(crate) fn cell(self, paint: Paint, text: &str) -> Cell {
        let cell = Cell::new(text);
        match (self, paint) {
            (Self::Off, _) => cell,
            (Self::On, Paint::Good) => cell.fg(Color::DarkGreen).add_attribute(Attribute::Bold),
            (Self::On, Paint::Starting) => cell.fg(Color::DarkBlue),
            (Self::On, Paint::Busy) => cell.fg(Color::DarkYellow),
            (Self::On, Paint::Bad) => cell.fg(Color::DarkRed),
            (Self::On, Paint::Label) => cell.fg(Color::DarkCyan).add_attribute(Attribute::Bold),
            (Self::On, Paint::Dim) => cell.add_attribute(Attribute::Dim),
        }
    }
}

impl Paint {
    /// SGR parameters (ECMA-48, 8.3.117).
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Starting => "34",
            Self::Busy => "33",
            Self::Bad => "31",
            Self::Label => "1;36",
            Self::Dim => "90",
        }
    }

    /// The paint of one of PM2's status words.
    pub(crate) fn of_status(status: &str) -> Self {
        match status {
            "online" => Self::Good,
            "launching" => Self::Starting,
            "stopping" | "waiting restart" => Self::Busy,
            _ => Self::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_terminals_decide() {
        let on = |refused, terminal, vars: &[(&str, &str)]| {
            let vars = vars.to_vec();
            Colors::choose(refused, terminal, move |name| {
                vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
            }) == Colors::On
        };
        assert!(on(false, true, &[]));
        assert!(!on(false, false, &[]));
        assert!(!on(true, true, &[("FORCE_COLOR", "1")]));
        assert!(!on(false, true, &[("NO_COLOR", "1")]));
        assert!(on(false, true, &[("NO_COLOR", "")]));
        assert!(!on(false, true, &[("TERM", "dumb")]));
        assert!(on(false, false, &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]));
        assert!(!on(false, true, &[("FORCE_COLOR", "0")]));
    }

    #[test]
    fn paint_is_plain_without_colours() {
        assert_eq!(Colors::Off.paint(Paint::Bad, "x"), "x");
        assert_eq!(Colors::On.paint(Paint::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
