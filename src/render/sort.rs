//! The order of a list: `--sort FIELD` and `--sort FIELD:desc`.

use rpm_protocol::InstanceView;
use std::cmp::Ordering;

/// The fields, PM2's.
pub(crate) const FIELDS: [&str; 8] =
    ["name", "namespace", "pid", "id", "cpu", "memory", "uptime", "status"];

type Compare = fn(&InstanceView, &InstanceView) -> Ordering;

/// By which field, and which way.
#[derive(Clone, Copy)]
pub(crate) struct Order {
    compare: Compare,
    descending: bool,
}

impl Order {
    /// The order that `text` names; the name of the field if there is no such one.
    pub(crate) fn of(text: &str) -> Result<Self, String> {
        let (field, way) = text.split_once(':').unwrap_or((text, "asc"));
        let compare: Compare = match field {
            "name" => |a, b| a.name.cmp(&b.name),
            "namespace" => |a, b| a.namespace.cmp(&b.namespace),
            "pid" => |a, b| a.pid.cmp(&b.pid),
            "id" | "pm_id" => |a, b| a.id.cmp(&b.id),
            "cpu" => |a, b| a.cpu.total_cmp(&b.cpu),
            "memory" | "mem" => |a, b| a.memory.cmp(&b.memory),
            // Who started last has been up the shortest.
            "uptime" => |a, b| b.started_at.cmp(&a.started_at),
            "status" => |a, b| a.status.cmp(&b.status),
            _ => return Err(field.to_owned()),
        };
        Ok(Self { compare, descending: way == "desc" })
    }

    /// Sorts; what is equal stays in the order of ids.
    pub(crate) fn sort(self, instances: &mut [InstanceView]) {
        instances.sort_by(|a, b| {
            let order = (self.compare)(a, b);
            if self.descending { order.reverse() } else { order }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::instance;

    fn sorted(by: &str) -> Vec<u32> {
        let with = |id, name, memory, started| InstanceView {
            memory,
            started_at: Some(started),
            ..instance(id, name)
        };
        let mut all = vec![with(0, "b", 1, 30), with(1, "a", 3, 20), with(2, "a", 2, 10)];
        Order::of(by).ok().unwrap().sort(&mut all);
        all.iter().map(|one| one.id).collect()
    }

    #[test]
    fn fields_and_ways() {
        assert_eq!(sorted("name"), [1, 2, 0]);
        assert_eq!(sorted("name:desc"), [0, 1, 2]);
        assert_eq!(sorted("memory:desc"), [1, 2, 0]);
        assert_eq!(sorted("uptime"), [0, 1, 2]);
        assert_eq!(sorted("id:desc"), [2, 1, 0]);
        assert!(Order::of("colour").is_err());
        assert!(FIELDS.iter().all(|field| Order::of(field).is_ok()));
    }
}
