//! `init`: an ecosystem file to begin with. An existing one is never written over.

use crate::{cli::Init, error::CliError, session::Session};
use std::{fs::OpenOptions, io::Write};

/// What is written; TOML, because it needs no runtime to be read.
const FILE: &str = "ecosystem.toml";

/// The app a person changes into theirs.
const SIMPLE: &str = "\
# The apps of this project: `rpm start`, and after a change `rpm reload ecosystem.toml`.

[[apps]]
name = \"app\"
script = \"app.js\"
";

/// Every key with its meaning, commented out.
const EXAMPLE: &str = include_str!("../../ecosystem.example.toml");

/// Where in the example the part about every key begins.
const EVERY_KEY: &str = "# Below, every key there is";

/// Writes the file into the current directory.
pub(crate) fn run(session: &Session, options: &Init) -> Result<(), CliError> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(FILE).map_err(|error| match error
            .kind()
        {
            std::io::ErrorKind::AlreadyExists => {
                CliError::failed(format!("{FILE} is there already"), "remove it first, or edit it")
            }
            _ => CliError::io(&format!("{FILE} cannot be written"), &error),
        })?;
    let text = if options.simple() { SIMPLE.to_owned() } else { commented() };
    file.write_all(text.as_bytes())
        .map_err(|error| CliError::io(&format!("{FILE} cannot be written"), &error))?;
    session.say(&format!("wrote {FILE}; name your script in it, then: rpm start"));
    Ok(())
}

fn commented() -> String {
    let start = EXAMPLE.find(EVERY_KEY).unwrap_or_default();
    format!("{SIMPLE}\n{}", EXAMPLE.get(start..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_config::{Ecosystem, Format};
    use std::path::Path;

    #[test]
    fn both_forms_are_one_app() {
        for text in [SIMPLE.to_owned(), commented()] {
            let file = Ecosystem::parse(&text, Format::Toml, Path::new(FILE)).unwrap();
            let scripts: Vec<_> = file.apps.iter().map(|app| app.options.script.clone()).collect();
            assert_eq!(scripts, [Some("app.js".to_owned())]);
        }
        assert!(commented().contains("#kill_timeout = "));
    }
}
