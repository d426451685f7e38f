//! Files of variables (`env_file`), in the notation of dotenv. They are read at each spawn, so that
//! a secret that was changed counts from the next start on, and is kept nowhere else.

use crate::{Fault, search::Search};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

/// The largest such file, in bytes: the kernel gives a process no more than 2 MiB of environment.
const MAX_BYTES: u64 = 1024 * 1024;

/// The variables of all `paths`, the last one's winning. The error names file and line.
pub fn read_env_files(paths: &[PathBuf]) -> Result<BTreeMap<String, String>, String> {
    let mut all = BTreeMap::new();
    for path in paths {
        let variables = read(path)
            .map_err(|why| format!("env_file {} cannot be read: {why}", path.display()))?;
        all.extend(variables);
    }
    Ok(all)
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let is_too_long = file.metadata().is_ok_and(|meta| meta.len() > MAX_BYTES);
    if is_too_long {
        return Err(format!("it has more than {} KiB", MAX_BYTES >> 10));
    }
    let mut variables = BTreeMap::new();
    for pair in dotenvy::from_read_iter(BufReader::new(file.take(MAX_BYTES))) {
        let (name, value) = pair.map_err(|error| error.to_string())?;
        variables.insert(name, value);
    }
    Ok(variables)
}

/// The files `written`, absolute; each must be there when the app is first started.
pub(crate) fn resolve(written: Option<&[String]>, search: &Search) -> Result<Vec<PathBuf>, Fault> {
    let paths = written.unwrap_or_default().iter().map(|path| search.absolute(path));
    paths
        .map(|path| match read(&path) {
            Ok(_) => Ok(path),
            Err(why) => Err(Fault::EnvFile { path, why }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_file_wins_and_a_missing_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let first = file("a", "# c\nexport A=1\nB=\"two words\"\nC='$x'\n\nD=\n");
        let second = file("b", "A=2\n");
        let pairs = [("A", "2"), ("B", "two words"), ("C", "$x"), ("D", "")];
        let want = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(read_env_files(&[first, second]), Ok(want));
        let missing = directory.path().join("none");
        let error = read_env_files(&[missing]).unwrap_err();
        assert!(error.ends_with("none cannot be read: No such file or directory (os error 2)"));
        assert!(read_env_files(&[file("c", "A=1\nnot a pair\n")]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_changed_file_can_panic_the_reader(
            bytes in rpm_corpus::changed(rpm_corpus::inputs("env")),
        ) {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let _ = read_env_files(&[file.path().to_owned()]);
        }
    }
}
