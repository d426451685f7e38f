//! Random lives: requests, workers that do as they like, time, and daemons that die; whatever
//! happens, the promises below hold.

use crate::*;
use proptest::prelude::*;
use rpm_config::AppName;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const MAX_RESTARTS: u32 = 3;
const UNKNOWN: InstanceId = InstanceId(9999);

/// One random thing. Numbers choose among what exists at that moment.
#[derive(Clone, Debug)]
enum Op {
    Register { app: u8, instances: u32, autostart: bool },
    Each { verb: Verb, mask: u8, unknown: bool },
    Scale { app: u8, instances: u32 },
    Amend { app: u8 },
    World { which: usize, what: What },
    Pass { ms: u64 },
    DaemonDies { unborn: bool, dead: usize },
}

#[derive(Clone, Copy, Debug)]
enum Verb {
    Start,
    Stop,
    Restart,
    Reload,
    Delete,
    Reset,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Spawned,
    NotSpawned,
    Ready { listening: bool },
    Exits { code: i32 },
    TreeGoes,
    Drains,
    Swells,
}

/// A worker's process tree.
#[derive(Clone, Debug)]
struct Tree {
    place: (AppName, u32),
    spawned: bool,
    leaderless: bool,
    told: bool,
    draining: bool,
}

#[derive(Default)]
struct World {
    fleet: Fleet,
    now: u64,
    trees: BTreeMap<WorkerId, Tree>,
    newest: Option<WorkerId>,
    tickets: u64,
    open: BTreeSet<Ticket>,
    spawns: BTreeMap<InstanceId, u32>,
    not_spawned: BTreeSet<InstanceId>,
    /// Apps of which single instances were deleted: their slots may have gaps.
    gappy: BTreeSet<AppName>,
    /// What the last accepted command said of an instance, as long as nothing came between.
    wanted: BTreeMap<InstanceId, Wanted>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    Up,
    Down,
}

/// One worker a slot; replacements beside the old ones; behind a front; with sockets of its own
/// and not restarted.
const KINDS: [&str; 4] = ["fork", "cluster", "proxied", "activated"];

fn kind(index: u8) -> usize {
    usize::from(index) % KINDS.len()
}

fn app(index: u8) -> AppName {
    AppName::new(KINDS[kind(index)]).unwrap()
}

fn policy(index: u8) -> Policy {
    let mut policy = crate::fixture::policy();
    policy.restart.max_restarts = MAX_RESTARTS;
    policy.restart.min_uptime = Duration::from_millis(100);
    policy.restart.stop_exit_codes = vec![7];
    policy.stop.kill_timeout = Duration::from_millis(50);
    policy.stop.drain_timeout = Duration::from_millis(200);
    match KINDS[kind(index)] {
        "cluster" => {
            policy.overlap = true;
            policy.max_surge = 2;
            policy.restart.exp_backoff_restart_delay = Some(Duration::from_millis(20));
        }
        "proxied" => policy.proxied = true,
        "activated" => {
            policy.overlap = true;
            policy.activated = true;
            policy.restart.autorestart = false;
        }
        _ => {}
    }
    if kind(index) != 0 && index & 4 == 4 {
        policy.depends_on = [(app(0), rpm_config::Requirement::Ready)].into();
    }
    policy
}

impl World {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Register { app: index, instances, autostart } => {
                let (app, policy) = (app(index), policy(index));
                if self.command(Command::Register { app, policy, instances, autostart }) {
                    self.forget_awaited();
                }
            }
            Op::Each { verb, mask, unknown } => self.each(verb, mask, unknown),
            Op::Scale { app: index, instances } => {
                // Which instances come and go is not this model's knowledge.
                self.wanted.clear();
                self.command(Command::Scale { app: app(index), instances });
            }
            Op::Amend { app: index } => {
                let (app, policy) = (app(index), policy(index));
                self.command(Command::Amend { app, policy });
            }
            Op::World { which, what } => self.happen(which, what),
            Op::Pass { ms } => self.pass(ms),
            Op::DaemonDies { unborn, dead } => self.daemon_dies(unborn, dead),
        }
        self.check();
    }

    /// Whoever starts an app starts what it waits for, too, whatever was said of that.
    fn forget_awaited(&mut self) {
        let awaited = self.fleet.apps.values().flat_map(|app| app.policy.depends_on.keys());
        let awaited = awaited.filter_map(|name| self.fleet.apps.get(name));
        let instances = awaited.flat_map(|app| app.instances.values());
        let ids: Vec<InstanceId> = instances.map(|instance| instance.id).collect();
        self.wanted.retain(|id, _| !ids.contains(id));
    }

    fn each(&mut self, verb: Verb, mask: u8, unknown: bool) {
        let all: Vec<_> = self.fleet.instances().map(|(_, _, found)| found.id).collect();
        let chosen = |(at, id): (usize, &InstanceId)| (mask >> (at % 8) & 1 == 1).then_some(*id);
        let mut ids: Vec<_> = all.iter().enumerate().filter_map(chosen).collect();
        if let Verb::Delete = verb {
            self.gappy.extend(self.fleet.apps.keys().cloned());
        }
        if unknown {
            ids.push(UNKNOWN);
        }
        let touched = ids.clone();
        let accepted = self.command(match verb {
            Verb::Start => Command::Start(ids),
            Verb::Stop => Command::Stop(ids),
            Verb::Restart => Command::Restart(ids),
            Verb::Reload => Command::Reload(ids),
            Verb::Delete => Command::Delete(ids),
            Verb::Reset => Command::Reset(ids),
        });
        if accepted && matches!(verb, Verb::Start) {
            self.forget_awaited();
        }
        for id in touched.into_iter().filter(|_| accepted) {
            match verb {
                Verb::Start | Verb::Restart => drop(self.wanted.insert(id, Wanted::Up)),
                Verb::Stop => drop(self.wanted.insert(id, Wanted::Down)),
                Verb::Reload | Verb::Delete => drop(self.wanted.remove(&id)),
                Verb::Reset => {}
            }
        }
    }

    /// Whether it was accepted.
    fn command(&mut self, command: Command) -> bool {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.open.insert(ticket);
        let before = self.fleet.clone();
        let effects = self.step(Event::Command { ticket, command });
        let denied = |effect: &Effect| match effect {
            Effect::Answer { ticket: to, answer } => {
                *to == ticket && matches!(answer, Answer::Denied(_))
            }
            _ => false,
        };
        if effects.iter().any(denied) {
            assert_eq!(effects.len(), 1, "a denied request has no other effect");
            assert_eq!(self.fleet, before, "a denied request changes nothing");
            return false;
        }
        true
    }

    /// What happened to a worker may end in `errored` or a stop by its policy.
    fn disturbed(&mut self, instance: InstanceId) {
        if self.wanted.get(&instance) == Some(&Wanted::Up) {
            self.wanted.remove(&instance);
        }
    }

    fn happen(&mut self, which: usize, what: What) {
        let Some(worker) = self.pick(which) else { return };
        let instance = self.fleet.worker(worker).unwrap().instance;
        if matches!(what, What::NotSpawned | What::Exits { .. } | What::Swells) {
            self.disturbed(instance);
        }
        let Some(tree) = self.trees.get_mut(&worker) else { return };
        match what {
            What::Spawned if !tree.spawned => {
                tree.spawned = true;
                self.step(Event::Spawned { worker });
            }
            What::NotSpawned if !tree.spawned => {
                self.trees.remove(&worker);
                self.not_spawned.insert(instance);
                self.step(Event::SpawnFailed { worker, reason: "no such file".into() });
            }
            What::Ready { listening } if tree.spawned && !tree.leaderless => {
                self.step(Event::Ready { worker, listening });
            }
            What::Exits { code } if tree.spawned && !tree.leaderless => {
                tree.leaderless = true;
                self.step(Event::Exited { worker, exit: Exit::Code(code) });
            }
            What::TreeGoes if tree.leaderless => {
                self.trees.remove(&worker);
                self.step(Event::TreeGone { worker });
            }
            What::Drains if tree.draining => drop(self.step(Event::Drained { worker })),
            What::Swells => drop(self.step(Event::MemoryExceeded { worker, bytes: 1 << 30 })),
            What::Spawned
            | What::NotSpawned
            | What::Ready { .. }
            | What::Exits { .. }
            | What::TreeGoes
            | What::Drains => {}
        }
    }

    fn pick(&self, which: usize) -> Option<WorkerId> {
        let at = which.checked_rem(self.trees.len())?;
        self.trees.keys().nth(at).copied()
    }

    fn pass(&mut self, ms: u64) {
        self.now += ms;
        let before = self.fleet.clone();
        let due = self.fleet.deadline().is_some_and(|at| at.0 <= self.now);
        let effects = self.step(Event::Tick);
        if !due {
            assert_eq!((effects, &self.fleet), (Vec::new(), &before), "an early tick is nothing");
        }
        let next = self.fleet.deadline();
        assert!(next.is_none_or(|at| at.0 > self.now), "due after a tick: {next:?}");
    }

    /// The state is written, the daemon dies; some spawns never reached the keeper, some workers
    /// end before the next daemon looks.
    fn daemon_dies(&mut self, unborn: bool, dead: usize) {
        let written = serde_json::to_string(&self.fleet).unwrap();
        let read: Fleet = serde_json::from_str(&written).unwrap();
        assert_eq!(read, self.fleet, "the state survives as text");
        self.fleet = read;
        self.open.clear();
        self.wanted.retain(|_, wanted| *wanted == Wanted::Down);
        self.trees.retain(|_, tree| tree.spawned || !unborn);
        if let Some(worker) = self.pick(dead) {
            self.trees.remove(&worker);
        }
        let alive = self.trees.keys().copied().collect();
        let effects = self.fleet.recover(&alive, Moment(self.now));
        self.perform(&effects);
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.fleet.step(event, Moment(self.now));
        self.perform(&effects);
        effects
    }

    fn perform(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Spawn { worker, instance, app, slot } => {
                    let place = (app.clone(), *slot);
                    let (spawned, leaderless, told, draining) = (false, false, false, false);
                    let tree = Tree { place, spawned, leaderless, told, draining };
                    let new = self.trees.insert(*worker, tree).is_none();
                    assert!(new, "{worker} is spawned beside itself");
                    self.newest = self.newest.max(Some(*worker));
                    *self.spawns.entry(*instance).or_default() += 1;
                }
                Effect::Drain { worker } => self.tell(*worker, |tree| tree.draining = true),
                Effect::Stop { worker } | Effect::Kill { worker } => {
                    self.tell(*worker, |tree| tree.told = true);
                }
                Effect::Release { app, slot } => {
                    let mut held = self.trees.values().map(|tree| &tree.place);
                    let here = held.any(|(of, at)| (of, at) == (app, slot));
                    assert!(!here, "released {app} {slot} under a worker");
                }
                Effect::Forget { app } => {
                    assert!(!self.fleet.apps.contains_key(app), "forgot {app}, which is there");
                    self.gappy.remove(app);
                }
                Effect::Answer { ticket, .. } => {
                    assert!(self.open.remove(ticket), "{ticket:?} answered twice or unasked");
                }
                Effect::Notice(Notice { instance, kind: NoticeKind::Errored, .. }) => {
                    let often = self.spawns.get(instance).is_some_and(|n| *n >= MAX_RESTARTS);
                    let not_spawned = self.not_spawned.contains(instance);
                    let restarts = |(app, _, _): (&AppName, u32, &Instance)| {
                        self.fleet.apps[app].policy.restart.autorestart
                    };
                    // One that is not restarted has one try to be ready.
                    let once = !self.fleet.instance(*instance).is_none_or(restarts);
                    assert!(often || not_spawned || once, "{instance} errored without a reason");
                }
                Effect::Notice(_) => {}
            }
        }
        if self.fleet.apps.is_empty() {
            // Ids begin anew.
            self.wanted.clear();
            self.spawns.clear();
            self.not_spawned.clear();
        }
    }

    fn tell(&mut self, worker: WorkerId, what: impl Fn(&mut Tree)) {
        // One whose end was just reported needs no telling.
        self.trees.get_mut(&worker).into_iter().for_each(what);
    }

    fn check(&self) {
        let owned: Vec<_> = self.fleet.seated().flat_map(|(_, _, found)| found.workers()).collect();
        let ids: BTreeSet<_> = owned.iter().map(|(worker, _)| *worker).collect();
        assert_eq!(ids.len(), owned.len(), "a worker is owned twice");
        assert!(ids.iter().eq(self.trees.keys()), "owned {ids:?}, alive {:?}", self.trees.keys());
        for app in self.fleet.apps.values() {
            let ours = app.instances.values().flat_map(Instance::workers);
            let serving = ours.filter(|(_, role)| *role != Role::Leaving).count();
            let most = app.instances.len() + app.policy.max_surge as usize;
            assert!(serving <= most, "{serving} workers of {most}");
            if !app.policy.overlap {
                let mut slots: Vec<_> = self.places_of(app).collect();
                slots.sort_unstable();
                let all = slots.len();
                slots.dedup();
                assert_eq!(slots.len(), all, "two workers of a slot whose port is the program's");
            }
            for instance in app.instances.values() {
                let up = matches!(instance.state, State::Launching { .. } | State::Online { .. });
                assert!(up || instance.replacement.is_none(), "a replacement of nothing");
            }
        }
    }

    /// The slots of the living trees of an app.
    fn places_of(&self, app: &App) -> impl Iterator<Item = u32> {
        let ids = app.instances.values().flat_map(Instance::workers);
        let ids: BTreeSet<_> = ids.map(|(worker, _)| worker).collect();
        let trees = self.trees.iter().filter(move |(worker, _)| ids.contains(worker));
        trees.map(|(_, tree)| tree.place.1)
    }

    /// Lets every worker behave from now on, and waits until nothing more happens.
    fn settle(&mut self) {
        for _ in 0..2000 {
            self.behave();
            self.check();
            match self.fleet.deadline() {
                Some(at) => self.pass(at.0.saturating_sub(self.now)),
                None if self.trees.values().all(|tree| !tree.told && !tree.draining) => return,
                None => {}
            }
        }
        panic!("never at rest: {:#?}", self.fleet);
    }

    fn behave(&mut self) {
        for (worker, tree) in self.trees.clone() {
            let at = |world: &Self| world.trees.keys().position(|one| *one == worker).unwrap();
            if !tree.spawned {
                self.happen(at(self), What::Spawned);
            } else if tree.told || tree.leaderless {
                self.happen(at(self), What::Exits { code: 1 });
                self.happen(at(self), What::TreeGoes);
            } else if tree.draining {
                self.happen(at(self), What::Drains);
            } else {
                self.happen(at(self), What::Ready { listening: true });
            }
        }
    }

    fn check_settled(&self) {
        assert_eq!(self.open, BTreeSet::new(), "requests without an answer");
        assert_eq!(self.fleet.pending, Vec::new());
        assert_eq!(self.fleet.halting, Vec::new(), "to be halted for ever");
        for (name, app) in &self.fleet.apps {
            assert_eq!((&app.roll, app.queued.len()), (&None, 0), "a roll without an end");
            for instance in app.instances.values() {
                let calm = match instance.state {
                    State::Online { .. } | State::Stopped | State::Errored => true,
                    State::Awaiting => !self.fleet.awaited_by(name).is_empty(),
                    _ => false,
                };
                assert!(calm && instance.leaving.is_empty(), "{instance:?}");
                assert_eq!(instance.replacement, None, "a replacement that never came");
                let up = matches!(instance.state, State::Online { .. } | State::Awaiting);
                match self.wanted.get(&instance.id) {
                    Some(Wanted::Up) => assert!(up, "it was to run: {instance:?}"),
                    Some(Wanted::Down) => assert!(!up, "it was to be stopped: {instance:?}"),
                    None => {}
                }
            }
            let mut slots: Vec<_> = self.places_of(app).collect();
            slots.sort_unstable();
            let online = app.instances.iter();
            let online = online.filter(|(_, one)| matches!(one.state, State::Online { .. }));
            assert!(slots.into_iter().eq(online.map(|(slot, _)| *slot)), "one worker a slot");
            if !self.gappy.contains(name) {
                let count = app.instances.len() as u32;
                assert!(app.instances.keys().copied().eq(0..count), "slots have gaps");
            }
        }
    }
}

fn verb() -> impl Strategy<Value = Verb> {
    use Verb::*;
    let often = prop_oneof![Just(Start), Just(Stop), Just(Restart), Just(Reload)];
    prop_oneof![6 => often, 2 => Just(Reload), 1 => Just(Delete), 1 => Just(Reset)]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        4 => Just(What::Spawned),
        1 => Just(What::NotSpawned),
        4 => any::<bool>().prop_map(|listening| What::Ready { listening }),
        4 => prop_oneof![Just(0), Just(1), Just(7)].prop_map(|code| What::Exits { code }),
        4 => Just(What::TreeGoes),
        2 => Just(What::Drains),
        1 => Just(What::Swells),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let register = (any::<u8>(), 0..4_u32, prop::bool::weighted(0.9))
        .prop_map(|(app, instances, autostart)| Op::Register { app, instances, autostart });
    let each = (verb(), any::<u8>(), prop::bool::weighted(0.05))
        .prop_map(|(verb, mask, unknown)| Op::Each { verb, mask, unknown });
    let scale = (any::<u8>(), 0..5_u32).prop_map(|(app, instances)| Op::Scale { app, instances });
    let world = (any::<usize>(), what()).prop_map(|(which, what)| Op::World { which, what });
    let pass = prop_oneof![0..60_u64, 0..4000_u64].prop_map(|ms| Op::Pass { ms });
    let dies =
        (any::<bool>(), any::<usize>()).prop_map(|(unborn, dead)| Op::DaemonDies { unborn, dead });
    prop_oneof![
        2 => register,
        5 => each,
        2 => scale,
        1 => any::<u8>().prop_map(|app| Op::Amend { app }),
        24 => world,
        8 => pass,
        1 => dies,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_life_keeps_the_promises(
        // The second app waits for the first, or not.
        second in prop_oneof![Just(1_u8), Just(5_u8)],
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut world = World::default();
        world.apply(Op::Register { app: 0, instances: 2, autostart: true });
        world.apply(Op::Register { app: second, instances: 3, autostart: true });
        world.apply(Op::Register { app: 2, instances: 2, autostart: true });
        for op in ops {
            world.apply(op);
        }
        world.settle();
        world.check_settled();
    }
}

/// Found at random once: the app that comes last waits for one that was stopped, and starts it.
#[test]
fn a_stop_does_not_hold_against_who_waits_for_it_and_is_started() {
    let mut world = World::default();
    for (app, instances) in [(0, 2), (1, 3), (2, 2)] {
        world.apply(Op::Register { app, instances, autostart: true });
    }
    world.apply(Op::Each { verb: Verb::Delete, mask: 110, unknown: false });
    world.apply(Op::Each { verb: Verb::Stop, mask: 31, unknown: false });
    world.apply(Op::DaemonDies { unborn: true, dead: 0 });
    world.apply(Op::Register { app: 230, instances: 1, autostart: true });
    world.settle();
    world.check_settled();
}
