//! Ecosystem files named on a command line: which words are files, and the chosen apps in them.

use crate::{
    cli::FileOptions, error::CliError, evaluate::evaluate, render::problem::ECOSYSTEM_FILES,
};
use rpm_config::{Context, Ecosystem, Format, nearest};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// What standard input is called, on the command line and in messages.
pub(crate) const STDIN: &str = "-";

/// Whether `word` names an ecosystem file, or standard input.
pub(crate) fn is_file(word: &str) -> bool {
    word == STDIN || Format::of(Path::new(word)).is_some()
}

/// The caller's surroundings, as `rpm-config` wants them.
pub(crate) fn context(options: &FileOptions) -> Result<Context, CliError> {
    Context::of_this_process(options.env.clone())
        .map_err(|error| CliError::io("the current directory cannot be used", &error))
}

/// Reads the file that `word` names, and leaves the apps that `--only` chooses.
pub(crate) fn read(
    word: &str,
    options: &FileOptions,
    context: &Context,
) -> Result<Ecosystem, CliError> {
    let mut ecosystem =
        if word == STDIN { read_stdin()? } else { Ecosystem::read(Path::new(word), evaluate)? };
    if let Some(only) = &options.only {
        choose(&mut ecosystem, only, context)?;
    }
    Ok(ecosystem)
}

fn read_stdin() -> Result<Ecosystem, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().take(rpm_config::MAX_FILE_BYTES).read_to_string(&mut text);
    read.map_err(|error| CliError::io("standard input cannot be read", &error))?;
    Ok(Ecosystem::parse(&text, Format::of_text(&text), Path::new(STDIN))?)
}

/// Leaves the apps that `only` names; each name must be in the file.
fn choose(ecosystem: &mut Ecosystem, only: &str, context: &Context) -> Result<(), CliError> {
    let names = ecosystem.names(context);
    let wanted: Vec<&str> =
        only.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty()).collect();
    if let Some(unknown) = wanted.iter().find(|name| !names.iter().any(|known| known == *name)) {
        let hint = match nearest(unknown, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("its apps are {}", names.join(", ")),
        };
        let path = ecosystem.path.display();
        return Err(CliError::failed(format!("{path} has no app named {unknown}"), hint));
    }
    let mut names = names.iter();
    ecosystem.apps.retain(|_| names.next().is_some_and(|name| wanted.contains(&name.as_str())));
    Ok(())
}

/// The ecosystem file of a directory: the first that is there.
pub(crate) fn of_directory(directory: &Path) -> Result<PathBuf, CliError> {
    let mut candidates = ECOSYSTEM_FILES.iter().map(|name| directory.join(name));
    candidates
        .find(|path| path.is_file())
        .ok_or_else(|| CliError::NoEcosystem { directory: directory.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn ecosystem() -> Ecosystem {
        let text = r#"{"apps": [{"script": "api.js"}, {"name": "web", "script": "w.js"}]}"#;
        Ecosystem::parse(text, Format::Json, Path::new("e.json")).unwrap()
    }

    fn chosen(only: &str) -> Result<Vec<String>, String> {
        let context = context(&FileOptions::default()).unwrap();
        let mut ecosystem = ecosystem();
        match choose(&mut ecosystem, only, &context) {
            Ok(()) => Ok(ecosystem.names(&context)),
            Err(CliError::Failed { message, hint }) => {
                Err(format!("{message}; {}", hint.unwrap_or_default()))
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_chooses_by_name() {
        let names = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(chosen("web"), names(&["web"]));
        assert_eq!(chosen("web,api"), names(&["api", "web"]));
        assert_eq!(chosen(" web , api "), names(&["api", "web"]));
        let near = "e.json has no app named wev; did you mean web?";
        assert_eq!(chosen("api,wev"), Err(near.into()));
        let far = "e.json has no app named worker; its apps are api, web";
        assert_eq!(chosen("worker"), Err(far.into()));
    }

    #[test]
    fn files_are_told_by_their_names() {
        for word in ["-", "ecosystem.toml", "a/b.json", "ecosystem.config.js", "x.yml"] {
            assert!(is_file(word), "{word}");
        }
        for word in ["app.js", "api", "0", "npm start", "ecosystem.js", "all"] {
            assert!(!is_file(word), "{word}");
        }
    }

    #[test]
    fn pm2s_file_is_preferred_and_nothing_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let found = || of_directory(directory.path());
        assert!(matches!(found(), Err(CliError::NoEcosystem { .. })));
        for name in ["ecosystem.json", "ecosystem.toml", "ecosystem.config.js"] {
            fs::write(directory.path().join(name), "").unwrap();
            assert_eq!(found().unwrap(), directory.path().join(name));
        }
    }
}
