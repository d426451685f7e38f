//! Finds the file that `script` names.

use crate::{ScriptFault, search::Search};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a `script` without blanks turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// A file at the path that was written, or at it with an extension.
    File(PathBuf),
    /// A word that is an executable in PATH.
    Program(PathBuf),
}

/// Extensions that need not be written: `rpm start server` finds `server.js`.
const SILENT_EXTENSIONS: [&str; 5] = ["js", "mjs", "cjs", "py", "sh"];

/// Finds `written`: the file itself, one of the silent extensions, a program in PATH.
pub(crate) fn find(written: &str, search: &Search) -> Result<Script, ScriptFault> {
    let path = search.absolute(written);
    if is_file(&path) {
        return Ok(Script::File(path));
    }
    if let Some(file) = with_extension(written, &path)? {
        return Ok(Script::File(file));
    }
    if let Some(program) = search.in_path(written) {
        return Ok(Script::Program(program));
    }
    Err(fault(written, path, search))
}

/// Whether `path` is a regular file, symlinks followed.
pub(crate) fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file())
}

/// Why `path`, written as `written`, is no script.
pub(crate) fn fault(written: &str, path: PathBuf, search: &Search) -> ScriptFault {
    match fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => ScriptFault::IsDirectory(path),
        Ok(_) => ScriptFault::IsSpecial(path),
        Err(_) => {
            let searched = (!written.contains('/')).then(|| search.path.clone());
            ScriptFault::Missing { script: path, path: searched }
        }
    }
}

/// The one file that is `path` with a silent extension.
fn with_extension(written: &str, path: &Path) -> Result<Option<PathBuf>, ScriptFault> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
    if written.ends_with(['/', '.']) {
        return Ok(None);
    }
    let names = SILENT_EXTENSIONS.iter().map(|extension| format!("{name}.{extension}"));
    let mut found: Vec<String> = names.filter(|name| is_file(&path.with_file_name(name))).collect();
    if found.len() > 1 {
        return Err(ScriptFault::Ambiguous { script: written.to_owned(), found });
    }
    Ok(found.pop().map(|name| path.with_file_name(name)))
}
