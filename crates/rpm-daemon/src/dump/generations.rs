//! The former lists beside a list: `dump.pm2.bak`, which PM2 has too, then `.1` to `.3`, the oldest
//! last. With the list itself they are five generations.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What is put behind the name, newest first.
const FORMER: [&str; 4] = ["bak", "1", "2", "3"];

/// Makes `bytes` the newest generation. At every instant the list is the old one or the new one,
/// also after a crash; the oldest generation goes.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What is left of killed writers takes room, but is no reason not to write.
    let _left = rpm_unix::atomic::sweep(path);
    if path.exists() {
        // The same list again is no generation of its own: five equal ones would protect nothing.
        if fs::read(path)? == bytes {
            return Ok(());
        }
        shift(path)?;
    }
    rpm_unix::atomic::write(path, bytes)
}

/// The former generations of a list, newest first, whether they are there or not.
pub(super) fn former(path: &Path) -> impl Iterator<Item = PathBuf> {
    FORMER.iter().map(move |end| {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(end);
        PathBuf::from(name)
    })
}

/// Each becomes the next older one; the newest stays in its place and gets a copy behind it.
fn shift(path: &Path) -> io::Result<()> {
    let former: Vec<PathBuf> = former(path).collect();
    for pair in former.windows(2).rev() {
        let [newer, older] = pair else { continue };
        match fs::rename(newer, older) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    match former.first() {
        Some(first) => rpm_unix::atomic::write(first, &fs::read(path)?),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_generations_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dump.pm2");
        for number in 0..8 {
            let text = number.to_string();
            replace(&path, text.as_bytes()).unwrap();
            // Once more makes no difference.
            replace(&path, text.as_bytes()).unwrap();
        }
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        let all: Vec<_> = [path.clone()].into_iter().chain(former(&path)).map(read).collect();
        assert_eq!(all, ["7", "6", "5", "4", "3"]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 5);
    }

    #[test]
    fn what_cannot_be_written_leaves_the_list() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dump.pm2");
        replace(&path, b"one").unwrap();
        // A directory does not take the place of another one that has something in it.
        fs::create_dir_all(directory.path().join("dump.pm2.2/full")).unwrap();
        fs::create_dir_all(directory.path().join("dump.pm2.3/full")).unwrap();
        assert!(replace(&path, b"two").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }
}
