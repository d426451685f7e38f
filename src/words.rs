//! The words of a command line as PM2 takes them, put into the order clap takes them.
//!
//! PM2's options may stand before the command; the value of `--wait` may follow after a blank, and
//! is told from a target by being a number.

use crate::cli::Cli;
use clap::CommandFactory;
use std::ffi::OsString;

/// `words` (with the program's name) in clap's order. What stands after `--` is never touched.
pub(crate) fn ordered(words: Vec<OsString>) -> Vec<OsString> {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let (ours, apps) = words.split_at(end);
    let mut words = with_wait_joined(command_first(ours));
    words.extend(apps.iter().cloned());
    words
}

/// Moves what stands between the program's name and the command behind the command.
fn command_first(words: &[OsString]) -> Vec<OsString> {
    let commands = Cli::command();
    let is_command = |word: &OsString| {
        word.to_str().is_some_and(|word| commands.find_subcommand(word).is_some())
    };
    let found = words.iter().skip(1).position(is_command);
    let Some(index) = found.filter(|index| *index > 0) else { return words.to_vec() };
    let mut words = words.to_vec();
    words.get_mut(1..=index.saturating_add(1)).unwrap_or_default().rotate_right(1);
    words
}

/// `--wait 5` becomes `--wait=5`.
fn with_wait_joined(words: Vec<OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::with_capacity(words.len());
    for word in words {
        match joined.last_mut() {
            Some(last) if last == "--wait" && is_number(&word) => {
                last.push("=");
                last.push(word);
            }
            Some(_) | None => joined.push(word),
        }
    }
    joined
}

fn is_number(word: &OsString) -> bool {
    word.to_str().is_some_and(|word| word.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(line: &str) -> String {
        let words = ordered(line.split(' ').map(OsString::from).collect());
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_before_the_command_and_wait() {
        let table = [
            ("rpm", "rpm"),
            ("rpm ls", "rpm ls"),
            ("rpm start app.js -i 2", "rpm start app.js -i 2"),
            ("rpm -s start app.js", "rpm start -s app.js"),
            ("rpm -i 2 -s start app.js", "rpm start -i 2 -s app.js"),
            ("rpm --version", "rpm --version"),
            ("rpm -x -- start", "rpm -x -- start"),
            ("rpm start app.js -- -s start", "rpm start app.js -- -s start"),
            ("rpm start --wait app.js", "rpm start --wait app.js"),
            ("rpm start --wait 5 app.js", "rpm start --wait=5 app.js"),
            ("rpm start --wait 0.5 app.js", "rpm start --wait=0.5 app.js"),
            ("rpm start app.js --wait", "rpm start app.js --wait"),
            ("rpm start a.js -- --wait 5", "rpm start a.js -- --wait 5"),
            ("rpm -s nonsense", "rpm -s nonsense"),
        ];
        for (line, want) in table {
            assert_eq!(order(line), want, "{line}");
        }
    }
}
