//! [`Format`]: which syntax an ecosystem file has, told from its name, and its reading to a tree.

use crate::{json_file, toml_file, tree::Node, yaml_file};
use std::{fmt, path::Path};

/// The syntaxes of ecosystem files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `*.toml`.
    Toml,
    /// `*.json`; comments and trailing commas are taken as in JSON5.
    Json,
    /// `*.json5`.
    Json5,
    /// `*.yaml`, `*.yml`.
    Yaml,
    /// `*.config.js`, `.cjs`, `.mjs`, `.ts` …: evaluated by the user's Node or Bun, whose answer is
    /// what this crate reads, as JSON.
    JavaScript,
}

/// Ends of file names and what they mean. A plain `ecosystem.js` is a script, as under PM2.
const ENDINGS: [(&str, Format); 11] = [
    (".toml", Format::Toml),
    (".json", Format::Json),
    (".json5", Format::Json5),
    (".yaml", Format::Yaml),
    (".yml", Format::Yaml),
    (".config.js", Format::JavaScript),
    (".config.cjs", Format::JavaScript),
    (".config.mjs", Format::JavaScript),
    (".config.ts", Format::JavaScript),
    (".config.mts", Format::JavaScript),
    (".config.cts", Format::JavaScript),
];

/// Why a text is no file of its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// Counted from 1.
    pub(crate) line: Option<u32>,
    /// The parser's reason, one line.
    pub(crate) reason: String,
}

impl Format {
    /// The format of the file called `path`; `None`: it is no ecosystem file, but a script, say.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| *format)
    }

    /// The format of a text whose file has no name, told from its first line that says something.
    pub fn of_text(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let says = |line: &&str| !line.is_empty() && !line.starts_with(['#', '/', '*']);
        let line = text.lines().map(str::trim).find(says).unwrap_or_default();
        let before = |mark: char| line.split(mark).next().is_some_and(|key| key.len() < line.len());
        let is_array_of_tables = line.starts_with("[[") && line.ends_with("]]");
        let is_header = line.starts_with('[') && line.ends_with(']') && !line.contains(['{', '"']);
        match line.chars().next() {
            Some('[') if is_array_of_tables || is_header && line.len() > 2 => Self::Toml,
            Some('{' | '[') => Self::Json,
            Some('-') => Self::Yaml,
            _ if before('=') && line.find('=') < line.find(':').or(Some(usize::MAX)) => Self::Toml,
            _ if before(':') => Self::Yaml,
            _ => Self::Toml,
        }
    }

    /// Whether unknown keys are refused: the PM2 formats have files that are older than rpm.
    pub(crate) fn is_strict(self) -> bool {
        self == Self::Toml
    }

    pub(crate) fn tree(self, text: &str) -> Result<Node, Syntax> {
        // Windows editors put a byte order mark in front; it means nothing.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match self {
            Self::Toml => toml_file::parse(text),
            Self::Json | Self::Json5 => json_file::parse(text),
            Self::Yaml => yaml_file::parse(text),
            Self::JavaScript => json_file::parse_generated(text),
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
            ("ecosystem.config.mts", Some(Format::JavaScript)),
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
    fn a_text_without_a_name_tells_its_format() {
        let table = [
            ("[[apps]]\nname = 'a'", Format::Toml),
            ("# comment\n\nscript = 'a: b'", Format::Toml),
            ("[apps]\nscript = 'a'", Format::Toml),
            ("{\"apps\": []}", Format::Json),
            ("  [{script: 'a'}]", Format::Json),
            ("[\n{}]", Format::Json),
            ("// c\n{apps: []}", Format::Json),
            ("apps:\n  - script: a", Format::Yaml),
            ("- script: a=b", Format::Yaml),
            ("---\napps:", Format::Yaml),
            ("script: a=b", Format::Yaml),
            ("", Format::Toml),
        ];
        for (text, want) in table {
            assert_eq!(Format::of_text(text), want, "{text:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(Format::Json.tree("\u{feff}{}"), Format::Json.tree("{}"));
    }
}
