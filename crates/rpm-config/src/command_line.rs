//! [`CommandLine`]: a `script` with blanks, told apart into what can be executed directly and what
//! needs a shell. Nothing here looks at files.

/// A command as a person types it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CommandLine {
    /// A program and its arguments; never empty.
    Words(String, Vec<String>),
    /// Pipes, variables, `&&` and the like.
    Shell,
    /// A quote is never closed.
    OpenQuote,
}

/// What a shell acts on wherever it stands unquoted.
const UNQUOTED: &str = "|&;<>()$`*?[]{}#\n";

/// What a shell acts on even between double quotes.
const IN_DOUBLE_QUOTES: &str = "$`";

/// Words that only a shell can execute.
const SHELL_WORDS: [&str; 24] = [
    ".", "[[", "!", "alias", "case", "cd", "command", "eval", "exec", "export", "for", "function",
    "if", "let", "local", "read", "set", "shopt", "source", "trap", "ulimit", "umask", "until",
    "while",
];

/// Reads `text`.
pub(crate) fn parse(text: &str) -> CommandLine {
    // `{instance}` is rpm's own and means nothing to a shell.
    if needs_shell(&text.replace("{instance}", "")) {
        return CommandLine::Shell;
    }
    let Some(words) = shlex::split(text) else { return CommandLine::OpenQuote };
    let mut words = words.into_iter();
    match words.next() {
        Some(first) if is_shells(&first) => CommandLine::Shell,
        Some(first) => CommandLine::Words(first, words.collect()),
        None => CommandLine::Shell,
    }
}

/// A word of the shell's own, an assignment, or another user's home.
fn is_shells(word: &str) -> bool {
    let assigns = word.split('/').next().is_some_and(|head| head.contains('='));
    assigns || word.starts_with('~') && !word.starts_with("~/") || SHELL_WORDS.contains(&word)
}

fn needs_shell(text: &str) -> bool {
    let mut quote = None;
    let mut letters = text.chars().peekable();
    let mut word_begins = true;
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None | Some('"'), '\\') => _ = letters.next(),
            // Only the first word may begin with `~`: the program, which rpm expands itself.
            (None, '~') if word_begins && !text.starts_with('~') => return true,
            (None, special) if UNQUOTED.contains(special) => return true,
            (Some('"'), special) if IN_DOUBLE_QUOTES.contains(special) => return true,
            _ => {}
        }
        word_begins = letter.is_whitespace();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(first: &str, rest: &[&str]) -> CommandLine {
        CommandLine::Words(first.into(), rest.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn what_needs_no_shell() {
        let table = [
            ("npm start", words("npm", &["start"])),
            ("node  server.js --port 1", words("node", &["server.js", "--port", "1"])),
            ("a 'b c' \"d e\" f\\ g", words("a", &["b c", "d e", "f g"])),
            ("a '$HOME | x'", words("a", &["$HOME | x"])),
            ("a \\$HOME", words("a", &["$HOME"])),
            ("a \"\\$HOME\"", words("a", &["$HOME"])),
            ("a --port=300{instance}", words("a", &["--port=300{instance}"])),
            ("~/bin/a x", words("~/bin/a", &["x"])),
            ("./a=b/c x", words("./a=b/c", &["x"])),
            ("a b~", words("a", &["b~"])),
        ];
        for (text, want) in table {
            assert_eq!(parse(text), want, "{text}");
        }
    }

    #[test]
    fn what_does() {
        for text in [
            "a | b",
            "a && b",
            "a; b",
            "a > log",
            "a $HOME",
            "a \"$HOME\"",
            "a `b`",
            "a *.js",
            "PORT=1 a b",
            "cd x y",
            "exec a b",
            "a {b,c}",
            "a ~/x",
            "~bob/a x",
            "a\nb",
            "a # b",
            " ",
        ] {
            assert_eq!(parse(text), CommandLine::Shell, "{text}");
        }
    }

    #[test]
    fn open_quotes() {
        for text in ["a 'b", "a \"b", "a 'b\"", "a b\\"] {
            assert_eq!(parse(text), CommandLine::OpenQuote, "{text}");
        }
    }
}
