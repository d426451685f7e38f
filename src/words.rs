//! The words of a command line as PM2 takes them, put into the order clap takes them.
//!
//! PM2's options may stand before the command, and any of them with any command. The value of an
//! option that need not have one may follow after a blank: for `--wait` and `--max-restarts` it is
//! told from a target by being a number, for the others by there being another target.

use clap::{Arg, Command};
use std::ffi::OsString;

/// Options whose value may be left out, and is a number.
const NUMBERS: [&str; 2] = ["wait", "max_restarts"];

/// Commands whose options together are those that PM2 takes with every command.
const SOURCES: [&str; 3] = ["start", "list", "startup"];

/// Commands that PM2 does not have: with them an option that means nothing is a mistake.
const OURS: [&str; 8] =
    ["apply", "diff", "import", "doctor", "events", "man", "schema", "completion"];

/// A command line in clap's order.
#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    /// With the program's name.
    pub(crate) words: Vec<OsString>,
    /// Options of PM2's that mean nothing to this command, left out.
    pub(crate) meaningless: Vec<String>,
}

/// `words` (with the program's name) in the order in which clap takes them for `commands`. What
/// stands after `--` is never touched.
pub(crate) fn ordered(words: Vec<OsString>, commands: &Command) -> Line {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let (ours, apps) = words.split_at(end);
    let (words, meaningless) = with_meaning(command_first(ours, commands), commands);
    let mut words = joined(words, commands);
    words.extend(apps.iter().cloned());
    Line { words, meaningless }
}

/// The words without options that only other commands have, each with its value; and these options.
fn with_meaning(words: Vec<OsString>, commands: &Command) -> (Vec<OsString>, Vec<String>) {
    let name = words.get(1).and_then(|word| word.to_str()).unwrap_or_default();
    let Some(command) = commands.find_subcommand(name) else { return (words, Vec::new()) };
    // Where any word may be a value, none can be told to be an option.
    let is_free = command.get_positionals().any(|arg| arg.is_allow_hyphen_values_set());
    if is_free || OURS.contains(&command.get_name()) {
        return (words, Vec::new());
    }
    let own: Vec<&Arg> = command.get_arguments().chain(commands.get_arguments()).collect();
    let sources = SOURCES.iter().filter_map(|name| commands.find_subcommand(name));
    let all: Vec<&Arg> = sources.flat_map(|source| source.get_arguments()).collect();
    let (mut kept, mut left_out) = (Vec::with_capacity(words.len()), Vec::new());
    let mut words = words.into_iter().peekable();
    let mut takes = false;
    for word in words.by_ref().take(2) {
        kept.push(word);
    }
    while let Some(word) = words.next() {
        let meaningless = !takes && found(&word, &own).is_none() && found(&word, &all).is_some();
        if meaningless {
            left_out.push(word.to_string_lossy().into_owned());
            if kind(&word, &all) == Word::Takes {
                words.next();
            }
            continue;
        }
        takes = !takes && kind(&word, &own) == Word::Takes;
        kept.push(word);
    }
    (kept, left_out)
}

/// Moves what stands between the program's name and the command behind the command.
fn command_first(words: &[OsString], commands: &Command) -> Vec<OsString> {
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
fn joined(words: Vec<OsString>, commands: &Command) -> Vec<OsString> {
    let Some(name) = words.get(1).and_then(|word| word.to_str()) else { return words };
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
    let is_option = word.to_str().is_some_and(|text| text.len() > 1 && text.starts_with('-'));
    match found(word, args) {
        _ if !is_option => Word::Free,
        Some(arg) if !arg.get_action().takes_values() => Word::Option,
        // `--name=x` has its value.
        Some(_) if word.to_str().is_some_and(|text| text.contains('=')) => Word::Option,
        Some(arg) if !arg.is_require_equals_set() => Word::Takes,
        Some(arg) if NUMBERS.contains(&arg.get_id().as_str()) => Word::MayTakeNumber,
        Some(_) => Word::MayTake,
        None => Word::Option,
    }
}

/// The option that `word` is. Of several short ones only the last can take a word.
fn found<'a>(word: &OsString, args: &[&'a Arg]) -> Option<&'a Arg> {
    let text = word.to_str().filter(|text| text.len() > 1 && text.starts_with('-'))?;
    let is_long = |arg: &Arg, long: &str| {
        let mut names = arg.get_long_and_visible_aliases().unwrap_or_default();
        names.extend(arg.get_all_aliases().unwrap_or_default());
        names.contains(&long)
    };
    let is_short = |arg: &Arg, letter: char| {
        let letters = arg.get_short_and_visible_aliases();
        letters.is_some_and(|letters| letters.contains(&letter))
    };
    let found = match text.strip_prefix("--") {
        Some(long) => {
            let name = long.split('=').next().unwrap_or_default();
            args.iter().find(|arg| is_long(arg, name))
        }
        None => {
            let last = text.chars().next_back()?;
            args.iter().find(|arg| is_short(arg, last))
        }
    };
    found.copied()
}

fn is_number(word: &OsString) -> bool {
    word.to_str().is_some_and(|word| word.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_order(line: &str) -> Line {
        ordered(line.split(' ').map(OsString::from).collect(), &crate::help::command())
    }

    fn order(line: &str) -> String {
        let line = in_order(line);
        line.words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_of_other_commands_are_left_out_and_told() {
        let table = [
            ("rpm stop api --parallel 2 -f", "rpm stop api", "--parallel -f"),
            ("rpm --name x stop api", "rpm stop api", "--name"),
            ("rpm stop --name=x api", "rpm stop api", "--name=x"),
            ("rpm stop api --watch -s", "rpm stop api -s", "--watch"),
            ("rpm list --force -m", "rpm list -m", "--force"),
            ("rpm save -f", "rpm save -f", ""),
            ("rpm logs api --lines 5 -n 3", "rpm logs api --lines 5", "-n"),
            ("rpm stop api --no-such", "rpm stop api --no-such", ""),
            ("rpm send 0 -f", "rpm send 0 -f", ""),
            ("rpm scale api -1", "rpm scale api -1", ""),
            ("rpm diff api --name x", "rpm diff api --name x", ""),
            ("rpm start a.js -m --sort cpu", "rpm start a.js", "-m --sort"),
            ("rpm start a.js -n --hp", "rpm start a.js -n --hp", ""),
        ];
        for (line, want, left_out) in table {
            assert_eq!(order(line), want, "{line}");
            let line = in_order(line);
            assert_eq!(line.meaningless.join(" "), left_out);
        }
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
