//! [`Limits`]: what one instance may use, as far as the kernel can be asked to see to it.

use crate::{
    InvalidValue,
    tree::{Data, Entry, Node},
    value,
};
use serde::{Deserialize, Serialize};

const LIMITS: &str = "a table with `nofile`, `nice`, `memory`, `cpu` and `pids`, or some of them";

/// What an instance may use. `None`: as rpm itself was allowed to when it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Open files, soft and hard (RLIMIT_NOFILE).
    pub nofile: Option<u64>,
    /// Its niceness, -20 to 19 (setpriority(2)); less than rpm's own is for root.
    pub nice: Option<i8>,
    /// Bytes of memory of its whole tree. Needs a control group, as those below.
    pub memory: Option<u64>,
    /// Thousandths of a CPU.
    pub cpu: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// Reads the table.
pub(crate) fn read(node: &Node) -> Result<Limits, InvalidValue> {
    let entries = match &node.data {
        Data::Table(entries) => entries,
        Data::Bool(false) => return Ok(Limits::default()),
        data => return Err(InvalidValue::new(LIMITS, data.describe())),
    };
    let mut limits = Limits::default();
    for Entry { key, value } in entries {
        match key.as_str() {
            "nofile" => limits.nofile = Some(nofile(value)?),
            "nice" => limits.nice = Some(nice(value)?),
            "memory" => limits.memory = Some(value::size(value).map_err(|e| e.at(key))?),
            "cpu" => limits.cpu = Some(cpu(value)?),
            "pids" => limits.pids = Some(value::positive(value).map_err(|e| e.at(key))?),
            other => return Err(InvalidValue::new(LIMITS, format!("a table with `{other}`"))),
        }
    }
    Ok(limits)
}

/// Fewer would not even leave room for what a program starts with.
const FEWEST_FILES: u64 = 16;

fn nofile(node: &Node) -> Result<u64, InvalidValue> {
    let what = "a table whose `nofile` is a whole number from 16";
    match value::number(node, what)? {
        few if few < FEWEST_FILES => Err(InvalidValue::new(what, node.data.describe())),
        files => Ok(files),
    }
}

fn nice(node: &Node) -> Result<i8, InvalidValue> {
    let what = "a table whose `nice` is from -20 to 19";
    match value::number(node, what)? {
        nice if !(-20..=19).contains(&nice) => Err(InvalidValue::new(what, node.data.describe())),
        nice => Ok(nice),
    }
}

fn cpu(node: &Node) -> Result<u32, InvalidValue> {
    let what = "a table whose `cpu` is a number of CPUs such as 0.5";
    let cpus = match &node.data {
        Data::Float(cpus) => Some(*cpus),
        Data::Integer(cpus) => i32::try_from(*cpus).ok().map(f64::from),
        _ => None,
    };
    // In range, so that the cast cuts nothing but the fraction of a thousandth.
    let fits = cpus.filter(|cpus| (0.01..=4096.0).contains(cpus));
    let thousandths = fits.map(|cpus| (cpus * 1000.0).round() as u32);
    thousandths.ok_or_else(|| InvalidValue::new(what, node.data.describe()))
}

impl std::fmt::Display for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [
            self.memory.map(|bytes| format!("memory {}", size(bytes))),
            self.cpu.map(|thousandths| format!("cpu {}", f64::from(thousandths) / 1000.0)),
            self.pids.map(|count| format!("pids {count}")),
            self.nofile.map(|files| format!("nofile {files}")),
            self.nice.map(|nice| format!("nice {nice}")),
        ];
        f.write_str(&all.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// As it may be written: `1536M`.
fn size(bytes: u64) -> String {
    let units = [(30, "G"), (20, "M"), (10, "K")];
    let whole = units.iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    whole.map_or_else(
        || format!("{bytes} bytes"),
        |(shift, unit)| format!("{}{unit}", bytes >> shift),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units;

    fn one(key: &str, data: Data) -> Result<Limits, InvalidValue> {
        let entry = Entry { key: key.to_owned(), value: Node { line: None, data } };
        read(&Node { line: None, data: Data::Table(vec![entry]) })
    }

    #[test]
    fn limits_read_as_they_are_written() {
        let limits = Limits {
            nofile: Some(777),
            nice: Some(-7),
            memory: Some(1536 << 20),
            cpu: Some(500),
            pids: Some(10),
        };
        let text = "memory 1536M, cpu 0.5, pids 10, nofile 777, nice -7";
        assert_eq!(limits.to_string(), text);
        assert_eq!(Limits::default().to_string(), "");
        for (bytes, text) in [(1 << 30, "1G"), (1025, "1025 bytes"), (2048, "2K")] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_wrong_limit_is_named() {
        for (key, want) in [
            ("pids", "must be a table whose `pids` is a whole number from 1, but is \"many\""),
            ("cpu", "must be a table whose `cpu` is a number of CPUs such as 0.5, but is \"many\""),
            (
                "memory",
                "must be a table whose `memory` is a size with a unit such as \"300M\" or \
                 \"1.5GiB\", but is \"many\"",
            ),
        ] {
            assert_eq!(one(key, Data::Text("many".into())).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn each_limit_has_its_range() {
        let text = |text: &str| Data::Text(text.to_owned());
        let none = Limits::default();
        let nice = |nice| Ok(Limits { nice: Some(nice), ..none.clone() });
        assert_eq!(one("nice", Data::Integer(19)), nice(19));
        assert_eq!(one("nice", Data::Integer(-20)), nice(-20));
        assert_eq!(one("nofile", Data::Integer(16)).unwrap().nofile, Some(16));
        assert_eq!(one("cpu", Data::Float(0.5)).unwrap().cpu, Some(500));
        assert_eq!(one("memory", text("1M")).unwrap().memory, Some(units::size("1M").unwrap()));
        for (key, wrong) in [
            ("nice", Data::Integer(20)),
            ("nice", Data::Integer(-21)),
            ("nofile", Data::Integer(15)),
            ("nofile", Data::Integer(-1)),
            ("cpu", Data::Float(0.0)),
            ("cpu", Data::Float(f64::NAN)),
            ("cpu", text("much")),
            ("pids", Data::Integer(0)),
            ("memory", Data::Integer(300)),
            ("disk", Data::Integer(1)),
        ] {
            assert!(one(key, wrong.clone()).is_err(), "{key} {wrong:?}");
        }
    }
}
