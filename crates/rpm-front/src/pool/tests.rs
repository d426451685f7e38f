//! The set of upstreams, by tables and against random histories.

use super::*;
use crate::command::Wish;
use proptest::prelude::*;

const REFUSED: io::ErrorKind = io::ErrorKind::ConnectionRefused;

fn spec(id: u32) -> UpstreamSpec {
    let address = format!("127.0.0.1:{}", 3000 + id).parse().unwrap();
    UpstreamSpec { id, address, weight: 1, state: Wish::Up, listener: None }
}

fn specs(ids: impl IntoIterator<Item = u32>) -> Vec<UpstreamSpec> {
    ids.into_iter().map(spec).collect()
}

fn pool(policy: Policy, ids: impl IntoIterator<Item = u32>) -> Pool {
    let mut pool = Pool::new(policy, Duration::from_secs(1));
    pool.replace(specs(ids)).unwrap();
    pool
}

fn choose(pool: &mut Pool, tried: &[Key], now: Instant) -> Lease {
    match pool.choose(Client::default(), tried, now) {
        Choice::Chosen(lease) => lease,
        Choice::Wait => panic!("wait"),
        Choice::Spent => panic!("spent"),
    }
}

fn standing(pool: &mut Pool) -> Vec<(u32, Standing, u32)> {
    pool.stats().into_iter().map(|one| (one.id, one.state, one.open)).collect()
}

#[test]
fn an_upstream_that_stays_keeps_its_connections_and_one_that_leaves_is_told_until_they_end() {
    let mut pool = pool(Policy::RoundRobin, [0, 1]);
    let now = Instant::now();
    let (zero, one) = (choose(&mut pool, &[], now), choose(&mut pool, &[], now));
    pool.replace(specs([1, 2])).unwrap();
    let all = [(1, Standing::Up, 1), (2, Standing::Up, 0), (0, Standing::Removed, 1)];
    assert_eq!(standing(&mut pool), all);
    drop(zero);
    assert_eq!(standing(&mut pool), all[..2]);
    drop(one);
    assert_eq!(standing(&mut pool), [(1, Standing::Up, 0), (2, Standing::Up, 0)]);
}

#[test]
fn a_new_address_is_a_new_upstream() {
    let mut pool = pool(Policy::LeastConn, [0]);
    let lease = choose(&mut pool, &[], Instant::now());
    let moved = UpstreamSpec { address: "unix:/a".parse().unwrap(), ..spec(0) };
    pool.replace(vec![moved]).unwrap();
    let all = [(0, Standing::Up, 0), (0, Standing::Removed, 1)];
    assert_eq!(standing(&mut pool), all);
    // What becomes of the old one's connection says nothing about the new one.
    pool.failed(&lease, REFUSED, Instant::now());
    assert_eq!(standing(&mut pool), all);
}

#[test]
fn sets_that_cannot_be_change_nothing() {
    let mut pool = pool(Policy::LeastConn, [7]);
    let most = u32::try_from(MAX_UPSTREAMS).unwrap();
    let weighing = |weight| vec![UpstreamSpec { weight, ..spec(3) }];
    let table = [
        (specs([1, 2, 1]), "upstream 1 is named twice"),
        (weighing(0), "upstream 3 has weight 0, which is not from 1 to 1000"),
        (weighing(MAX_WEIGHT + 1), "upstream 3 has weight 1001, which is not from 1 to 1000"),
        (specs(0..=most), "1025 upstreams are more than 1024"),
    ];
    for (set, error) in table {
        assert_eq!(pool.replace(set).unwrap_err().to_string(), error);
        assert_eq!(standing(&mut pool), [(7, Standing::Up, 0)]);
    }
    for set in [specs(0..most), weighing(MAX_WEIGHT), Vec::new()] {
        pool.replace(set).unwrap();
    }
}

#[test]
fn a_down_upstream_is_left_out_and_then_tried_by_one() {
    let mut pool = pool(Policy::RoundRobin, [0, 1]);
    let now = Instant::now();
    let failing = choose(&mut pool, &[], now);
    pool.failed(&failing, REFUSED, now);
    let leases: Vec<_> = (0..4).map(|_| choose(&mut pool, &[], now)).collect();
    assert!(leases.iter().all(|lease| lease.key != failing.key && !lease.trial));
    let later = pool.next_retry(now).unwrap();
    assert_eq!(pool.next_retry(later), None);
    let again: Vec<_> = (0..3).map(|_| choose(&mut pool, &[], later)).collect();
    let trials: Vec<_> = again.iter().filter(|lease| lease.trial).collect();
    assert!(trials.len() == 1 && trials[0].key == failing.key);
    assert!(pool.connected(failing.key));
    assert_eq!(pool.next_retry(now), None);
}

#[test]
fn whoever_has_tried_all_is_done_and_others_wait() {
    let mut pool = pool(Policy::LeastConn, []);
    let (client, now) = (Client::default(), Instant::now());
    assert!(matches!(pool.choose(client, &[], now), Choice::Wait));
    pool.replace(specs([0, 1])).unwrap();
    let zero = choose(&mut pool, &[], now);
    let one = choose(&mut pool, &[zero.key], now);
    assert_ne!(zero.key, one.key);
    assert!(matches!(pool.choose(client, &[zero.key, one.key], now), Choice::Spent));
    pool.failed(&one, REFUSED, now);
    assert!(matches!(pool.choose(client, &[zero.key], now), Choice::Wait));
    // A worker that came back is not the one that was tried.
    pool.replace(specs([1])).unwrap();
    pool.replace(specs([0, 1])).unwrap();
    let fresh = choose(&mut pool, &[zero.key], now);
    assert!(fresh.key != zero.key && fresh.address == zero.address);
}

#[test]
fn draining_gets_nothing_new() {
    let mut pool = pool(Policy::Random, [0]);
    let lease = choose(&mut pool, &[], Instant::now());
    pool.replace(vec![UpstreamSpec { state: Wish::Draining, ..spec(0) }]).unwrap();
    assert!(matches!(pool.choose(Client::default(), &[], Instant::now()), Choice::Wait));
    assert_eq!(standing(&mut pool), [(0, Standing::Draining, 1)]);
    drop(lease);
}

#[derive(Clone, Debug)]
enum Act {
    Choose(u64),
    Drop(usize),
    Connected(usize),
    Failed(usize),
    Replace(Vec<u32>),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => any::<u64>().prop_map(Act::Choose),
        2 => any::<usize>().prop_map(Act::Drop),
        1 => any::<usize>().prop_map(Act::Connected),
        2 => any::<usize>().prop_map(Act::Failed),
        1 => prop::collection::btree_set(0_u32..6, 0..5)
            .prop_map(|ids| Act::Replace(ids.into_iter().collect())),
        2 => (0_u64..3_000).prop_map(Act::Wait),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    use Policy::{Even, IpHash, LeastConn, Random, RoundRobin};
    prop::sample::select(vec![Even, IpHash, LeastConn, Random, RoundRobin])
}

#[test]
fn an_upstream_is_for_the_clients_of_its_socket() {
    let at = |id, listener| UpstreamSpec { listener: Some(listener), ..spec(id) };
    let mut pool = Pool::new(Policy::LeastConn, Duration::from_secs(1));
    pool.replace(vec![at(0, 0), at(0, 1), at(1, 0)]).unwrap();
    let now = Instant::now();
    let client = |listener| Client { listener, ..Client::default() };
    let mut chosen = |listener| match pool.choose(client(listener), &[], now) {
        Choice::Chosen(lease) => Some(lease),
        Choice::Wait | Choice::Spent => None,
    };
    let (one, two, three) = (chosen(0).unwrap(), chosen(0).unwrap(), chosen(1).unwrap());
    assert_ne!(one.key, two.key);
    assert!(three.key != one.key && three.key != two.key);
    assert!(chosen(2).is_none());
    assert_eq!(pool.replace(vec![at(0, 1), at(0, 1)]), Err(SetError::Twice(0)));
    let drains = |listener| UpstreamSpec { state: Wish::Draining, ..at(0, listener) };
    pool.replace(vec![drains(0), drains(1)]).unwrap();
    assert_eq!(pool.idle(), [0_u32; 0]);
    drop((one, two, three));
    assert_eq!(pool.idle(), [0]);
}

proptest! {
    /// Whatever happens: what is told to be open is what is leased, a chosen upstream is wanted and
    /// was not put aside, and nobody waits while one could be tried.
    #[test]
    fn counts_and_choices_hold(policy in policy(), acts in prop::collection::vec(act(), 0..120)) {
        let mut pool = pool(policy, [0, 1, 2]);
        let mut leases: Vec<Lease> = Vec::new();
        let mut now = Instant::now();
        for act in acts {
            match act {
                Act::Choose(hash) => {
                    let client = Client { ip: hash, socket: !hash, listener: 0 };
                    let open = pool.upstreams.iter().filter(|one| one.is_open_for(now));
                    let open: Vec<_> = open.map(|one| one.key).collect();
                    match pool.choose(client, &[], now) {
                        Choice::Chosen(lease) => {
                            prop_assert!(open.contains(&lease.key));
                            leases.push(lease);
                        }
                        Choice::Wait => prop_assert!(open.is_empty()),
                        Choice::Spent => prop_assert!(false, "nothing was tried"),
                    }
                }
                Act::Drop(index) if !leases.is_empty() => {
                    leases.swap_remove(index % leases.len());
                }
                Act::Connected(index) if !leases.is_empty() => {
                    pool.connected(leases[index % leases.len()].key);
                }
                Act::Failed(index) if !leases.is_empty() => {
                    let lease = leases.swap_remove(index % leases.len());
                    pool.failed(&lease, REFUSED, now);
                }
                Act::Drop(_) | Act::Connected(_) | Act::Failed(_) => {}
                Act::Replace(ids) => pool.replace(specs(ids)).unwrap(),
                Act::Wait(millis) => now += Duration::from_millis(millis),
            }
            let open: u32 = pool.stats().iter().map(|one| one.open).sum();
            prop_assert_eq!(open as usize, leases.len());
        }
    }
}
