//! The version of an app: that of the nearest `package.json` upward from its script, as under PM2.

use serde::Deserialize;
use std::{fs, io::Read, path::Path};

/// A larger `package.json` is not read: npm's own are some kilobytes.
const MAX_BYTES: u64 = 1 << 20;
/// So many directories upward are looked at.
const MAX_LEVELS: usize = 32;

#[derive(Deserialize)]
struct Package {
    version: Option<String>,
}

/// The version, if the nearest `package.json` has one.
pub(crate) fn version_of(script: &Path) -> Option<String> {
    let directories = script.ancestors().skip(1).take(MAX_LEVELS);
    let mut files = directories.map(|directory| directory.join("package.json"));
    let file = fs::File::open(files.find(|file| file.is_file())?).ok()?;
    let package: Package = serde_json::from_reader(file.take(MAX_BYTES)).ok()?;
    package.version
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_package_counts() {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        file("package.json", r#"{"version": "1.2.3"}"#);
        let script = root.path().join("a/b/app.js");
        assert_eq!(version_of(&script).as_deref(), Some("1.2.3"));
        file("a/package.json", r#"{"name": "x"}"#);
        assert_eq!(version_of(&script), None);
        file("a/package.json", "{");
        assert_eq!(version_of(&script), None);
    }
}
