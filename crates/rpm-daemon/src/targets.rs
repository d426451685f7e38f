//! From words a person typed to instances: `all`, an id, a name, `/regex/`, a namespace, a script.

use regex_lite::Regex;
use rpm_config::{AppName, AppSpec};
use rpm_protocol::Targets;
use rpm_supervisor::{Fleet, InstanceId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The specs the engine keeps, by name.
pub(crate) type Specs = BTreeMap<AppName, Arc<AppSpec>>;

/// A word that means nothing in this fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// For a person.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: String,
}

/// The instances that `targets` mean, in id order. Each word must mean at least one.
pub(crate) fn resolve(
    targets: &Targets,
    fleet: &Fleet,
    specs: &Specs,
) -> Result<Vec<InstanceId>, Unknown> {
    let mut found = BTreeSet::new();
    for word in &targets.words {
        let apps = apps_matching(word, targets, specs);
        let before = found.len();
        found.extend(instances_of(fleet, |app| apps.contains(app)));
        if found.len() == before && apps.is_empty() {
            found.insert(by_id(word, fleet).ok_or_else(|| unknown(word, specs))?);
        }
    }
    Ok(found.into_iter().collect())
}

/// All instances of the apps that `wanted` picks.
pub(crate) fn instances_of(fleet: &Fleet, wanted: impl Fn(&AppName) -> bool) -> Vec<InstanceId> {
    let apps = fleet.apps.iter().filter(|(name, _)| wanted(name));
    apps.flat_map(|(_, app)| app.instances.values().map(|instance| instance.id)).collect()
}

/// PM2's order: everything, a pattern, a name or script, a namespace. Numbers are names first.
fn apps_matching(word: &str, targets: &Targets, specs: &Specs) -> BTreeSet<AppName> {
    let pick = |wanted: &dyn Fn(&AppSpec) -> bool| -> BTreeSet<AppName> {
        specs.values().filter(|spec| wanted(spec)).map(|spec| spec.name.clone()).collect()
    };
    if word == "all" {
        return pick(&|_| true);
    }
    if let Some(pattern) = word.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        return match Regex::new(pattern) {
            Ok(regex) => pick(&|spec| regex.is_match(spec.name.as_str())),
            Err(_) => BTreeSet::new(),
        };
    }
    let script = targets.cwd.join(word);
    let named = pick(&|spec| spec.name.as_str() == word || spec.launch.script == script);
    if named.is_empty() { pick(&|spec| spec.namespace == word) } else { named }
}

fn by_id(word: &str, fleet: &Fleet) -> Option<InstanceId> {
    let id = InstanceId(word.parse().ok()?);
    fleet.instance(id).map(|_| id)
}

fn unknown(word: &str, specs: &Specs) -> Unknown {
    if word == "all" {
        return Unknown {
            message: "no app is running".to_owned(),
            hint: "start one: rpm start app.js".to_owned(),
        };
    }
    let names = || specs.keys().map(AppName::as_str);
    // A letter wrong, or two swapped; else whatever begins alike.
    let alike = || {
        let all = names().map(|name| (strsim::jaro_winkler(word, name), name));
        let all = all.filter(|(likeness, _)| *likeness > 0.75);
        all.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
    };
    let hint = match rpm_config::nearest(word, names()).or_else(alike) {
        Some(name) => format!("did you mean {name}?"),
        None => "rpm ls shows what there is".to_owned(),
    };
    Unknown { message: format!("no app, id, namespace or pattern matches {word:?}"), hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn ids(words: &[&str]) -> Result<Vec<u32>, Unknown> {
        let mut worker = fixture::spec("worker");
        worker.namespace = "jobs".to_owned();
        worker.launch.script = "/srv/jobs/work.js".into();
        let (api, number) = (fixture::spec("api"), fixture::spec("3"));
        let fleet = fixture::fleet(&[&api, &worker, &number]);
        let specs: Specs =
            [api, worker, number].into_iter().map(|s| (s.name.clone(), Arc::new(s))).collect();
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let targets = Targets { words, cwd: "/srv".into() };
        resolve(&targets, &fleet, &specs).map(|ids| ids.into_iter().map(|id| id.0).collect())
    }

    #[test]
    fn every_kind_of_word() {
        assert_eq!(ids(&["all"]), Ok(vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(ids(&["api"]), Ok(vec![0, 1]));
        assert_eq!(ids(&["2"]), Ok(vec![2]));
        assert_eq!(ids(&["/^(a|w)/"]), Ok(vec![0, 1, 2, 3]));
        assert_eq!(ids(&["jobs"]), Ok(vec![2, 3]));
        assert_eq!(ids(&["jobs/work.js"]), Ok(vec![2, 3]));
        assert_eq!(ids(&["api", "2", "api"]), Ok(vec![0, 1, 2]));
    }

    #[test]
    fn a_number_is_a_name_before_it_is_an_id() {
        assert_eq!(ids(&["3"]), Ok(vec![4, 5]));
    }

    #[test]
    fn a_word_that_means_nothing() {
        let unknown = |message: &str, hint: &str| {
            Err(Unknown { message: message.to_owned(), hint: hint.to_owned() })
        };
        let matches = |word| format!("no app, id, namespace or pattern matches {word:?}");
        assert_eq!(ids(&["appi"]), unknown(&matches("appi"), "did you mean api?"));
        assert_eq!(ids(&["aip"]), unknown(&matches("aip"), "did you mean api?"));
        assert_eq!(ids(&["/(/"]), unknown(&matches("/(/"), "rpm ls shows what there is"));
        assert_eq!(ids(&["api", "77"]), unknown(&matches("77"), "rpm ls shows what there is"));
        let nothing = Targets { words: vec!["all".to_owned()], cwd: "/".into() };
        let empty = resolve(&nothing, &Fleet::default(), &Specs::new());
        assert_eq!(empty.unwrap_err().message, "no app is running");
    }
}
