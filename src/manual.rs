//! The manual page, in the language of man(7): every command with all its options, on one page, so
//! that a search in the pager finds them.

use crate::{cli::Cli, error::CliError, help, session::Session};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::io;

/// Prints it.
pub(crate) fn print(session: &Session) -> Result<(), CliError> {
    let page = page().map_err(|error| CliError::io("the manual page", &error))?;
    session.print(&String::from_utf8_lossy(&page))
}

fn page() -> io::Result<Vec<u8>> {
    let command = Cli::command();
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        section(one, &mut page)?;
    }
    Ok(page)
}

/// One command: what it does, how it is written, its other names, its options, examples.
fn section(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let name = command.get_name();
    let about = command.get_about().unwrap_or_default().to_string();
    let mut head = command.clone().disable_help_flag(true).bin_name(format!("rpm {name}"));
    let usage = head.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace('\n', " ");
    page.extend(format!(".SH rpm {name}\n{}.\n", escaped(&about)).bytes());
    page.extend(format!(".PP\n\\fB{}\\fR\n", escaped(&usage)).bytes());
    let aliases: Vec<&str> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        page.extend(format!(".PP\nAlso: {}.\n", escaped(&aliases.join(", "))).bytes());
    }
    // Its parts are below its own heading.
    let mut options = Vec::new();
    Man::new(head).render_options_section(&mut options)?;
    let options = String::from_utf8_lossy(&options).replace(".SH ", ".SS ");
    // Definitions of letters, which the first part has made.
    let is_text = |line: &&str| !line.starts_with(".ie ") && !line.starts_with(".el ");
    page.extend(options.lines().filter(is_text).flat_map(|line| [line, "\n"]).flat_map(str::bytes));
    if let Some(examples) = help::examples(name) {
        page.extend(b".SS EXAMPLES\n.nf\n");
        page.extend(format!("{}\n.fi\n", escaped(examples)).bytes());
    }
    Ok(())
}

/// As text of man(7): a backslash and a hyphen stand for themselves.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_every_option_is_on_it() {
        let page = String::from_utf8(page().unwrap()).unwrap();
        for one in Cli::command().get_subcommands().filter(|one| !one.is_hide_set()) {
            let head = format!(".SH rpm {}\n", one.get_name());
            let (_, rest) = page.split_once(&head).unwrap_or_else(|| panic!("no {head}"));
            let section = rest.split("\n.SH ").next().unwrap();
            for arg in one.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let Some(long) = arg.get_long() else { continue };
                let option = format!("\\-\\-{}", long.replace('-', "\\-"));
                assert!(section.contains(&option), "no --{long} in {section}");
            }
        }
        // Requests of man(7) stand at the beginnings of lines, and nothing else does.
        let known = [
            ".ie", ".el", ".TH", ".SH", ".SS", ".TP", ".PP", ".RS", ".RE", ".br", ".nf", ".fi",
            ".sp", ".IP",
        ];
        for line in page.lines().filter(|line| line.starts_with('.')) {
            let request = line.split(' ').next().unwrap();
            assert!(known.contains(&request), "{line}");
        }
    }
}
