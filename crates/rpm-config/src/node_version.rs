//! `interpreter = "node@20"`: a Node of that version, of those that nvm has installed. Nothing is
//! installed here: a start is no time to wait for a download.

use crate::{ScriptFault, search::Search};
use std::{fs, path::PathBuf};

/// A version, as numbers: so many as were written, or all three of a directory's name.
type Version = Vec<u32>;

/// Node's file for `text`, `node@20`, `node@20.11` or `node@20.11.1`: the newest that fits.
pub(crate) fn find(text: &str, search: &Search) -> Result<PathBuf, ScriptFault> {
    let folder = search.nvm.join("versions/node");
    let wanted = text.strip_prefix("node@").and_then(numbers);
    let missing = || ScriptFault::InterpreterVersion {
        interpreter: text.to_owned(),
        folder: folder.clone(),
        installed: installed(&folder).iter().map(written).collect(),
    };
    let wanted = wanted.ok_or_else(missing)?;
    let newest = installed(&folder).into_iter().rfind(|found| found.starts_with(&wanted));
    let newest = newest.ok_or_else(missing)?;
    Ok(folder.join(format!("v{}", written(&newest))).join("bin/node"))
}

/// What is there, oldest first.
fn installed(folder: &std::path::Path) -> Vec<Version> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| numbers(&entry.file_name().into_string().ok()?));
    let has_node = |version: &Version| {
        folder.join(format!("v{}", written(version))).join("bin/node").is_file()
    };
    let mut found: Vec<Version> = named.filter(has_node).collect();
    found.sort();
    found
}

/// `v20.11.1` or `20.11.1`.
fn numbers(text: &str) -> Option<Version> {
    let parts = text.strip_prefix('v').unwrap_or(text).split('.');
    parts.map(|part| part.parse().ok()).collect()
}

fn written(version: &Version) -> String {
    version.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_that_fits_is_taken_by_numbers_and_not_by_letters() {
        let nvm = tempfile::tempdir().unwrap();
        let folder = nvm.path().join("versions/node");
        for name in ["v18.20.1", "v20.9.0", "v20.11.1", "v22.1.0/lib", "system"] {
            let bin = folder.join(name).join("bin");
            fs::create_dir_all(&bin).unwrap();
            fs::write(bin.join("node"), "").unwrap();
        }
        let search =
            Search { cwd: "/".into(), home: None, path: "".into(), nvm: nvm.path().to_owned() };
        let table = [
            ("node@20", Some("v20.11.1")),
            ("node@20.9", Some("v20.9.0")),
            ("node@v18.20.1", Some("v18.20.1")),
            ("node@2", None),
            ("node@22", None),
            ("node@lts", None),
            ("node@", None),
        ];
        for (text, want) in table {
            let want = want.map(|version| folder.join(version).join("bin/node"));
            assert_eq!(find(text, &search).ok(), want, "{text}");
        }
        let error = find("node@16", &search).unwrap_err();
        let want = format!(
            "interpreter node@16 is not in {}, which has 18.20.1, 20.9.0, 20.11.1",
            folder.display()
        );
        assert_eq!(error.to_string(), want);
    }
}
