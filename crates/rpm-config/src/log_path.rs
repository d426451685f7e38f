//! Which file each stream of an instance goes to, with PM2's names.

use crate::{
    AppSpec,
    instance::{INSTANCE, with_slot},
    spec::LogFile,
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The files of standard output and standard error of the instance with PM2's id `id` in `slot`;
/// `None`: nothing is kept. `logs_dir` is `RPM_HOME/logs`.
pub fn log_paths(
    spec: &AppSpec,
    logs_dir: &Path,
    id: u32,
    slot: u32,
) -> (Option<PathBuf>, Option<PathBuf>) {
    let path = |file: &LogFile, stream: &str| match file {
        LogFile::Discard => None,
        LogFile::Default => {
            let name = format!("{}-{stream}.log", spec.name.file_stem());
            Some(own(logs_dir.join(name), spec, id))
        }
        // A path that names the instance needs no id to be its own.
        LogFile::Path(path) => Some(match path.to_str() {
            Some(text) if text.contains(INSTANCE) => with_slot(text, slot).into(),
            _ => own(path.clone(), spec, id),
        }),
    };
    (path(&spec.logs.out, "out"), path(&spec.logs.error, "error"))
}

/// The file of both streams of that instance, if it has one (PM2's `log_file`).
pub fn combined_log_path(spec: &AppSpec, logs_dir: &Path, id: u32, slot: u32) -> Option<PathBuf> {
    match &spec.logs.rules.combined {
        LogFile::Discard => None,
        LogFile::Default => {
            let name = format!("{}.log", spec.name.file_stem());
            Some(own(logs_dir.join(name), spec, id))
        }
        LogFile::Path(path) => Some(match path.to_str() {
            Some(text) if text.contains(INSTANCE) => with_slot(text, slot).into(),
            _ => own(path.clone(), spec, id),
        }),
    }
}

/// The file of one instance, unless all share it.
fn own(path: PathBuf, spec: &AppSpec, id: u32) -> PathBuf {
    if spec.logs.merge { path } else { numbered(path, ".log", id) }
}

/// `path` with `-<id>` before `ending` at its end, in place of an older id. Files that end
/// otherwise are shared, as under PM2: their owner chose the whole name.
pub(crate) fn numbered(path: PathBuf, ending: &str, id: u32) -> PathBuf {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return path };
    match name.strip_suffix(ending) {
        Some(stem) => {
            let stem = without_id(stem);
            path.with_file_name(OsString::from(format!("{stem}-{id}{ending}")))
        }
        None => path,
    }
}

/// `app-out-12` as `app-out`.
fn without_id(stem: &str) -> &str {
    let bare = stem.trim_end_matches(|letter: char| letter.is_ascii_digit());
    match bare.strip_suffix('-') {
        Some(bare) if bare.len() + 1 < stem.len() => bare,
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppOptions, test_machine::Machine};

    #[test]
    fn the_names_of_files() {
        let machine = Machine::new().program("server");
        let table = [
            (None, true, "/logs/my-app-1-out.log"),
            (None, false, "/logs/my-app-1-out-5.log"),
            (Some("/l/a.log"), true, "/l/a.log"),
            (Some("/l/a.log"), false, "/l/a-5.log"),
            (Some("/l/a-12.log"), false, "/l/a-5.log"),
            (Some("/l/a12.log"), false, "/l/a12-5.log"),
            (Some("/l/a-.log"), false, "/l/a--5.log"),
            (Some("/l/12.log"), false, "/l/12-5.log"),
            (Some("/l/a.txt"), false, "/l/a.txt"),
            (Some("/l/a{instance}.log"), false, "/l/a2.log"),
            (Some("/l/{instance}/a.txt"), true, "/l/2/a.txt"),
        ];
        for (out_file, merge, want) in table {
            let spec = machine.spec(&AppOptions {
                name: Some("my app_1".into()),
                script: Some("server".into()),
                out_file: out_file.map(str::to_owned),
                error_file: Some("NULL".into()),
                merge_logs: Some(merge),
                ..AppOptions::default()
            });
            let paths = log_paths(&spec, Path::new("/logs"), 5, 2);
            assert_eq!(paths, (Some(want.into()), None), "{out_file:?} {merge}");
        }
    }
}
