//! What runs a script: what was asked for, else its extension, else its `#!` line, else itself.

use crate::{
    ScriptFault,
    kind::{Kind, Shebang},
    node_version,
    search::{self, Search},
    spec::Runtime,
};
use std::{fs, io, path::Path};

/// What runs a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// A path or a word for PATH; `None`: the script itself.
    pub(crate) program: Option<String>,
    /// What stands between it and the script.
    pub(crate) args: Vec<String>,
    /// Whether it is Node itself.
    pub(crate) runtime: Runtime,
    /// Python, which holds back its output in a pipe unless told not to.
    pub(crate) is_python: bool,
}

/// What runs files by their extension: the first that is in PATH.
const BY_EXTENSION: [(&[&str], &[&str]); 9] = [
    (&["js", "cjs", "mjs"], &["node"]),
    (&["ts", "tsx", "mts", "cts"], &["tsx", "bun"]),
    (&["py"], &["python3", "python"]),
    (&["sh"], &["bash", "sh"]),
    (&["rb"], &["ruby"]),
    (&["php"], &["php"]),
    (&["pl"], &["perl"]),
    (&["coffee"], &["coffee"]),
    (&["ls"], &["lsc"]),
];

/// What was asked for besides the script.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// `interpreter`.
    pub(crate) interpreter: Option<&'a str>,
    /// `node_args`.
    pub(crate) args: &'a [String],
}

/// What runs `script`, which is an existing file.
pub(crate) fn of_file(
    script: &Path,
    wanted: Wanted<'_>,
    search: &Search,
) -> Result<Interpreter, ScriptFault> {
    match wanted.interpreter {
        Some("none") => itself(script, None),
        Some(text) => named(text, script, wanted.args, search),
        None => match by_extension(script) {
            Some(candidates) => Ok(runs(first_of(candidates, script, search)?, wanted.args)),
            None => by_content(script, wanted.args, search),
        },
    }
}

/// What runs `program`, which was found in PATH: itself, as a shell would have it, whatever its
/// extension.
pub(crate) fn of_program(
    program: &Path,
    wanted: Wanted<'_>,
    search: &Search,
) -> Result<Interpreter, ScriptFault> {
    match (wanted.interpreter, Kind::of(program)) {
        (None, Ok(Kind::Script(shebang))) => itself(program, Some(&shebang)),
        (None, Ok(Kind::Binary) | Err(_)) => itself(program, None),
        _ => of_file(program, wanted, search),
    }
}

/// The interpreter called `program`, with `args`.
pub(crate) fn runs(program: String, args: &[String]) -> Interpreter {
    let name = base_name(&program).to_owned();
    let runtime = if is_node(&name) { Runtime::Node } else { Runtime::Other };
    let is_python = name.starts_with("python");
    Interpreter { program: Some(program), args: args.to_vec(), runtime, is_python }
}

/// Whether a program of this name is Node.
pub(crate) fn is_node(name: &str) -> bool {
    matches!(name, "node" | "nodejs")
}

/// The last part of a path as text.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn by_extension(script: &Path) -> Option<&'static [&'static str]> {
    let extension = script.extension()?.to_str()?;
    let row = BY_EXTENSION.iter().find(|(extensions, _)| extensions.contains(&extension));
    row.map(|(_, candidates)| *candidates)
}

fn first_of(words: &[&str], script: &Path, search: &Search) -> Result<String, ScriptFault> {
    match words.iter().find(|word| search.in_path(word).is_some()) {
        Some(word) => Ok((*word).to_owned()),
        None => Err(ScriptFault::InterpreterMissing {
            tried: words.iter().map(|word| (*word).to_owned()).collect(),
            script: script.to_owned(),
            path: search.path.clone(),
        }),
    }
}

/// `text` is what the user wrote: a word, a path, or either followed by arguments.
fn named(
    text: &str,
    script: &Path,
    args: &[String],
    search: &Search,
) -> Result<Interpreter, ScriptFault> {
    if text.starts_with("node@") {
        let node = node_version::find(text, search)?;
        return Ok(runs(usable(&node.to_string_lossy(), script, search)?, args));
    }
    let mut words = match search.absolute(text).is_file() {
        true => vec![text.to_owned()],
        false => shlex::split(text).unwrap_or_default(),
    }
    .into_iter();
    let first = words.next().unwrap_or_else(|| text.to_owned());
    let args: Vec<String> = words.chain(args.iter().cloned()).collect();
    Ok(runs(usable(&first, script, search)?, &args))
}

/// Checks that `word` is in PATH, or an executable file; a path becomes absolute.
pub(crate) fn usable(word: &str, script: &Path, search: &Search) -> Result<String, ScriptFault> {
    if !word.contains('/') {
        return first_of(&[word], script, search);
    }
    let path = search.absolute(word);
    let why = match fs::metadata(&path) {
        Err(_) => "does not exist",
        Ok(meta) if !meta.is_file() => "is not a file",
        Ok(meta) if !search::is_executable(&meta) => "is not executable",
        Ok(_) => return Ok(path.to_string_lossy().into_owned()),
    };
    Err(ScriptFault::InterpreterUnusable { interpreter: path, script: script.to_owned(), why })
}

fn by_content(script: &Path, args: &[String], search: &Search) -> Result<Interpreter, ScriptFault> {
    match Kind::of(script) {
        Ok(Kind::Script(shebang)) => by_shebang(script, &shebang, args, search),
        Ok(Kind::Binary) => itself(script, None),
        Ok(Kind::Text) => Err(ScriptFault::UnknownKind(script.to_owned())),
        // A program may be executable and yet not readable.
        Err(error) => itself(script, None).map_err(|_| unreadable(script, &error)),
    }
}

fn unreadable(script: &Path, error: &io::Error) -> ScriptFault {
    ScriptFault::Unreadable { script: script.to_owned(), reason: error.to_string() }
}

/// The script runs by itself if it may and nothing has to come between it and its interpreter.
/// Node is named all the same: the process is the same, and rpm can talk to it.
fn by_shebang(
    script: &Path,
    shebang: &Shebang,
    args: &[String],
    search: &Search,
) -> Result<Interpreter, ScriptFault> {
    let program = usable(&shebang.interpreter, script, search)?;
    let by_itself = args.is_empty() && !is_node(base_name(&program));
    if by_itself && search::is_executable_file(script) {
        return itself(script, Some(shebang));
    }
    let args: Vec<String> = shebang.args.iter().chain(args).cloned().collect();
    Ok(runs(program, &args))
}

fn itself(script: &Path, shebang: Option<&Shebang>) -> Result<Interpreter, ScriptFault> {
    if !search::is_executable_file(script) {
        return Err(ScriptFault::NotExecutable(script.to_owned()));
    }
    let name = match shebang {
        Some(shebang) => base_name(&shebang.interpreter),
        None => script.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
    };
    let is_python = name.starts_with("python");
    Ok(Interpreter { program: None, args: vec![], runtime: Runtime::Other, is_python })
}
