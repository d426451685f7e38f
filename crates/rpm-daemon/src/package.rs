//! The version of an app: that of the nearest `package.json` upward from its script, as under PM2.

use rpm_config::AppName;
use serde::Deserialize;
use std::{cell::RefCell, collections::BTreeMap, fs, io::Read, path::Path};

/// A larger `package.json` is not read: npm's own are some kilobytes.
const MAX_BYTES: u64 = 1 << 20;
/// So many directories upward are looked at.
const MAX_LEVELS: usize = 32;

#[derive(Deserialize)]
struct Package {
    version: Option<String>,
}

/// The versions of apps as they were last read: when a worker was started, or when somebody first
/// looked at an app that does not run. A list of a thousand stopped apps reads no file.
#[derive(Default)]
pub(crate) struct Versions(RefCell<BTreeMap<AppName, Option<String>>>);

impl Versions {
    /// The version of an app that does not run.
    pub(crate) fn of(&self, app: &AppName, script: &Path) -> Option<String> {
        let mut known = self.0.borrow_mut();
        known.entry(app.clone()).or_insert_with(|| version_of(script)).clone()
    }

    /// The version of an app that was just started.
    pub(crate) fn read(&self, app: &AppName, script: &Path) -> Option<String> {
        self.forget(app);
        self.of(app, script)
    }

    /// The app is gone, or has another script.
    pub(crate) fn forget(&self, app: &AppName) {
        self.0.borrow_mut().remove(app);
    }
}

/// The version, if the nearest `package.json` has one.
fn version_of(script: &Path) -> Option<String> {
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

    #[test]
    fn a_version_is_read_at_a_start_and_not_at_each_look() {
        let root = tempfile::tempdir().unwrap();
        let (app, script) = (AppName::new("a").unwrap(), root.path().join("app.js"));
        let release = |version: &str| {
            let text = format!(r#"{{"version": "{version}"}}"#);
            fs::write(root.path().join("package.json"), text).unwrap();
        };
        let versions = Versions::default();
        release("1");
        assert_eq!(versions.of(&app, &script).as_deref(), Some("1"));
        release("2");
        assert_eq!(versions.of(&app, &script).as_deref(), Some("1"));
        assert_eq!(versions.read(&app, &script).as_deref(), Some("2"));
        release("3");
        versions.forget(&app);
        assert_eq!(versions.of(&app, &script).as_deref(), Some("3"));
    }
}
