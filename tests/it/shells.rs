//! What a person meets in a shell: help on one screen, the manual, completions of apps' names.

use crate::harness::{Home, Rpm};
use std::path::Path;

/// So many lines and columns has a terminal as it opens.
const SCREEN: (usize, usize) = (24, 80);

/// The commands of `rpm --help`, all of which it names.
fn commands(home: &Home) -> Vec<String> {
    let help = home.rpm(["--help"]).success().stdout;
    let rest = help.split_once("Commands:\n").expect("commands").1;
    let (explained, rest) = rest.split_once("More commands:\n").expect("more commands");
    let (named, _) = rest.split_once("Options:").expect("options");
    let is_word = |word: &&str| word.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let first = explained.lines().filter_map(|line| line.split_whitespace().next());
    let all = first.filter(is_word).chain(named.split_whitespace());
    let mut all: Vec<String> = all.map(str::to_owned).collect();
    all.retain(|name| name != "help");
    all
}

#[test]
fn each_help_is_one_screen_with_an_example() {
    let home = Home::new();
    let commands = commands(&home);
    assert!(commands.len() > 50, "{commands:?}");
    let pages = commands.iter().map(|name| vec![name.as_str(), "--help"]);
    for words in pages.chain([vec!["--help"], vec!["-h"]]) {
        let page = home.rpm_under(&[], &words).success().stdout;
        let widest = page.lines().map(|line| line.chars().count()).max();
        let size = (page.lines().count(), widest.unwrap_or_default());
        assert!(size.0 <= SCREEN.0 && size.1 <= SCREEN.1, "{words:?} {size:?}\n{page}");
        assert!(page.contains("Examples:\n  rpm "), "{page}");
    }
    assert_eq!(home.processes(), [], "help needs no daemon");
}

#[test]
fn rpm_alone_tells_the_three_commands_to_begin_with() {
    let alone = Home::new().rpm([]).exits(1).text();
    for word in ["rpm start", "rpm ls", "rpm logs"] {
        assert!(alone.contains(word), "no {word:?} in {alone}");
    }
    assert!(alone.lines().count() <= SCREEN.0, "{alone}");
}

#[test]
fn the_manual_has_every_command_with_its_options() {
    let home = Home::new();
    let page = home.rpm(["man"]).success().stdout;
    for name in commands(&home) {
        assert!(page.contains(&format!("\n.SH rpm {name}\n")), "no {name}");
    }
    for option in ["\\-\\-max\\-memory\\-restart", "\\-\\-kill\\-timeout", "\\-\\-dry\\-run"] {
        assert!(page.contains(option), "no {option}");
    }
}

/// An app that is there to be completed.
fn with_worker() -> Home {
    let home = Home::new();
    home.rpm(["start", "sleep 86460", "--name", "worker-of-mine"]).success();
    home
}

/// A shell on a terminal in which `lines` are typed, rpm in its PATH.
fn shell(home: &Home, line: &str, typed: &str) -> Rpm {
    let binary = Path::new(env!("CARGO_BIN_EXE_rpm"));
    let folder = binary.parent().unwrap().display();
    Rpm::new(home, &["script", "-qec", line, "/dev/null"])
        .env("PATH", format!("{folder}:/usr/local/bin:/usr/bin:/bin"))
        .env("HOME", home.work().display())
        .env("SHELL", "/bin/sh")
        .stdin(typed)
}

#[test]
fn a_tab_in_bash_completes_an_apps_name() {
    let home = with_worker();
    let typed = "eval \"$(rpm completion bash)\"\nrpm stop wor\t\nexit\n";
    let said = shell(&home, "bash --norc --noprofile -i", typed).output();
    assert_eq!(home.single("worker-of-mine").status(), "stopped", "{said:?}");
}

#[test]
fn a_tab_in_zsh_completes_an_apps_name() {
    let home = with_worker();
    let typed = "autoload -U compinit && compinit -u\neval \"$(rpm completion zsh)\"\n\
                 rpm stop wor\t\nexit\n";
    let said = shell(&home, "zsh -f -i", typed).output();
    assert_eq!(home.single("worker-of-mine").status(), "stopped", "{said:?}");
}

#[test]
fn fish_completes_an_apps_name_commands_and_options() {
    let home = with_worker();
    let ask = "rpm completion fish | source; complete -C 'rpm stop wor'; \
               complete -C 'rpm star'; complete -C 'rpm start --max-mem'";
    let said = Rpm::new(&home, &["fish", "--no-config", "-c", ask])
        .env(
            "PATH",
            format!(
                "{}:/usr/bin:/bin",
                Path::new(env!("CARGO_BIN_EXE_rpm")).parent().unwrap().display()
            ),
        )
        .env("HOME", home.work().display())
        .success();
    for word in ["worker-of-mine", "start", "startOrRestart", "startup", "--max-memory-restart"] {
        let has = said.stdout.lines().any(|line| line.split('\t').next() == Some(word));
        assert!(has, "no {word} in {said:?}");
    }
}
