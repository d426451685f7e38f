//! [`Ecosystem`]: a whole file, read and checked as far as the file alone allows.
//!
//! What its apps become on this machine is decided in [`Ecosystem::resolve`].

use crate::{
    AppOptions, AppSpec, ConfigError, Context, Fault, Format, Place, Problem, Warning, depends,
    error::MAX_FILE_BYTES,
    format::Syntax,
    resolve::{self, Resolved},
    root::Reader,
    tree::Node,
};
use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// An ecosystem file.
#[derive(Clone, Debug, PartialEq)]
pub struct Ecosystem {
    /// The file as it was named; for messages and as the base of relative paths.
    pub path: PathBuf,
    /// Its apps, in its order; at least one.
    pub apps: Vec<App>,
    /// What of it counts for nothing.
    pub warnings: Vec<Warning>,
}

/// One app of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// What the file asks for.
    pub options: AppOptions,
    /// The line it begins on.
    pub line: Option<u32>,
    /// The lines of its keys, by PM2's first name of each.
    pub(crate) lines: BTreeMap<&'static str, u32>,
}

/// All apps of a file, ready to start.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedFile {
    /// In the order of the file; names are unique.
    pub specs: Vec<AppSpec>,
    /// To be printed before the start.
    pub warnings: Vec<Warning>,
}

impl Ecosystem {
    /// Reads the file at `path`, at most [`MAX_FILE_BYTES`]; its name tells the format. This crate
    /// runs no programs: `evaluate` gives what a JavaScript file exports, as JSON.
    pub fn read(
        path: &Path,
        evaluate: impl FnOnce(&Path) -> Result<String, ConfigError>,
    ) -> Result<Self, ConfigError> {
        match Format::of(path) {
            None => Err(ConfigError::UnknownFormat { path: path.to_owned() }),
            Some(Format::JavaScript) => Self::parse(&evaluate(path)?, Format::JavaScript, path),
            Some(format) => Self::parse(&Self::text(path)?, format, path),
        }
    }

    fn text(path: &Path) -> Result<String, ConfigError> {
        let unreadable = |reason: std::io::Error| ConfigError::Unreadable {
            path: path.to_owned(),
            reason: reason.to_string(),
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE_BYTES) {
            return Err(ConfigError::TooLarge { path: path.to_owned() });
        }
        String::from_utf8(bytes).map_err(|error| {
            unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error()))
        })
    }

    /// Reads `text`, which came from `origin` (`-` for standard input).
    pub fn parse(text: &str, format: Format, origin: &Path) -> Result<Self, ConfigError> {
        let path = origin.to_owned();
        let root = format.tree(text).map_err(|Syntax { line, reason }| ConfigError::Syntax {
            path,
            line,
            format,
            reason,
        })?;
        Self::of_tree(&root, format.is_strict(), origin)
    }

    fn of_tree(root: &Node, strict: bool, origin: &Path) -> Result<Self, ConfigError> {
        let Reader { apps, mut problems, mut ignored, .. } = Reader::read(origin, strict, root);
        if problems.is_empty() {
            ignored.sort_by_key(|problem| problem.place.line);
            let warnings = ignored.into_iter().map(Warning::Ignored).collect();
            return Ok(Self { path: origin.to_owned(), apps, warnings });
        }
        problems.sort_by_key(|problem| problem.place.line);
        Err(ConfigError::Problems(problems))
    }

    /// The names of the apps, with nothing looked for but whether a `script` with blanks is a file:
    /// for commands that act on what runs already.
    pub fn names(&self, context: &Context) -> Vec<String> {
        let context = self.context(context);
        self.apps.iter().map(|app| resolve::name(&app.options, &context)).collect()
    }

    /// Makes every app ready to start, or reports what is wrong with each.
    ///
    /// Relative paths start at the file's directory (PM2: at the caller's).
    pub fn resolve(&self, context: &Context) -> Result<ResolvedFile, ConfigError> {
        let from = self.file(context);
        let context = self.context(context);
        let mut file = ResolvedFile { specs: Vec::new(), warnings: self.warnings.clone() };
        let mut problems = Vec::new();
        let mut lines = BTreeMap::new();
        for app in &self.apps {
            let name = resolve::name(&app.options, &context);
            if let Some(first) = lines.insert(name.clone(), app.line) {
                problems.push(self.problem(app, &name, Fault::NameTwice { first }));
                continue;
            }
            match resolve::app(&app.options, &context) {
                Ok(Resolved { spec, warnings }) => {
                    file.specs.push(AppSpec { file: from.clone(), ..spec });
                    file.warnings.extend(warnings);
                }
                Err(fault) => problems.push(self.problem(app, &name, fault)),
            }
        }
        problems.extend(self.cycle(&file.specs, &context));
        if problems.is_empty() { Ok(file) } else { Err(ConfigError::Problems(problems)) }
    }

    /// Where the file is, absolute; `None`: it came from standard input.
    pub fn file(&self, context: &Context) -> Option<PathBuf> {
        (self.path != Path::new("-")).then(|| context.cwd.join(&self.path).components().collect())
    }

    /// Apps that wait for each other, told where the first of them stands.
    fn cycle(&self, specs: &[AppSpec], context: &Context) -> Option<Problem> {
        let cycle = depends::cycle(specs)?;
        let is_first = |app: &&App| {
            let name = resolve::name(&app.options, context);
            cycle.first().is_some_and(|first| first.as_str() == name)
        };
        let app = self.apps.iter().find(is_first)?;
        let fault = Fault::Cycle { words: depends::cycle_in_words(&cycle) };
        Some(self.problem(app, &resolve::name(&app.options, context), fault))
    }

    fn problem(&self, app: &App, name: &str, fault: Fault) -> Problem {
        let key_line = fault.key().and_then(|key| app.lines.get(key).copied());
        let place = Place {
            file: Some(self.path.clone()),
            line: key_line.or(app.line),
            app: Some(name.to_owned()),
        };
        Problem { place, fault }
    }

    /// `context` with relative paths starting at the file's directory.
    fn context(&self, context: &Context) -> Context {
        let directory = self.path.parent().unwrap_or(Path::new(""));
        Context { cwd: context.cwd.join(directory), ..context.clone() }
    }
}

#[cfg(test)]
mod tests;
