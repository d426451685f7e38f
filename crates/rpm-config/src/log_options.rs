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
    let mut rules = LogRules::default();
    amend(&mut rules, options, search);
    rules
}

/// Puts what is given into its place.
pub(crate) fn amend(rules: &mut LogRules, options: &AppOptions, search: &Search) {
    fn put<T: Clone>(place: &mut T, given: &Option<T>) {
        if let Some(value) = given {
            place.clone_from(value);
        }
    }
    put(&mut rules.json, &options.log_json);
    // As under PM2 `time` wins, and its absence leaves the other.
    match (options.time, &options.log_date_format) {
        (Some(true), _) => rules.date_format = Some("YYYY-MM-DDTHH:mm:ss".to_owned()),
        (_, Some(format)) => {
            rules.date_format = Some(format.clone()).filter(|format| !format.is_empty());
        }
        (Some(false), None) => rules.date_format = None,
        (None, None) => {}
    }
    put(&mut rules.rotate, &options.rotate);
    put(&mut rules.when_full, &options.log_full);
    put(&mut rules.mode, &options.log_mode);
    rules.group = options.log_group.clone().or(rules.group.take());
    put(&mut rules.ship, &options.log_ship);
    match options.log_file.as_deref() {
        None => {}
        Some("NULL" | "/dev/null") => rules.combined = LogFile::Discard,
        Some("") => rules.combined = LogFile::Default,
        Some(path) => rules.combined = LogFile::Path(search.absolute(path)),
    }
    if options.disable_logs == Some(true) {
        rules.combined = LogFile::Discard;
        rules.ship.clear();
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
        let search = Search {
            cwd: "/srv".into(),
            home: Some("/home/a".into()),
            path: "".into(),
            nvm: "".into(),
        };
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
    fn time_wins_over_a_format() {
        let search = Search { cwd: "/srv".into(), home: None, path: "".into(), nvm: "".into() };
        let own = Some("HH:mm");
        let table = [
            (None, None, None),
            (Some(true), None, Some("YYYY-MM-DDTHH:mm:ss")),
            (Some(true), own, Some("YYYY-MM-DDTHH:mm:ss")),
            (Some(false), own, own),
            (None, own, own),
            (None, Some(""), None),
        ];
        for (time, format, want) in table {
            let log_date_format = format.map(str::to_owned);
            let options = AppOptions { time, log_date_format, ..AppOptions::default() };
            let found = logs(&options, &search).rules.date_format;
            assert_eq!(found.as_deref(), want, "{time:?} {format:?}");
        }
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
