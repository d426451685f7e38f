//! What all logs of a home may have together: `rpm set logs:max_total 5G`.

use rpm_logs::rotate::total::Totals;
use rpm_unix::home::Home;
use serde_json::Value;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// A larger file is none that was written by `rpm set`.
const MAX_BYTES: u64 = 1 << 20;

/// The limits of this home's logs. The setting is read before each rotation, on the thread that
/// writes logs, so a new one counts at once.
pub(crate) fn totals(home: &Home) -> Totals {
    let settings = home.module_conf();
    Totals::new(Box::new(move || limit(&settings)), home.logs())
}

/// The setting in this file; `None` where there is none, or no size that can be read.
fn limit(settings: &Path) -> Option<u64> {
    let settings: Value = serde_json::from_slice(&read(settings).ok()?).ok()?;
    rpm_config::size(settings.get("logs")?.get("max_total")?.as_str()?).ok()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_of_a_home() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("module_conf.json");
        assert_eq!(limit(&path), None);
        for (text, want) in [
            (r#"{"logs": {"max_total": "5M"}}"#, Some(5 << 20)),
            (r#"{"logs": {"max_total": "much"}}"#, None),
            (r#"{"logs": "5M"}"#, None),
            ("{", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(limit(&path), want, "{text}");
        }
    }
}
