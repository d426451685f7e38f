//! [`Format`]: which syntax an ecosystem file has, told from its name, and its reading to a tree.

use crate::{json_file, toml_file, tree::Node};
use std::{fmt, path::Path};

/// The syntaxes of ecosystem files. Only [`Format::Toml`] and [`Format::Json`] can be read so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `*.toml`.
    Toml,
    /// `*.json`, strict: no comments, no trailing commas.
    Json,
    /// `*.json5`.
    Json5,
    /// `*.yaml`, `*.yml`.
    Yaml,
    /// `*.config.js`, `.cjs`, `.mjs` or `.ts`: evaluated by the user's Node.
    JavaScript,
}

/// Ends of file names and what they mean. A plain `ecosystem.js` is a script, as under PM2.
const ENDINGS: [(&str, Format); 9] = [
    (".toml", Format::Toml),
    (".json", Format::Json),
    (".json5", Format::Json5),
    (".yaml", Format::Yaml),
    (".yml", Format::Yaml),
    (".config.js", Format::JavaScript),
    (".config.cjs", Format::JavaScript),
    (".config.mjs", Format::JavaScript),
    (".config.ts", Format::JavaScript),
];

/// Why a text is no file of its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// Counted from 1.
    pub(crate) line: Option<u32>,
    /// The parser's reason, one line.
    pub(crate) reason: String,
}

/// Why there is no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoTree {
    /// The format comes in a later version of rpm.
    NotSupportedYet,
    /// The text breaks the format's rules.
    Syntax(Syntax),
}

impl Format {
    /// The format of the file called `path`; `None`: it is no ecosystem file, but a script, say.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| *format)
    }

    pub(crate) fn tree(self, text: &str) -> Result<Node, NoTree> {
        // Windows editors put a byte order mark in front; it means nothing.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match self {
            Self::Toml => toml_file::parse(text).map_err(NoTree::Syntax),
            Self::Json => json_file::parse(text).map_err(NoTree::Syntax),
            Self::Json5 | Self::Yaml | Self::JavaScript => Err(NoTree::NotSupportedYet),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Toml => "TOML",
            Self::Json => "JSON",
            Self::Json5 => "JSON5",
            Self::Yaml => "YAML",
            Self::JavaScript => "JavaScript",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_format() {
        let table = [
            ("ecosystem.toml", Some(Format::Toml)),
            ("/srv/a.b/process.json", Some(Format::Json)),
            ("x.json5", Some(Format::Json5)),
            ("x.yaml", Some(Format::Yaml)),
            ("x.yml", Some(Format::Yaml)),
            ("ecosystem.config.js", Some(Format::JavaScript)),
            ("ecosystem.config.cjs", Some(Format::JavaScript)),
            ("ecosystem.config.mjs", Some(Format::JavaScript)),
            ("ecosystem.config.ts", Some(Format::JavaScript)),
            ("ecosystem.js", None),
            ("server", None),
            ("process.json.bak", None),
            ("", None),
        ];
        for (name, want) in table {
            assert_eq!(Format::of(Path::new(name)), want, "{name:?}");
        }
    }

    #[test]
    fn later_formats_say_so() {
        for format in [Format::Json5, Format::Yaml, Format::JavaScript] {
            assert_eq!(format.tree("x"), Err(NoTree::NotSupportedYet));
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(Format::Json.tree("\u{feff}{}"), Format::Json.tree("{}"));
    }
}
