//! Which file tells an instance's pid, with PM2's names.

use crate::{
    AppSpec,
    instance::{INSTANCE, with_slot},
    log_path::numbered,
};
use std::path::{Path, PathBuf};

/// The file of the pid of the instance with PM2's id `id` in `slot`: `NAME-<id>.pid` in `pids_dir`,
/// which is `RPM_HOME/pids`, or what the app says, with the id before `.pid` as under PM2.
pub fn pid_path(spec: &AppSpec, pids_dir: &Path, id: u32, slot: u32) -> PathBuf {
    let Some(path) = &spec.pid_file else {
        return pids_dir.join(format!("{}-{id}.pid", spec.name.file_stem()));
    };
    match path.to_str() {
        // A path that names the instance needs no id to be its own.
        Some(text) if text.contains(INSTANCE) => with_slot(text, slot).into(),
        _ => numbered(path.clone(), ".pid", id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppOptions, test_machine::Machine};

    #[test]
    fn the_names_of_files() {
        let machine = Machine::new().program("server");
        let table = [
            (None, "/pids/my-app-1-5.pid"),
            (Some("/run/a.pid"), "/run/a-5.pid"),
            (Some("/run/a-12.pid"), "/run/a-5.pid"),
            (Some("/run/a"), "/run/a"),
            (Some("/run/a{instance}.pid"), "/run/a2.pid"),
        ];
        for (pid_file, want) in table {
            let spec = machine.spec(&AppOptions {
                name: Some("my app_1".into()),
                script: Some("server".into()),
                pid_file: pid_file.map(str::to_owned),
                ..AppOptions::default()
            });
            assert_eq!(pid_path(&spec, Path::new("/pids"), 5, 2), Path::new(want), "{pid_file:?}");
        }
    }
}
