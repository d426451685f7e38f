//! Apps that wait for others: started behind them, stopped before them.

use super::bench::*;
use crate::*;
use rpm_config::Requirement;

fn waits_for(on: &[(&str, Requirement)]) -> Policy {
    let depends_on = on.iter().map(|(app, how)| (name(app), *how)).collect();
    Policy { depends_on, ..fork() }
}

fn register(bench: &mut Bench, app: &str, policy: Policy) -> Vec<String> {
    bench.ask(Command::Register { app: name(app), policy, instances: 1, autostart: true })
}

/// `db`, then `web` which waits for it, as instances 0 and 1.
fn both(how: Requirement) -> Bench {
    let mut bench = Bench { fleet: Fleet::default(), now: Moment(1000), tickets: 0 };
    register(&mut bench, "db", fork());
    let effects = register(&mut bench, "web", waits_for(&[("db", how)]));
    let starts_at_once = how == Requirement::Started;
    assert_eq!(effects[0].starts_with("spawn"), starts_at_once, "{effects:?}");
    bench
}

fn online(bench: &mut Bench, worker: u64) -> Vec<String> {
    bench.on(Event::Ready { worker: WorkerId(worker), listening: true })
}

fn up() -> Bench {
    let mut bench = both(Requirement::Ready);
    online(&mut bench, 0);
    online(&mut bench, 1);
    bench
}

#[test]
fn it_starts_when_what_it_waits_for_is_ready() {
    let mut bench = both(Requirement::Ready);
    assert_eq!(
        online(&mut bench, 0),
        ["notice 0 online", "spawn 1 in slot 0", "answer 1: done [0]"]
    );
    assert_eq!(online(&mut bench, 1), ["notice 1 online", "answer 2: done [1]"]);
}

#[test]
fn a_process_is_enough_where_that_is_asked() {
    both(Requirement::Started);
}

#[test]
fn a_migration_must_have_ended_well() {
    let mut bench = Bench { fleet: Fleet::default(), now: Moment(1000), tickets: 0 };
    let mut once = fork();
    once.restart.autorestart = false;
    register(&mut bench, "db", once);
    register(&mut bench, "web", waits_for(&[("db", Requirement::Done)]));
    bench.exited(0, Exit::Code(1));
    let failed = bench.gone(0);
    let vain = r#"Awaits { app: AppName("db"), exists: true }"#;
    assert_eq!(
        failed,
        [
            "notice 0 stopped",
            "release slot 0",
            &format!("answer 2: failed, instance 1, no worker, {vain}")
        ]
    );
    bench.ask(Command::Start(ids(&[0])));
    bench.exited(1, Exit::Code(0));
    let effects = bench.gone(1);
    assert!(effects.contains(&"spawn 2 in slot 0".to_owned()), "{effects:?}");
}

#[test]
fn whoever_starts_it_starts_what_it_waits_for() {
    let mut bench = up();
    bench.ask(Command::Stop(ids(&[0, 1])));
    bench.dies(1, 0);
    bench.dies(0, 0);
    assert_eq!(bench.ask(Command::Start(ids(&[1]))), ["spawn 2 in slot 0", "notice 1 awaiting db"]);
    assert_eq!(online(&mut bench, 2), ["notice 0 online", "spawn 3 in slot 0"]);
    assert_eq!(online(&mut bench, 3), ["notice 1 online", "answer 4: done [1]"]);
}

#[test]
fn one_whose_need_is_not_there_says_so_and_waits() {
    let mut bench = Bench { fleet: Fleet::default(), now: Moment(1000), tickets: 0 };
    let vain = r#"Awaits { app: AppName("db"), exists: false }"#;
    assert_eq!(
        register(&mut bench, "web", waits_for(&[("db", Requirement::Ready)])),
        ["notice 0 awaiting db", &format!("answer 1: failed, instance 0, no worker, {vain}")]
    );
    register(&mut bench, "db", fork());
    let effects = online(&mut bench, 0);
    assert!(effects.contains(&"spawn 1 in slot 0".to_owned()), "{effects:?}");
}

#[test]
fn another_name_of_what_it_waits_for_is_known_to_it() {
    let mut bench = up();
    bench.ask(Command::Stop(ids(&[0, 1])));
    bench.dies(1, 0);
    bench.dies(0, 0);
    bench.ask(Command::Rename { app: name("db"), to: name("store") });
    let effects = bench.ask(Command::Start(ids(&[1])));
    assert_eq!(effects, ["spawn 2 in slot 0", "notice 1 awaiting store"]);
}

#[test]
fn stop_takes_them_in_reverse() {
    let mut bench = up();
    assert_eq!(bench.ask(Command::Stop(ids(&[0, 1]))), ["stop 1"]);
    bench.exited(1, Exit::Code(0));
    assert_eq!(bench.gone(1), ["notice 1 stopped", "release slot 0", "stop 0"]);
    bench.exited(0, Exit::Code(0));
    let done = "answer 3: done [0, 1]";
    assert_eq!(bench.gone(0), ["notice 0 stopped", "release slot 0", done]);
    assert_eq!(bench.fleet.halting, []);
}

#[test]
fn so_does_delete_and_a_start_meanwhile_is_refused() {
    let mut bench = up();
    assert_eq!(bench.ask(Command::Delete(ids(&[0, 1]))), ["stop 1"]);
    let denied = "answer 4: denied, there is no instance 0";
    assert_eq!(bench.ask(Command::Start(ids(&[0]))), [denied]);
    bench.exited(1, Exit::Code(0));
    let effects = bench.gone(1);
    assert_eq!(effects, ["release slot 0", "notice 1 deleted", "forget web", "stop 0"]);
    bench.dies(0, 0);
    assert_eq!((bench.fleet.apps.len(), bench.fleet.pending.len()), (0, 0));
}

#[test]
fn a_start_meanwhile_calls_a_stop_off() {
    let mut bench = up();
    bench.ask(Command::Stop(ids(&[0, 1])));
    let answers = bench.ask(Command::Start(ids(&[0])));
    assert_eq!(answers, ["answer 4: done [0]"]);
    bench.exited(1, Exit::Code(0));
    let stopped = ["notice 1 stopped", "release slot 0", "answer 3: done [0, 1]"];
    assert_eq!(bench.gone(1), stopped);
}

#[test]
fn the_one_it_needs_is_stopped_alone_and_nobody_else() {
    let mut bench = up();
    assert_eq!(bench.ask(Command::Stop(ids(&[0]))), ["stop 0"]);
    bench.dies(0, 0);
    // It waits for what it needs, if it falls meanwhile.
    assert_eq!(bench.exited(1, Exit::Code(1)), ["notice 1 exited Code(1)", "stop 1"]);
    assert_eq!(bench.gone(1), ["notice 1 awaiting db"]);
    assert_eq!(bench.ask(Command::Stop(ids(&[1]))).first().unwrap(), "notice 1 stopped");
}

#[test]
fn a_reload_waits_for_nobody() {
    let mut bench = up();
    bench.ask(Command::Stop(ids(&[0])));
    bench.dies(0, 0);
    let policy = Policy { overlap: true, ..waits_for(&[("db", Requirement::Ready)]) };
    bench.ask(Command::Amend { app: name("web"), policy });
    let effects = bench.ask(Command::Reload(ids(&[1])));
    assert!(effects.contains(&"spawn 2 in slot 0".to_owned()), "{effects:?}");
}

#[test]
fn a_successor_goes_on_with_both() {
    let mut bench = up();
    bench.ask(Command::Stop(ids(&[0, 1])));
    let alive = [WorkerId(0)].into();
    let effects: Vec<_> = bench.fleet.recover(&alive, bench.now).iter().map(show).collect();
    assert!(effects.contains(&"stop 0".to_owned()), "{effects:?}");
    assert_eq!(effects.iter().filter(|effect| effect.starts_with("answer")).count(), 0);
    assert_eq!(bench.fleet.pending, []);
}
