//! The words of a command line as PM2 takes them, put into the order clap takes them.
//!
//! PM2's options may stand before the command. The value of an option that need not have one may
//! follow after a blank: for `--wait` and `--max-restarts` it is told from a target by being a
//! number, for `--watch` and `--log` by there being another target.

use crate::cli::Cli;
use clap::{Arg, CommandFactory};
use std::ffi::OsString;

/// Options whose value may be left out, and is a number.
const NUMBERS: [&str; 2] = ["wait", "max_restarts"];

/// `words` (with the program's name) in clap's order. What stands after `--` is never touched.
pub(crate) fn ordered(words: Vec<OsString>) -> Vec<OsString> {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let (ours, apps) = words.split_at(end);
    let mut words = joined(command_first(ours));
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

/// What a word is, as far as the order of words tells.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    /// A target, or another free word.
    Free,
    /// An option, with all it has.
    Option,
    /// An option that takes the next word.
    Takes,
    /// An option that takes the next word if that is a number.
    MayTakeNumber,
    /// An option that takes the next word if there is another free one.
    MayTake,
}

/// `--wait 5` becomes `--wait=5`, and so on for each option with an optional value.
fn joined(words: Vec<OsString>) -> Vec<OsString> {
    let Some(name) = words.get(1).and_then(|word| word.to_str()) else { return words };
    let commands = Cli::command();
    let Some(command) = commands.find_subcommand(name) else { return words };
    let args: Vec<&Arg> = command.get_arguments().chain(commands.get_arguments()).collect();
    let mut kinds = vec![Word::Free; words.len()];
    for index in 2..words.len() {
        let Some(word) = words.get(index) else { continue };
        let taken = kinds.get(index - 1) == Some(&Word::Takes);
        let kind = if taken { Word::Option } else { kind(word, &args) };
        if let Some(place) = kinds.get_mut(index) {
            *place = kind;
        }
    }
    let mut free = free_words(&words, &kinds);
    let mut joined: Vec<OsString> = Vec::with_capacity(words.len());
    for (index, word) in words.into_iter().enumerate() {
        let former = index.checked_sub(1).and_then(|at| kinds.get(at));
        let is_free = kinds.get(index) == Some(&Word::Free);
        let joins = is_free
            && match former {
                Some(Word::MayTakeNumber) => is_number(&word),
                Some(Word::MayTake) if free > 1 => {
                    free -= 1;
                    true
                }
                _ => false,
            };
        match joined.last_mut() {
            Some(last) if joins => {
                last.push("=");
                last.push(word);
            }
            Some(_) | None => joined.push(word),
        }
    }
    joined
}

/// How many free words there are behind the command that no option takes as its number.
fn free_words(words: &[OsString], kinds: &[Word]) -> usize {
    let pairs = kinds.iter().zip(kinds.iter().zip(words).skip(1)).skip(1);
    let is_free = |(former, (kind, word)): (&Word, (&Word, &OsString))| {
        *kind == Word::Free && !(*former == Word::MayTakeNumber && is_number(word))
    };
    pairs.filter(|pair| is_free(*pair)).count()
}

fn kind(word: &OsString, args: &[&Arg]) -> Word {
    let Some(text) = word.to_str().filter(|text| text.len() > 1 && text.starts_with('-')) else {
        return Word::Free;
    };
    let arg = match text.strip_prefix("--") {
        Some(long) => args.iter().find(|arg| {
            let mut names = arg.get_long_and_visible_aliases().unwrap_or_default();
            names.extend(arg.get_all_aliases().unwrap_or_default());
            names.contains(&long)
        }),
        // Of several short ones only the last can take a word.
        None => args.iter().find(|arg| {
            let last = text.chars().next_back();
            let is = |short: Option<Vec<char>>| {
                short.is_some_and(|s| s.iter().any(|c| Some(*c) == last))
            };
            is(arg.get_short_and_visible_aliases())
        }),
    };
    match arg {
        Some(arg) if !arg.get_action().takes_values() => Word::Option,
        Some(arg) if !arg.is_require_equals_set() => Word::Takes,
        Some(arg) if NUMBERS.contains(&arg.get_id().as_str()) => Word::MayTakeNumber,
        Some(_) => Word::MayTake,
        None => Word::Option,
    }
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
            ("rpm start --max-restarts 5 app.js", "rpm start --max-restarts=5 app.js"),
            ("rpm start --max-restarts app.js", "rpm start --max-restarts app.js"),
            ("rpm start --watch app.js", "rpm start --watch app.js"),
            ("rpm start --watch src app.js", "rpm start --watch=src app.js"),
            ("rpm start app.js --watch src", "rpm start app.js --watch=src"),
            ("rpm start app.js --watch -i 2", "rpm start app.js --watch -i 2"),
            ("rpm start -n web --watch app.js", "rpm start -n web --watch app.js"),
            ("rpm start -l all.log a.js --watch a", "rpm start -l=all.log a.js --watch=a"),
            ("rpm start a.js --watch a --watch b", "rpm start a.js --watch=a --watch=b"),
            ("rpm start --wait 5 --watch a.js", "rpm start --wait=5 --watch a.js"),
            ("rpm stop a b", "rpm stop a b"),
        ];
        for (line, want) in table {
            assert_eq!(order(line), want, "{line}");
        }
    }
}
