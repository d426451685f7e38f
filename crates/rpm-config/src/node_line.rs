//! The command line of `node`: where its own options end and the script begins.

/// What follows the word `node`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeLine {
    /// Node runs a script.
    Script {
        /// Options of node.
        options: Vec<String>,
        /// The script as written.
        script: String,
        /// Arguments of the script.
        args: Vec<String>,
    },
    /// Node runs something else (`-e`, `--test`), or keeps the script in a child (`--watch`).
    Other,
}

/// Options whose value is the next word; all others of node take it after `=` or have none.
/// From `node --help` of Node 20 to 24.
const TAKES_VALUE: [&str; 25] = [
    "-C",
    "--conditions",
    "-r",
    "--require",
    "--import",
    "--loader",
    "--experimental-loader",
    "--env-file",
    "--env-file-if-exists",
    "--diagnostic-dir",
    "--disable-warning",
    "--dns-result-order",
    "--experimental-config-file",
    "--icu-data-dir",
    "--inspect-port",
    "--input-type",
    "--max-http-header-size",
    "--openssl-config",
    "--redirect-warnings",
    "--report-dir",
    "--report-directory",
    "--report-filename",
    "--title",
    "--trace-event-categories",
    "--unhandled-rejections",
];

/// Options with which no script runs in node's own process.
const NO_SCRIPT: [&str; 19] = [
    "-",
    "-e",
    "--eval",
    "-p",
    "-pe",
    "--print",
    "-c",
    "--check",
    "-i",
    "--interactive",
    "-h",
    "--help",
    "-v",
    "--version",
    "--run",
    "--test",
    "--watch",
    "--watch-path",
    "--build-snapshot",
];

/// Reads `words`, which follow the word `node`.
pub(crate) fn parse(words: &[String]) -> NodeLine {
    let mut options = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let name = word.split('=').next().unwrap_or(word);
        if NO_SCRIPT.contains(&name) {
            return NodeLine::Other;
        }
        if word == "--" || !word.starts_with('-') {
            let script = if word == "--" { rest.next() } else { Some(word) };
            let args = rest.cloned().collect();
            return script.map_or(NodeLine::Other, |script| NodeLine::Script {
                options,
                script: script.clone(),
                args,
            });
        }
        options.push(word.clone());
        if TAKES_VALUE.contains(&word.as_str()) {
            options.extend(rest.next().cloned());
        }
    }
    NodeLine::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> NodeLine {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn script(options: &[&str], script: &str, args: &[&str]) -> NodeLine {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        NodeLine::Script { options: owned(options), script: script.into(), args: owned(args) }
    }

    #[test]
    fn where_the_script_begins() {
        let table = [
            ("a.js", script(&[], "a.js", &[])),
            (
                "--inspect -r x --import=y a.js -e --b",
                script(&["--inspect", "-r", "x", "--import=y"], "a.js", &["-e", "--b"]),
            ),
            ("--expose-gc -- -odd.js 1", script(&["--expose-gc"], "-odd.js", &["1"])),
            ("-e 1", NodeLine::Other),
            ("--test a.js", NodeLine::Other),
            ("--watch-path=src a.js", NodeLine::Other),
            ("--inspect", NodeLine::Other),
            ("-r x", NodeLine::Other),
            ("- a", NodeLine::Other),
            ("--", NodeLine::Other),
            ("", NodeLine::Other),
        ];
        for (line, want) in table {
            assert_eq!(parsed(line), want, "{line}");
        }
    }
}
