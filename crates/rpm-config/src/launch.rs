//! What an app's `script`, `args` and `interpreter` execute.

use crate::{
    AppOptions, ScriptFault,
    command_line::{self, CommandLine},
    interpreter::{self, Interpreter, Wanted},
    node_line::{self, NodeLine},
    script::{self, Script},
    search::Search,
    spec::{Launch, Runtime},
};
use std::path::{Path, PathBuf};

/// A launch, and what was learnt on the way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) launch: Launch,
    /// Python holds back its output in a pipe unless told not to.
    pub(crate) is_python: bool,
}

/// Node programs whose work is to start another one: the channel to rpm is for that one, which
/// cannot be reached through them, so they are treated like any other wrapper.
const WRAPPERS: [&str; 8] =
    ["corepack", "npm", "npm-cli", "npx", "npx-cli", "pnpm", "yarn", "yarnpkg"];

/// The word that means rpm's own static server.
const SERVE: &str = "serve";

/// The hidden command of rpm that is this server itself; `rpm serve` starts an app that runs it.
const SERVE_ROLE: &str = "__serve";

/// Finds what `options` execute. `executable` is rpm itself.
pub(crate) fn find(
    options: &AppOptions,
    search: &Search,
    executable: &Path,
) -> Result<Found, ScriptFault> {
    let finder = Finder { options, search };
    let written = options.script.as_deref().unwrap_or_default();
    if written.trim().is_empty() {
        return Err(ScriptFault::None);
    }
    if written == SERVE {
        return Ok(finder.serve(executable, &[]));
    }
    if !is_command_line(written, search) {
        return finder.script(written);
    }
    match command_line::parse(written) {
        CommandLine::OpenQuote => Err(ScriptFault::OpenQuote(written.to_owned())),
        CommandLine::Shell => finder.shell(written),
        CommandLine::Words(first, rest) => match rest.split_first() {
            Some((second, rest)) if first == "rpm" && second == SERVE => {
                Ok(finder.serve(executable, rest))
            }
            _ => finder.command(&first, rest),
        },
    }
}

/// Whether `written` is more than the name of a file: it has blanks and there is no such file.
pub(crate) fn is_command_line(written: &str, search: &Search) -> bool {
    let has_blanks = written.trim().contains(char::is_whitespace);
    has_blanks && !script::is_file(&search.absolute(written))
}

struct Finder<'a> {
    options: &'a AppOptions,
    search: &'a Search,
}

impl Finder<'_> {
    /// A script or program by its name alone.
    fn script(&self, written: &str) -> Result<Found, ScriptFault> {
        match script::find(written.trim(), self.search)? {
            Script::File(file) => self.file(file, Vec::new()),
            Script::Program(program) => self.program(program, Vec::new()),
        }
    }

    /// A program and its arguments. A word is looked for in PATH first, as a shell would do.
    fn command(&self, first: &str, rest: Vec<String>) -> Result<Found, ScriptFault> {
        let path = self.search.absolute(first);
        let program = self.search.in_path(first);
        if self.wanted().interpreter.is_some_and(|interpreter| interpreter != "none") {
            return if script::is_file(&path) {
                self.file(path, rest)
            } else {
                Err(script::fault(first, path, self.search))
            };
        }
        match (program, script::is_file(&path)) {
            (Some(program), _) if interpreter::is_node(interpreter::base_name(first)) => {
                self.node(first, program, rest)
            }
            (Some(program), _) => self.program(program, rest),
            (None, true) if interpreter::is_node(interpreter::base_name(first)) => {
                self.node(&path.to_string_lossy(), path.clone(), rest)
            }
            (None, true) => self.file(path, rest),
            (None, false) => Err(script::fault(first, path, self.search)),
        }
    }

    /// `node server.js`: rpm runs the script with node, rather than node with an argument.
    fn node(&self, node: &str, file: PathBuf, words: Vec<String>) -> Result<Found, ScriptFault> {
        let NodeLine::Script { mut options, script, args } = node_line::parse(&words) else {
            return self.program(file, words);
        };
        let path = self.search.absolute(&script);
        if !node_finds(&path) {
            return Err(ScriptFault::Missing { script: path, path: None });
        }
        options.extend(self.wanted().args.iter().cloned());
        Ok(self.found(path, interpreter::runs(node.to_owned(), &options), args))
    }

    fn file(&self, file: PathBuf, args: Vec<String>) -> Result<Found, ScriptFault> {
        let interpreter = interpreter::of_file(&file, self.wanted(), self.search)?;
        Ok(self.found(file, interpreter, args))
    }

    fn program(&self, program: PathBuf, args: Vec<String>) -> Result<Found, ScriptFault> {
        let interpreter = interpreter::of_program(&program, self.wanted(), self.search)?;
        Ok(self.found(program, interpreter, args))
    }

    /// The command exactly as written, to a shell. `args` become the shell's `$1`, `$2` ….
    fn shell(&self, command: &str) -> Result<Found, ScriptFault> {
        let missing = || ScriptFault::InterpreterMissing {
            tried: vec!["bash".into(), "sh".into()],
            script: command.into(),
            path: self.search.path.clone(),
        };
        let shell = ["bash", "sh"].iter().find_map(|word| self.search.in_path(word));
        let mut args = vec!["-c".to_owned(), command.to_owned()];
        if self.options.args.as_ref().is_some_and(|args| !args.is_empty()) {
            args.push("rpm".to_owned());
        }
        Ok(self.found(shell.ok_or_else(missing)?, by_itself(), args))
    }

    /// rpm's own static server.
    fn serve(&self, executable: &Path, rest: &[String]) -> Found {
        let args = std::iter::once(SERVE_ROLE.to_owned()).chain(rest.iter().cloned()).collect();
        self.found(executable.to_owned(), by_itself(), args)
    }

    fn found(&self, script: PathBuf, by: Interpreter, mut args: Vec<String>) -> Found {
        args.extend(self.options.args.iter().flatten().cloned());
        let Interpreter { program, args: interpreter_args, runtime, is_python } = by;
        let runtime = if is_wrapper(&script) { Runtime::Other } else { runtime };
        let launch = Launch { script, interpreter: program, interpreter_args, args, runtime };
        Found { launch, is_python }
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            interpreter: self.options.interpreter.as_deref(),
            args: self.options.interpreter_args.as_deref().unwrap_or_default(),
        }
    }
}

fn is_wrapper(script: &Path) -> bool {
    let stem = script.file_stem().and_then(|stem| stem.to_str());
    stem.is_some_and(|stem| WRAPPERS.contains(&stem))
}

fn by_itself() -> Interpreter {
    Interpreter { program: None, args: vec![], runtime: Runtime::Other, is_python: false }
}

/// Whether node's own look-up of its main module finds something at `path`: a file, a package
/// directory, or a file with an extension that node adds.
fn node_finds(path: &Path) -> bool {
    let added = [".js", ".json", ".node"].iter().map(|extension| {
        let mut name = path.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    });
    path.exists() || added.into_iter().any(|path| script::is_file(&path))
}

#[cfg(test)]
mod tests;
