//! What each way to name a program executes, and what is said when it cannot.

use super::*;
use crate::test_machine::Machine;

const SHELL_SCRIPT: &[u8] = b"#!/usr/bin/env bash\necho\n";

fn machine() -> Machine {
    ["node", "python3", "bash", "perl", "npm", "ls", "bun"]
        .into_iter()
        .fold(Machine::new(), Machine::program)
        .file("server.js", b"", 0o644)
        .file("app.mjs", b"", 0o644)
        .file("main.py", b"", 0o644)
        .file("run.sh", b"", 0o644)
        .file("page.ts", b"", 0o644)
        .file("native", b"\x7fELF\0", 0o755)
        .file("shebang", SHELL_SCRIPT, 0o755)
        .file("unmarked", SHELL_SCRIPT, 0o644)
        .file("tool", b"#!/usr/bin/env node\n", 0o755)
        .file("bin/npm", b"#!/usr/bin/env node\n", 0o755)
        .file("snake", b"#!/usr/bin/env python3\n", 0o755)
        .file("two words.js", b"", 0o644)
        .file("lib/index.js", b"", 0o644)
        .file("both.js", b"", 0o644)
        .file("both.py", b"", 0o644)
        .file("notes.txt", b"hello", 0o644)
        .file("empty", b"", 0o755)
        .file("plain", b"\x7fELF\0", 0o644)
        .file("lost", b"#!/opt/none/python\n", 0o755)
        .file("stray", b"#!/usr/bin/env lua\n", 0o755)
        .file("page.rb", b"", 0o644)
}

/// A launch on one line: runtime, interpreter, its arguments, script, its arguments.
fn line(machine: &Machine, options: &AppOptions) -> String {
    let Launch { script, interpreter, interpreter_args, args, runtime } =
        machine.spec(options).launch;
    let script = script.to_str().unwrap().to_owned();
    let words = interpreter.into_iter().chain(interpreter_args).chain([script]).chain(args);
    let words: Vec<String> = words.map(|word| machine.plain(&word)).collect();
    format!("{runtime:?}: {}", words.join(" | "))
}

fn options(script: &str) -> AppOptions {
    AppOptions { script: Some(script.into()), ..AppOptions::default() }
}

fn with_interpreter(script: &str, interpreter: &str) -> AppOptions {
    AppOptions { interpreter: Some(interpreter.into()), ..options(script) }
}

fn owned(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

#[test]
fn one_word() {
    let machine = machine();
    let table = [
        ("server.js", "Node: node | /m/app/server.js"),
        ("./server.js", "Node: node | /m/app/server.js"),
        ("server", "Node: node | /m/app/server.js"),
        ("app", "Node: node | /m/app/app.mjs"),
        ("lib/index", "Node: node | /m/app/lib/index.js"),
        ("two words.js", "Node: node | /m/app/two words.js"),
        ("main.py", "Other: python3 | /m/app/main.py"),
        ("run", "Other: bash | /m/app/run.sh"),
        ("page.ts", "Other: bun | /m/app/page.ts"),
        ("native", "Other: /m/app/native"),
        ("shebang", "Other: /m/app/shebang"),
        ("unmarked", "Other: bash | /m/app/unmarked"),
        ("tool", "Node: node | /m/app/tool"),
        ("bin/npm", "Other: node | /m/app/bin/npm"),
        ("ls", "Other: /m/bin/ls"),
        ("serve", "Other: /opt/rpm | __serve"),
    ];
    for (script, want) in table {
        assert_eq!(line(&machine, &options(script)), want, "{script}");
    }
}

#[test]
fn a_command_line() {
    let machine = machine();
    let table = [
        ("npm start", "Other: /m/bin/npm | start"),
        ("npm run 'a b'", "Other: /m/bin/npm | run | a b"),
        ("node server.js --port 1", "Node: node | /m/app/server.js | --port | 1"),
        ("node --inspect server", "Node: node | --inspect | /m/app/server"),
        ("node bin/npm start", "Other: node | /m/app/bin/npm | start"),
        ("node .", "Node: node | /m/app"),
        ("node -e 1", "Other: /m/bin/node | -e | 1"),
        ("python3 main.py", "Other: /m/bin/python3 | main.py"),
        ("server.js --port 1", "Node: node | /m/app/server.js | --port | 1"),
        ("./native -x", "Other: /m/app/native | -x"),
        ("rpm serve site 80", "Other: /opt/rpm | __serve | site | 80"),
        ("npm start | cat", "Other: /m/bin/bash | -c | npm start | cat"),
        ("PORT=1 npm start", "Other: /m/bin/bash | -c | PORT=1 npm start"),
        ("npm start --id {instance}", "Other: /m/bin/npm | start | --id | {instance}"),
    ];
    for (script, want) in table {
        assert_eq!(line(&machine, &options(script)), want, "{script}");
    }
}

#[test]
fn arguments_and_interpreters_that_were_asked_for() {
    let machine = machine();
    let args = |options: AppOptions| AppOptions { args: owned(&["-a", "b c"]), ..options };
    let flags = |options: AppOptions| AppOptions { interpreter_args: owned(&["-x"]), ..options };
    let node = machine.bin().join("node").to_str().unwrap().to_owned();
    let table = [
        (args(options("server.js")), "Node: node | /m/app/server.js | -a | b c"),
        (flags(options("server.js")), "Node: node | -x | /m/app/server.js"),
        (flags(options("node --y server.js")), "Node: node | --y | -x | /m/app/server.js"),
        (flags(options("shebang")), "Other: bash | -x | /m/app/shebang"),
        (flags(options("native")), "Other: /m/app/native"),
        (args(options("npm start")), "Other: /m/bin/npm | start | -a | b c"),
        (args(options("a | b")), "Other: /m/bin/bash | -c | a | b | rpm | -a | b c"),
        (args(options("serve")), "Other: /opt/rpm | __serve | -a | b c"),
        (with_interpreter("server.js", "bun"), "Other: bun | /m/app/server.js"),
        (with_interpreter("notes.txt", "perl"), "Other: perl | /m/app/notes.txt"),
        (with_interpreter("native", "none"), "Other: /m/app/native"),
        (with_interpreter("page.ts", &node), "Node: /m/bin/node | /m/app/page.ts"),
        (with_interpreter("page.ts", "../bin/node"), "Node: /m/app/../bin/node | /m/app/page.ts"),
        (with_interpreter("main.py", "python3 -u"), "Other: python3 | -u | /m/app/main.py"),
        (with_interpreter("server.js -p 1", "bun"), "Other: bun | /m/app/server.js | -p | 1"),
    ];
    for (options, want) in table {
        assert_eq!(line(&machine, &options), want, "{options:?}");
    }
}

#[test]
fn python_writes_at_once() {
    let machine = machine();
    let unbuffered = |options: &AppOptions| {
        let spec = machine.spec(options);
        spec.env.get("PYTHONUNBUFFERED").cloned()
    };
    for script in ["main.py", "snake", "python3 main.py"] {
        assert_eq!(unbuffered(&options(script)), Some("1".into()), "{script}");
    }
    assert_eq!(unbuffered(&options("shebang")), None);
    let mut asked = options("main.py");
    asked.env.insert("PYTHONUNBUFFERED".into(), String::new());
    assert_eq!(unbuffered(&asked), Some(String::new()));
}

#[test]
fn what_cannot_be_launched_says_why_and_what_to_do() {
    let machine = machine();
    let chmod = |name: &str| format!("chmod +x /m/app/{name}");
    let spelling = "check the spelling, or give the file's path";
    let install = "install it, or name another with `interpreter`";
    let correct = "correct `interpreter`, or the script's #! line";
    let table = [
        (options(""), "no `script` is given", "name a file, a program or a command line"),
        (
            options("nope"),
            "script /m/app/nope does not exist, nor such a program in PATH (/m/bin)",
            spelling,
        ),
        (
            options("nope start"),
            "script /m/app/nope does not exist, nor such a program in PATH (/m/bin)",
            spelling,
        ),
        (
            options("./nope.js"),
            "script /m/app/nope.js does not exist",
            "check the path, and `cwd`, which it starts from",
        ),
        (
            options("node nope.js"),
            "script /m/app/nope.js does not exist",
            "check the path, and `cwd`, which it starts from",
        ),
        (options("lib"), "script /m/app/lib is a directory", "name the file to run in it"),
        (options("."), "script /m/app is a directory", "name the file to run in it"),
        (
            options("/dev/null"),
            "script /dev/null is not a regular file",
            "name a script or a program",
        ),
        (options("both"), "script `both` could be both.js or both.py", "name the one you mean"),
        (options("plain"), "script /m/app/plain is not executable", &chmod("plain")),
        (
            with_interpreter("unmarked", "none"),
            "script /m/app/unmarked is not executable",
            &chmod("unmarked"),
        ),
        (
            options("notes.txt"),
            "script /m/app/notes.txt does not tell what runs it",
            "name its interpreter (--interpreter bash), or let it begin with #!",
        ),
        (
            options("empty"),
            "script /m/app/empty does not tell what runs it",
            "name its interpreter (--interpreter bash), or let it begin with #!",
        ),
        (options("npm 'start"), "a quote is never closed in `npm 'start`", "close it"),
        (
            options("page.rb"),
            "interpreter ruby for /m/app/page.rb is not in PATH (/m/bin)",
            install,
        ),
        (options("stray"), "interpreter lua for /m/app/stray is not in PATH (/m/bin)", install),
        (options("lost"), "interpreter /opt/none/python for /m/app/lost does not exist", correct),
        (
            with_interpreter("server.js", "nodee"),
            "interpreter nodee for /m/app/server.js is not in PATH (/m/bin)",
            install,
        ),
        (
            with_interpreter("server.js", "./lib"),
            "interpreter /m/app/lib for /m/app/server.js is not a file",
            correct,
        ),
        (
            with_interpreter("server.js", "./plain"),
            "interpreter /m/app/plain for /m/app/server.js is not executable",
            correct,
        ),
        (
            with_interpreter("server.js", "node@18.1.0"),
            "interpreter node@18.1.0 is not in /home/ann/.nvm/versions/node",
            "nvm install 18.1.0, or give the path of its binary",
        ),
    ];
    for (options, error, hint) in table {
        assert_eq!(machine.error(&options), (error.into(), Some(hint.into())), "{options:?}");
    }
}

#[test]
fn all_candidates_of_an_extension_are_named() {
    let machine = Machine::new().file("a.ts", b"", 0o644).file("b.py", b"", 0o644);
    let error = |script| machine.error(&options(script)).0;
    let ts = "interpreter tsx or bun for /m/app/a.ts is not in PATH (/m/bin)";
    assert_eq!(error("a.ts"), ts);
    let py = "interpreter python3 or python for /m/app/b.py is not in PATH (/m/bin)";
    assert_eq!(error("b.py"), py);
}

#[test]
fn an_app_with_its_own_path_is_looked_for_there() {
    let machine = machine();
    let mut asked = options("ls");
    asked.env.insert("PATH".into(), "/nowhere".into());
    let want = "script /m/app/ls does not exist, nor such a program in PATH (/nowhere)";
    assert_eq!(machine.error(&asked).0, want);
}
