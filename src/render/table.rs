//! The table of all instances. Where it does not fit, columns are left out in a fixed order, as
//! PM2's condensed and mini tables do, and then names are cut.

use super::{
    grid::{cut, grid},
    leaving,
    style::{Colors, Paint},
    units,
};
use comfy_table::Cell;
use rpm_protocol::{InstanceView, LeavingView};
use std::time::{SystemTime, UNIX_EPOCH};

/// What an instance has in each of [`COLUMNS`]. Made once: fleets have thousands.
type Row = [String; COLUMNS.len()];

/// The columns, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Id,
    Name,
    Namespace,
    Version,
    Mode,
    Pid,
    Uptime,
    Restarts,
    Status,
    Cpu,
    Memory,
    User,
    Watching,
}

const COLUMNS: [Column; 13] = [
    Column::Id,
    Column::Name,
    Column::Namespace,
    Column::Version,
    Column::Mode,
    Column::Pid,
    Column::Uptime,
    Column::Restarts,
    Column::Status,
    Column::Cpu,
    Column::Memory,
    Column::User,
    Column::Watching,
];

/// What goes first where the table is too wide: what is the same in most rows.
const DROPPED: [Column; 8] = [
    Column::Watching,
    Column::User,
    Column::Namespace,
    Column::Version,
    Column::Pid,
    Column::Mode,
    Column::Uptime,
    Column::Restarts,
];

/// What a column takes beside its text: a line and two blanks.
const PADDING: usize = 3;
/// Names are not cut shorter than this: the table then breaks, but can be read.
const SHORTEST_NAME: usize = 8;

/// The fleet for a terminal `width` columns wide, or for a pipe.
pub(crate) fn fleet(instances: &[InstanceView], width: Option<u16>, colors: Colors) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    at(instances, width, colors, u64::try_from(now).unwrap_or(u64::MAX))
}

fn at(instances: &[InstanceView], width: Option<u16>, colors: Colors, now: u64) -> String {
    if instances.is_empty() {
        return "no apps; start one: rpm start app.js".into();
    }
    let rows: Vec<Row> =
        instances.iter().map(|one| COLUMNS.map(|column| column.text(one, now))).collect();
    let (columns, name_width) = fit(&widths(&rows), width);
    let heading = columns.iter().map(|column| colors.cell(Paint::Label, column.title()));
    let cells = |row: Row| -> Vec<Cell> {
        let shown = COLUMNS.iter().zip(row).filter(|(column, _)| columns.contains(column));
        shown.map(|(column, text)| column.cell(text, name_width, colors)).collect()
    };
    let mut table = grid(colors, rows.into_iter().map(cells).collect());
    table.set_header(heading.collect::<Vec<_>>());
    let leaving = instances.iter().flat_map(|one| one.leaving.iter().map(move |old| (one, old)));
    let mut lines = vec![table.to_string()];
    lines.extend(leaving.map(|(one, old)| leaving_line(one, old)));
    lines.join("\n")
}

/// A worker that was replaced and is still there.
fn leaving_line(instance: &InstanceView, old: &LeavingView) -> String {
    let InstanceView { id, name, .. } = instance;
    format!("{name} {id}: its former worker, pid {}, is {}", old.pid, leaving::state(old))
}

/// How wide each column is.
fn widths(rows: &[Row]) -> Vec<(Column, usize)> {
    let mut widths: Vec<_> =
        COLUMNS.iter().map(|column| (*column, column.title().chars().count())).collect();
    for row in rows {
        for ((_, width), text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    widths
}

/// The columns that fit, and how many characters a name may have.
fn fit(widths: &[(Column, usize)], width: Option<u16>) -> (Vec<Column>, usize) {
    let Some(width) = width.map(usize::from) else { return (COLUMNS.to_vec(), usize::MAX) };
    let mut columns = COLUMNS.to_vec();
    let needed = |columns: &[Column]| -> usize {
        let shown = widths.iter().filter(|(column, _)| columns.contains(column));
        shown.map(|(_, width)| width.saturating_add(PADDING)).sum()
    };
    for dropped in DROPPED {
        // One more line closes the box.
        if needed(&columns) < width {
            break;
        }
        columns.retain(|column| *column != dropped);
    }
    let over = needed(&columns).saturating_add(1).saturating_sub(width);
    let name = widths.iter().find(|(column, _)| *column == Column::Name).map_or(0, |one| one.1);
    (columns, name.saturating_sub(over).max(SHORTEST_NAME))
}

impl Column {
    /// PM2's words.
    fn title(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Namespace => "namespace",
            Self::Version => "version",
            Self::Mode => "mode",
            Self::Pid => "pid",
            Self::Uptime => "uptime",
            Self::Restarts => "↺",
            Self::Status => "status",
            Self::Cpu => "cpu",
            Self::Memory => "mem",
            Self::User => "user",
            Self::Watching => "watching",
        }
    }

    fn text(self, one: &InstanceView, now: u64) -> String {
        match self {
            Self::Id => one.id.to_string(),
            Self::Name => one.name.to_string(),
            Self::Namespace => one.namespace.clone(),
            Self::Version => one.version.clone().unwrap_or_else(|| "N/A".into()),
            Self::Mode => one.mode.clone(),
            Self::Pid => one.pid.unwrap_or(0).to_string(),
            Self::Uptime => uptime(one, now),
            Self::Restarts => one.restarts.to_string(),
            Self::Status => one.status.clone(),
            Self::Cpu => format!("{:.1}%", one.cpu),
            Self::Memory => units::memory(one.memory),
            Self::User => one.user.clone(),
            Self::Watching => watching(one).into(),
        }
    }

    fn cell(self, text: String, name_width: usize, colors: Colors) -> Cell {
        match self {
            Self::Id => colors.cell(Paint::Label, &text),
            Self::Name => Cell::new(cut(&text, name_width)),
            Self::Status => colors.cell(Paint::of_status(&text), &text),
            Self::Namespace
            | Self::Version
            | Self::Mode
            | Self::Pid
            | Self::Uptime
            | Self::Restarts
            | Self::Cpu
            | Self::Memory
            | Self::User
            | Self::Watching => Cell::new(text),
        }
    }
}

/// PM2's words for whether changed files restart it.
pub(crate) fn watching(one: &InstanceView) -> &'static str {
    if one.watching { "enabled" } else { "disabled" }
}

/// PM2's uptime: `0` for what is not online.
pub(crate) fn uptime(one: &InstanceView, now: u64) -> String {
    match one.started_at.filter(|_| one.status == "online") {
        Some(started) => units::age(now.saturating_sub(started)),
        None => "0".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::instance;
    use rpm_config::AppName;

    fn fleet_of_three() -> Vec<InstanceView> {
        let stopped = InstanceView {
            status: "stopped".into(),
            pid: None,
            started_at: None,
            cpu: 0.0,
            memory: 0,
            mode: "fork".into(),
            ..instance(2, "worker-of-all")
        };
        vec![instance(0, "api"), instance(1, "api"), stopped]
    }

    const NOW: u64 = 1_000_000 + 45_000;

    fn shown(width: Option<u16>) -> String {
        at(&fleet_of_three(), width, Colors::Off, NOW)
    }

    #[test]
    fn a_pipe_gets_every_column() {
        let left = "\
┌────┬──────┬───────────┬─────────┬─────────┬──────┬────────
│ id │ name │ namespace │ version │ mode    │ pid  │ uptime 
├────┼──────┼───────────┼─────────┼─────────┼──────┼────────
│ 0  │ api  │ default   │ 3.2.1   │ cluster │ 4711 │ 45s    
│ 1  │ api  │ default   │ 3.2.1   │ cluster │ 4711 │ 45s    
│ 2  │ work │ default   │ 3.2.1   │ fork    │ 0    │ 0      
└────┴──────┴───────────┴─────────┴─────────┴──────┴────────";
        let right = "\
┬───┬─────────┬──────┬────────┬──────┬──────────┐
│ ↺ │ status  │ cpu  │ mem    │ user │ watching │
┼───┼─────────┼──────┼────────┼──────┼──────────┤
│ 3 │ online  │ 2.2% │ 51.5mb │ me   │ disabled │
│ 3 │ online  │ 2.2% │ 51.5mb │ me   │ disabled │
│ 3 │ stopped │ 0.0% │ 0b     │ me   │ disabled │
┴───┴─────────┴──────┴────────┴──────┴──────────┘";
        let want: Vec<String> =
            left.lines().zip(right.lines()).map(|(left, right)| format!("{left}{right}")).collect();
        let mut fleet = fleet_of_three();
        fleet[2] = InstanceView { name: AppName::new("work").unwrap(), ..fleet[2].clone() };
        assert_eq!(at(&fleet, None, Colors::Off, NOW), want.join("\n"));
    }

    #[test]
    fn eighty_columns_lose_what_says_least() {
        let want = "\
┌────┬───────────────┬─────────┬──────┬────────┬───┬─────────┬──────┬────────┐
│ id │ name          │ mode    │ pid  │ uptime │ ↺ │ status  │ cpu  │ mem    │
├────┼───────────────┼─────────┼──────┼────────┼───┼─────────┼──────┼────────┤
│ 0  │ api           │ cluster │ 4711 │ 45s    │ 3 │ online  │ 2.2% │ 51.5mb │
│ 1  │ api           │ cluster │ 4711 │ 45s    │ 3 │ online  │ 2.2% │ 51.5mb │
│ 2  │ worker-of-all │ fork    │ 0    │ 0      │ 3 │ stopped │ 0.0% │ 0b     │
└────┴───────────────┴─────────┴──────┴────────┴───┴─────────┴──────┴────────┘";
        assert_eq!(shown(Some(80)), want);
    }

    #[test]
    fn a_narrow_terminal_cuts_names() {
        let want = "\
┌────┬──────────┬─────────┬──────┬────────┐
│ id │ name     │ status  │ cpu  │ mem    │
├────┼──────────┼─────────┼──────┼────────┤
│ 0  │ api      │ online  │ 2.2% │ 51.5mb │
│ 1  │ api      │ online  │ 2.2% │ 51.5mb │
│ 2  │ worker-… │ stopped │ 0.0% │ 0b     │
└────┴──────────┴─────────┴──────┴────────┘";
        assert_eq!(shown(Some(43)), want);
    }

    #[test]
    fn no_width_is_exceeded_until_names_are_at_their_shortest() {
        for width in 43..200_u16 {
            let text = shown(Some(width));
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= usize::from(width), "{widest} in {width}");
        }
    }

    #[test]
    fn former_workers_and_colours() {
        let (phase, connections) = ("draining".into(), Some(3));
        let leaving = LeavingView { pid: 7, phase, left_ms: 12_000, connections };
        let one = InstanceView { leaving: vec![leaving], ..instance(0, "api") };
        let text = at(std::slice::from_ref(&one), None, Colors::Off, NOW);
        let last = text.lines().last().unwrap();
        assert_eq!(last, "api 0: its former worker, pid 7, is draining (3 connections, 12 s left)");
        let colored = at(&[one], None, Colors::On, NOW);
        assert!(colored.contains("\u{1b}["), "{colored}");
    }

    #[test]
    fn an_empty_fleet_says_what_to_do() {
        assert_eq!(fleet(&[], Some(80), Colors::On), "no apps; start one: rpm start app.js");
    }
}
