//! The keys about logs, to a [`LogSpec`].

use crate::{
    AppOptions, Instances, LogRules,
    search::Search,
    spec::{ExecMode, LogFile, LogSpec},
};

/// Where the app's output goes.
pub(crate) fn logs(options: &AppOptions, search: &Search) -> LogSpec {
    let file = |written: &Option<String>| match written.as_deref() {
        _ if options.disable_logs == Some(true) => LogFile::Discard,
        None => LogFile::Default,
        Some("NULL" | "/dev/null") => LogFile::Discard,
        Some(path) => LogFile::Path(search.absolute(path)),
    };
    LogSpec {
        out: file(&options.out_file),
        error: file(&options.error_file),
        merge: options.merge_logs.unwrap_or_else(|| merged_by_default(options)),
        rules: rules(options, search),
    }
}

fn rules(options: &AppOptions, search: &Search) -> LogRules {
    let combined = match options.log_file.as_deref() {
        _ if options.disable_logs == Some(true) => LogFile::Discard,
        None | Some("NULL" | "/dev/null") => LogFile::Discard,
        Some("") => LogFile::Default,
        Some(path) => LogFile::Path(search.absolute(path)),
    };
    // PM2's format of `time`.
    let time = options.time.unwrap_or(false).then(|| "YYYY-MM-DDTHH:mm:ss".to_owned());
    let given = options.log_date_format.clone().filter(|format| !format.is_empty());
    let default = LogRules::default();
    LogRules {
        json: options.log_json.unwrap_or(default.json),
        date_format: given.or(time),
        combined,
        rotate: options.rotate.clone().unwrap_or(default.rotate),
        when_full: options.log_full.unwrap_or(default.when_full),
        mode: options.log_mode.unwrap_or(default.mode),
        group: options.log_group.clone(),
        ship: match options.disable_logs {
            Some(true) => Vec::new(),
            Some(false) | None => options.log_ship.clone().unwrap_or_default(),
        },
    }
}

/// PM2's default: one file for all unless a number of instances is given or cluster mode is asked
/// for by name. So `-i 2` has a file per instance, and `-i max` has one.
fn merged_by_default(options: &AppOptions) -> bool {
    let counted = matches!(options.instances, Some(Instances::Count(_) | Instances::AllBut(_)));
    !counted && options.exec_mode != Some(ExecMode::Cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_streams() {
        let search = Search { cwd: "/srv".into(), home: Some("/home/a".into()), path: "".into() };
        let table = [
            (None, LogFile::Default),
            (Some("NULL"), LogFile::Discard),
            (Some("/dev/null"), LogFile::Discard),
            (Some("logs/a.log"), LogFile::Path("/srv/logs/a.log".into())),
            (Some("~/a.log"), LogFile::Path("/home/a/a.log".into())),
            (Some("/l/{instance}.log"), LogFile::Path("/l/{instance}.log".into())),
        ];
        for (written, want) in table {
            let out_file = written.map(str::to_owned);
            let options = AppOptions { out_file, ..AppOptions::default() };
            let rules = LogRules::default();
            let want = LogSpec { out: want, error: LogFile::Default, merge: true, rules };
            assert_eq!(logs(&options, &search), want, "{written:?}");
        }
        let options = AppOptions {
            out_file: Some("a".into()),
            disable_logs: Some(true),
            ..AppOptions::default()
        };
        let rules = LogRules::default();
        let want = LogSpec { out: LogFile::Discard, error: LogFile::Discard, merge: true, rules };
        assert_eq!(logs(&options, &search), want);
    }

    #[test]
    fn what_is_merged_unless_said() {
        let (fork, cluster) = (Some(ExecMode::Fork), Some(ExecMode::Cluster));
        let table = [
            (None, None, true),
            (Some(Instances::Max), None, true),
            (Some(Instances::Count(1)), None, false),
            (Some(Instances::AllBut(1)), None, false),
            (Some(Instances::Count(2)), fork, false),
            (None, fork, true),
            (None, cluster, false),
            (Some(Instances::Max), cluster, false),
        ];
        for (instances, exec_mode, want) in table {
            let options = AppOptions { instances, exec_mode, ..AppOptions::default() };
            assert_eq!(merged_by_default(&options), want, "{instances:?} {exec_mode:?}");
        }
    }
}
