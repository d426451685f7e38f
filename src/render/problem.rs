//! Errors for a person: what failed in the first line, the failed worker's last words, and on a
//! line of its own what to do.

use super::style::{Colors, Paint};
use crate::error::CliError;
use rpm_protocol::{ClientError, FailureView};

/// How many of a worker's last lines are shown; all are in its log.
const SHOWN_LINES: usize = 6;

/// The text of `error`, without a line end; `None` where there is nothing to tell.
pub(crate) fn problem(error: &CliError, colors: Colors) -> Option<String> {
    let told = |message: String, hint: Option<String>| Some(text(&message, &[], hint, colors));
    match error {
        CliError::Told | CliError::ClosedPipe => None,
        CliError::Usage { option, value } => told(format!("{option} {value}"), None),
        CliError::NoEcosystem { directory } => told(
            format!("there is no ecosystem file in {}", directory.display()),
            Some(format!("{}, or name what to start: rpm start app.js", looked_for())),
        ),
        CliError::Config { error, meant } => {
            let meant = meant.as_ref().map(|meant| format!("did you mean {meant}?"));
            told(error.to_string(), meant.or_else(|| error.hint()))
        }
        CliError::Home(error) => told(
            format!("RPM_HOME cannot be used: {error}"),
            Some("set RPM_HOME to a directory of your own, such as ~/.rpm".into()),
        ),
        CliError::NoHome => {
            told("neither RPM_HOME nor HOME is set".into(), Some("set RPM_HOME".into()))
        }
        CliError::Launch { reason, hint } => told(reason.clone(), hint.clone()),
        CliError::Client(error) => Some(client(error, colors)),
        CliError::Failure(view) => Some(failure(view, colors)),
        CliError::Failed { message, hint } => told(message.clone(), hint.clone()),
    }
}

/// An instance that failed, with its last lines.
pub(crate) fn failure(view: &FailureView, colors: Colors) -> String {
    let FailureView { app, instance, reason, hint, stderr } = view;
    text(&format!("{app} {instance}: {reason}"), stderr, hint.clone(), colors)
}

fn client(error: &ClientError, colors: Colors) -> String {
    match error {
        ClientError::Rpc(error) => text(&error.message, &error.stderr, error.hint.clone(), colors),
        ClientError::Closed => {
            let hint = "rpm ls shows what runs; rpm.log in RPM_HOME says why it went";
            text(&error.to_string(), &[], Some(hint.into()), colors)
        }
        ClientError::NobodyListens
        | ClientError::Connect(_)
        | ClientError::Frame(_)
        | ClientError::Malformed(_)
        | ClientError::Unspeakable(_)
        | ClientError::TooLong(_) => text(&error.to_string(), &[], None, colors),
    }
}

fn text(message: &str, stderr: &[String], hint: Option<String>, colors: Colors) -> String {
    let mut lines = vec![format!("{} {message}", colors.paint(Paint::Bad, "error:"))];
    let bar = colors.paint(Paint::Dim, "|");
    lines.extend(telling(stderr).into_iter().map(|line| format!("  {bar} {line}")));
    lines.extend(hint.map(|hint| format!("  {} {hint}", colors.paint(Paint::Label, "hint:"))));
    lines.join("\n")
}

/// The lines that say most: the last ones, or those from the last error on where more follows it.
/// A stack's frames inside Node itself and empty lines say nothing.
fn telling(stderr: &[String]) -> Vec<&str> {
    let is_internal = |text: &str| text.starts_with("at ") && text.contains("node:internal");
    let says = |line: &&str| !matches!(line.trim(), text if text.is_empty() || is_internal(text));
    let lines: Vec<&str> = stderr.iter().map(String::as_str).filter(says).collect();
    let last = lines.len().saturating_sub(SHOWN_LINES);
    let first = lines.iter().rposition(|line| is_error(line)).map_or(last, |at| at.min(last));
    lines.into_iter().skip(first).take(SHOWN_LINES).collect()
}

/// Whether a line names an error as most languages do: `TypeError: …`, `java.io.IOException: …`,
/// `error: …`, `thread 'main' panicked at …`.
fn is_error(line: &str) -> bool {
    let head = line.split([':', ' ', '[']).next().unwrap_or_default();
    let named = ["Error", "Exception"].iter().any(|end| head.ends_with(end));
    let word = ["error", "fatal", "panic"].iter().any(|word| head.eq_ignore_ascii_case(word));
    named || word || line.contains("panicked at")
}

/// The names `rpm start` looks for by itself.
pub(crate) const ECOSYSTEM_FILES: [&str; 9] = [
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.mjs",
    "ecosystem.config.ts",
    "ecosystem.toml",
    "ecosystem.json",
    "ecosystem.json5",
    "ecosystem.yaml",
    "ecosystem.yml",
];

fn looked_for() -> String {
    "looked for ecosystem.config.{js,cjs,mjs,ts}, ecosystem.{toml,json,json5,yaml,yml}".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_config::AppName;
    use rpm_protocol::RpcError;

    fn crash() -> FailureView {
        let thrown = "/srv/app.js:3\nthrow new Error('no database');\n^\n\n\
                      Error: no database\n    at Object.<anonymous> (/srv/app.js:3:7)\n\
                      \x20   at Module._compile (node:internal/modules/cjs/loader:1554:14)\n\
                      \x20   at node:internal/main/run_main_module:36:49\n\nNode.js v22.1.0";
        FailureView {
            app: AppName::new("api").unwrap(),
            instance: 0,
            reason: "exited with code 1 before it was ready".into(),
            hint: Some("rpm logs api shows more".into()),
            stderr: thrown.lines().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn a_crash_is_told_with_what_was_thrown() {
        let want = "\
error: api 0: exited with code 1 before it was ready
  | /srv/app.js:3
  | throw new Error('no database');
  | ^
  | Error: no database
  |     at Object.<anonymous> (/srv/app.js:3:7)
  | Node.js v22.1.0
  hint: rpm logs api shows more";
        assert_eq!(failure(&crash(), Colors::Off), want);
    }

    #[test]
    fn what_follows_an_error_does_not_hide_it() {
        let told = "node:events:502\n      throw er;\n      ^\nError: listen EADDRINUSE :::3000\n\
                    \x20   at Server.listen (node:net:1908:16)\n  code: 'EADDRINUSE',\n\
                    \x20 errno: -98,\n  syscall: 'listen',\n  address: '::',\n  port: 3000\n}\n\
                    Node.js v20.20.2";
        let stderr: Vec<String> = told.lines().map(str::to_owned).collect();
        let shown = telling(&stderr);
        assert_eq!(shown.first(), Some(&"Error: listen EADDRINUSE :::3000"));
        assert_eq!(shown.len(), SHOWN_LINES);
    }

    #[test]
    fn errors_of_several_languages() {
        for line in [
            "TypeError: x is not a function",
            "Error [ERR_MODULE_NOT_FOUND]: Cannot find package",
            "ValueError: bad",
            "java.io.IOException: no",
            "thread 'main' (1) panicked at src/main.rs:2:5:",
            "panic: runtime error",
            "fatal: no",
        ] {
            assert!(is_error(line), "{line}");
        }
        for line in ["listening", "Errors: 0 so far", "    at Error (x.js:1)", ""] {
            assert!(!is_error(line), "{line}");
        }
    }

    #[test]
    fn only_the_last_lines_are_shown() {
        let stderr: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        let text = failure(&FailureView { stderr, hint: None, ..crash() }, Colors::Off);
        assert_eq!(text.lines().count(), 1 + SHOWN_LINES);
        assert!(text.ends_with("\n  | 48\n  | 49"), "{text}");
    }

    #[test]
    fn refusals_have_their_hint_on_a_line_of_its_own() {
        let refused = RpcError::failed("no app wev", Some("did you mean web?".into()));
        let error = CliError::Client(ClientError::Rpc(refused));
        let want = "error: no app wev\n  hint: did you mean web?";
        assert_eq!(problem(&error, Colors::Off).as_deref(), Some(want));
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        assert_eq!(problem(&CliError::Told, Colors::Off), None);
        assert_eq!(problem(&CliError::ClosedPipe, Colors::Off), None);
    }
}
