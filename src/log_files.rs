//! Which files the targets of `logs` write, and whose lines are in them.

use crate::{cli::Logs, render::log_line::Stream};
use rpm_protocol::LogSource;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Whose lines a file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// One instance's.
    Instance { id: u32, app: String },
    /// Those of several instances of an app: which is the first one, for programs.
    Shared { first: u32, app: String },
    /// The daemon's own.
    Rpm,
}

/// A file that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFile {
    pub(crate) whose: Whose,
    pub(crate) stream: Stream,
    pub(crate) path: PathBuf,
}

/// The files of `sources` that `options` want to see, each once.
pub(crate) fn of(sources: &[LogSource], options: &Logs) -> Vec<LogFile> {
    let both = options.out == options.err;
    let mut files: Vec<LogFile> = Vec::new();
    let mut known: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for source in sources {
        let streams = [
            (Stream::Out, &source.out, both || options.out),
            (Stream::Err, &source.error, both || options.err),
        ];
        for (stream, path, wanted) in streams {
            let Some(path) = path.as_ref().filter(|_| wanted) else { continue };
            let app = source.name.to_string();
            match known.get(path).and_then(|index| files.get_mut(*index)) {
                Some(file) => file.share(source.id, app),
                None => {
                    known.insert(path.clone(), files.len());
                    let whose = Whose::Instance { id: source.id, app };
                    files.push(LogFile { whose, stream, path: path.clone() });
                }
            }
        }
    }
    files
}

impl LogFile {
    /// The daemon's own log.
    pub(crate) fn daemon(path: &Path) -> Self {
        Self { whose: Whose::Rpm, stream: Stream::Out, path: path.to_owned() }
    }

    /// Another instance writes it too.
    fn share(&mut self, other: u32, by: String) {
        let (first, app) = match &self.whose {
            Whose::Instance { id, app } if *id != other => (*id, app.clone()),
            Whose::Instance { .. } | Whose::Shared { .. } | Whose::Rpm => return,
        };
        let app = if app == by { app } else { format!("{app},{by}") };
        self.whose = Whose::Shared { first, app };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_config::AppName;

    fn options(out: bool, err: bool) -> Logs {
        Logs { out, err, ..Logs::default() }
    }

    fn source(id: u32, out: Option<&str>, error: Option<&str>) -> LogSource {
        let path = |path: Option<&str>| path.map(PathBuf::from);
        LogSource { id, name: AppName::new("api").unwrap(), out: path(out), error: path(error) }
    }

    fn files(out: bool, err: bool) -> Vec<(String, Stream, String)> {
        let sources = [
            source(0, Some("/l/out"), Some("/l/err-0")),
            source(1, Some("/l/out"), Some("/l/err-1")),
            source(2, None, None),
        ];
        let files = of(&sources, &options(out, err));
        let show =
            |file: LogFile| (file.whose.label(), file.stream, file.path.display().to_string());
        files.into_iter().map(show).collect()
    }

    #[test]
    fn each_wanted_file_once() {
        let out = ("api".to_owned(), Stream::Out, "/l/out".to_owned());
        let errors = [0, 1].map(|id| (format!("{id}|api"), Stream::Err, format!("/l/err-{id}")));
        let [first, second] = errors.clone();
        let all = vec![out.clone(), first, second];
        assert_eq!(files(false, false), all);
        assert_eq!(files(true, true), all);
        assert_eq!(files(true, false), [out]);
        assert_eq!(files(false, true), errors);
    }

    #[test]
    fn both_streams_in_one_file_are_one_instances() {
        let files = of(&[source(3, Some("/l/both"), Some("/l/both"))], &options(false, false));
        let whose: Vec<String> = files.iter().map(|file| file.whose.label()).collect();
        assert_eq!(whose, ["3|api"]);
    }
}
