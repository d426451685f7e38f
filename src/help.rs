//! What `--help` shows: each page fits a screen and ends with examples. What is seldom needed is
//! named in a few lines instead of explained; the manual page and completions have all of it.

use crate::cli::Cli;
use clap::{Arg, Command, CommandFactory};

/// Options of an app that pages name; the manual page explains them and all others.
const NAMED: [&str; 11] = [
    "name",
    "instances",
    "cwd",
    "interpreter",
    "output",
    "error",
    "max_memory_restart",
    "kill_timeout",
    "no_autorestart",
    "watch",
    "cron",
];

/// Options of the command itself that only the manual page explains.
const SELDOM: [&str; 3] = ["write", "attach", "no_daemon"];

/// The heading of the options that describe an app.
const OF_THE_APP: &str = "The app";

/// Commands that `rpm --help` explains; the others are named.
const COMMON: [&str; 5] = ["start", "stop", "reload", "list", "logs"];

/// How wide lines of names are.
const WIDTH: usize = 78;

/// The first page has no list of options: there are four.
const FIRST_PAGE: &str =
    "{about}\n\n{usage-heading} {usage}\n\nCommands:\n{subcommands}{after-help}";

/// Examples of each command, a line each.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "start",
        "rpm start app.js -i max\nrpm start \"npm run dev\" --name web\n\
         rpm start ecosystem.toml --only api",
    ),
    ("stop", "rpm stop api\nrpm stop all"),
    ("restart", "rpm restart api --update-env\nrpm restart api --max-memory-restart 300M"),
    ("reload", "rpm reload api\nrpm reload ecosystem.toml"),
    ("startOrRestart", "rpm startOrRestart ecosystem.toml"),
    ("startOrReload", "rpm startOrReload ecosystem.toml --env production"),
    ("import", "rpm import\nrpm import --live\nrpm import /home/me/.pm2/dump.pm2 --dry-run"),
    ("apply", "rpm apply --dry-run\nrpm apply ecosystem.toml --prune"),
    ("diff", "rpm diff api\nrpm diff ecosystem.toml"),
    ("delete", "rpm delete api\nrpm delete all"),
    ("scale", "rpm scale api 4\nrpm scale api +1"),
    ("list", "rpm ls\nrpm ls --sort memory:desc"),
    ("describe", "rpm show api\nrpm show 0 --json"),
    ("logs", "rpm logs api --since 10m --grep ERROR"),
    ("flush", "rpm flush\nrpm flush api"),
    ("reloadLogs", "rpm reloadLogs"),
    ("save", "rpm save"),
    ("resurrect", "rpm resurrect"),
    ("startup", "rpm startup\nsudo rpm startup systemd -u deploy --hp /home/deploy"),
    ("unstartup", "rpm unstartup"),
    ("update", "rpm update"),
    ("kill", "rpm kill"),
    ("ping", "rpm ping"),
    ("jlist", "rpm jlist"),
    ("prettylist", "rpm prettylist"),
    ("env", "rpm env 0"),
    ("report", "rpm report"),
    ("cleardump", "rpm cleardump"),
    ("set", "rpm set app:key value"),
    ("multiset", "rpm multiset \"app:a 1 app:b 2\""),
    ("get", "rpm get app:key"),
    ("conf", "rpm conf"),
    ("unset", "rpm unset app:key"),
    ("doctor", "rpm doctor\nrpm doctor --json"),
    ("schema", "rpm schema > ecosystem.schema.json"),
    ("pull", "rpm pull api"),
    ("forward", "rpm forward api"),
    ("backward", "rpm backward api"),
    ("inspect", "rpm inspect api"),
    ("examples", "rpm examples"),
    ("completion", "rpm completion bash >> ~/.bashrc"),
    ("man", "rpm man > rpm.1"),
    ("events", "rpm events api --json"),
    ("id", "rpm id api"),
    ("pid", "rpm pid api"),
    ("reset", "rpm reset all"),
    ("send", "rpm send api '{\"reload\":true}'\nrpm send 0 hello"),
    ("trigger", "rpm trigger api flush-cache"),
    ("attach", "rpm attach 0"),
    ("sendSignal", "rpm sendSignal SIGUSR2 api"),
    ("init", "rpm init\nrpm init simple"),
    ("serve", "rpm serve dist 8080\nrpm serve dist --spa --name site"),
];

/// Examples of a command, a line each.
pub(crate) fn examples(name: &str) -> Option<&'static str> {
    EXAMPLES.iter().find(|(known, _)| *known == name).map(|(_, examples)| *examples)
}

/// The command line with the pages as they are shown.
pub(crate) fn command() -> Command {
    let command = Cli::command();
    let rare: Vec<String> = command
        .get_subcommands()
        .filter(|one| !one.is_hide_set() && !COMMON.contains(&one.get_name()))
        .map(|one| one.get_name().to_owned())
        .collect();
    let names: Vec<String> = command.get_subcommands().map(|one| one.get_name().into()).collect();
    let command = names.iter().fold(command, |command, name| command.mut_subcommand(name, page));
    let more = format!(
        "More commands:\n{}\n\
         Options: -h, --help  -v, --version  -s, --silent  --no-color\n\
         Examples:\n  rpm start app.js -i max\n  rpm COMMAND --help",
        lines(&rare)
    );
    let hidden = ["silent", "no_color"];
    let command = hidden
        .into_iter()
        .fold(command, |command, name| command.mut_arg(name, |arg| arg.hide(true)));
    command.help_template(FIRST_PAGE).after_help(more)
}

/// One command's page.
fn page(command: Command) -> Command {
    let of_app: Vec<&Arg> = command.get_arguments().filter(|arg| is_of_app(arg)).collect();
    let mut after = String::new();
    if !of_app.is_empty() {
        let named = of_app.iter().filter(|arg| NAMED.contains(&arg.get_id().as_str()));
        let named: Vec<String> = named.map(|arg| name(arg)).collect();
        let (all, named) = (of_app.len(), lines(&named));
        after = format!("The app, {all} options that `rpm man` explains, such as:\n{named}\n\n");
    }
    let hidden = command.is_hide_set() || !COMMON.contains(&command.get_name());
    if let Some(examples) = examples(command.get_name()) {
        after.push_str("Examples:\n  ");
        after.push_str(&examples.replace('\n', "\n  "));
    }
    command.hide(hidden).after_help(after).mut_args(|arg| {
        let seldom = SELDOM.contains(&arg.get_id().as_str());
        let hidden = arg.is_hide_set() || is_of_app(&arg) || seldom;
        arg.hide(hidden)
    })
}

fn is_of_app(arg: &Arg) -> bool {
    arg.get_help_heading() == Some(OF_THE_APP) && !arg.is_hide_set()
}

/// `--kill-timeout MS`.
fn name(arg: &Arg) -> String {
    let long = arg.get_long().unwrap_or_default();
    let values = arg.get_value_names().unwrap_or_default();
    match values.first().filter(|_| arg.get_action().takes_values()) {
        Some(value) => format!("--{long} {value}"),
        None => format!("--{long}"),
    }
}

/// Names in indented lines.
fn lines(names: &[String]) -> String {
    let mut lines = vec![String::new()];
    for name in names {
        match lines.last_mut() {
            Some(line) if line.len().saturating_add(name.len()) < WIDTH => {
                line.push_str("  ");
                line.push_str(name);
            }
            Some(_) | None => lines.push(format!("  {name}")),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// So many lines of 80 columns fit a terminal as it opens.
    const SCREEN: usize = 24;

    fn pages() -> Vec<(String, String)> {
        let mut command = command();
        let mut pages = vec![("rpm".to_owned(), command.render_help().to_string())];
        let names = command.get_subcommands().map(|one| one.get_name().to_owned());
        for name in
            names.filter(|name| !name.starts_with("__") && name != "help").collect::<Vec<_>>()
        {
            let page = command.find_subcommand_mut(&name).unwrap().render_help();
            pages.push((name, page.to_string()));
        }
        pages
    }

    #[test]
    fn every_page_fits_a_screen_and_ends_with_examples() {
        for (name, page) in pages() {
            let lines = page.lines().count();
            assert!(lines <= SCREEN, "{name} has {lines} lines:\n{page}");
            assert!(page.contains("\nExamples:\n  rpm "), "{page}");
            let wide = page.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{name}");
        }
    }

    #[test]
    fn every_example_is_a_command_line() {
        for (name, examples) in EXAMPLES {
            for line in examples.lines() {
                let words = shell_words(line);
                let words = words.iter().skip_while(|word| *word == "sudo");
                let parsed = Cli::try_parse_from(words.take_while(|word| !word.starts_with('>')));
                assert!(parsed.is_ok(), "{line}: {parsed:?}");
                let by_alias = ["rpm ls", "rpm show"].iter().any(|word| line.starts_with(word));
                assert!(line.contains(name) || by_alias, "{line}");
            }
        }
        let command = Cli::command();
        for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
            let name = one.get_name();
            assert!(EXAMPLES.iter().any(|(known, _)| *known == name), "{name}");
        }
    }

    /// Words parted by blanks, with quotes of both kinds.
    fn shell_words(line: &str) -> Vec<String> {
        let (mut words, mut quote, mut word) = (Vec::new(), None, String::new());
        for letter in line.chars() {
            match (quote, letter) {
                (Some(open), letter) if letter == open => quote = None,
                (None, '"' | '\'') => quote = Some(letter),
                (None, ' ') => words.push(std::mem::take(&mut word)),
                (_, letter) => word.push(letter),
            }
        }
        words.push(word);
        words
    }

    #[test]
    fn pages_speak_with_one_voice() {
        let full = Cli::command();
        for one in full.get_subcommands().filter(|one| !one.is_hide_set()) {
            let about = one.get_about().unwrap_or_default().to_string();
            let first = about.chars().next().unwrap_or(' ');
            let voice = first.is_uppercase() && !about.ends_with('.');
            assert!(voice, "{}: {about:?}", one.get_name());
            for arg in one.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let help = arg.get_help().unwrap_or_default().to_string();
                assert!(!help.is_empty() && !help.ends_with('.'), "{} {arg}", one.get_name());
            }
        }
    }

    #[test]
    fn what_takes_targets_completes_their_names() {
        let full = Cli::command();
        for one in full.get_subcommands().filter(|one| !one.is_hide_set()) {
            let takes = ["target", "targets", "app", "name"];
            let arg = one.get_positionals().find(|arg| takes.contains(&arg.get_id().as_str()));
            let Some(arg) = arg else { continue };
            let completer = arg.get::<clap_complete::engine::ArgValueCompleter>();
            assert!(completer.is_some(), "{} {arg}", one.get_name());
        }
    }
}
