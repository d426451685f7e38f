//! [`Policy`]: which of several upstreams takes the next connection. Pure; which upstreams may be
//! chosen at all is [`crate::pool`]'s work.

use crate::{hash, random::Random};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// How connections are spread. Weights count in each: an upstream of weight 2 gets twice as many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// By a hash of the client's address and port: even for many connections, with no state.
    Even,
    /// By a hash of the client's address alone: a client always meets the same upstream.
    IpHash,
    /// The upstream with the fewest open connections; equals in turn.
    #[default]
    LeastConn,
    /// Any.
    Random,
    /// Exactly in turn.
    RoundRobin,
}

/// What a policy knows of a client: hashes of its address without and with its port, and which
/// listening socket it came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) ip: u64,
    pub(crate) socket: u64,
    pub(crate) listener: usize,
}

/// What a policy knows of an upstream.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) id: u32,
    /// At least 1.
    pub(crate) weight: u32,
    pub(crate) open: u32,
    /// How much it is behind its share; a turn's state between calls.
    pub(crate) credit: &'a mut i64,
}

impl Policy {
    /// The index of the chosen one; `None` only if there is none.
    pub(crate) fn pick(
        self,
        candidates: &mut [Candidate<'_>],
        client: Client,
        random: &mut Random,
    ) -> Option<usize> {
        match self {
            Self::Even => highest_ranked(candidates, client.socket),
            Self::IpHash => highest_ranked(candidates, client.ip),
            Self::LeastConn => {
                let least = candidates.iter().min_by(|a, b| by_load(a, b))?;
                let (open, weight) = (least.open, least.weight);
                in_turn(candidates, |one| load(one.open, weight) == load(open, one.weight))
            }
            Self::Random => drawn(candidates, random),
            Self::RoundRobin => in_turn(candidates, |_| true),
        }
    }
}

fn highest_ranked(candidates: &[Candidate<'_>], client: u64) -> Option<usize> {
    let ranks = candidates.iter().map(|one| hash::rank(client, one.id, one.weight));
    ranks.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
}

/// Connections for each unit of weight, compared without a division: a / b < c / d as ad < cb.
fn by_load(a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
    load(a.open, b.weight).cmp(&load(b.open, a.weight))
}

fn load(open: u32, weight_of_the_other: u32) -> u64 {
    u64::from(open) * u64::from(weight_of_the_other)
}

fn drawn(candidates: &[Candidate<'_>], random: &mut Random) -> Option<usize> {
    let total = candidates.iter().map(|one| u64::from(one.weight)).sum();
    let mut left = random.below(total);
    candidates.iter().position(|one| {
        let found = left < u64::from(one.weight);
        left = left.saturating_sub(one.weight.into());
        found
    })
}

/// Smooth weighted round robin, as known from nginx: every candidate earns its weight, the richest
/// is chosen and pays for all. With equal weights this is a plain turn, whoever comes and goes.
fn in_turn(
    candidates: &mut [Candidate<'_>],
    may: impl Fn(&Candidate<'_>) -> bool,
) -> Option<usize> {
    let mut total = 0;
    let mut richest: Option<(usize, i64)> = None;
    for (index, one) in candidates.iter_mut().enumerate().filter(|(_, one)| may(one)) {
        total += i64::from(one.weight);
        *one.credit += i64::from(one.weight);
        if richest.is_none_or(|(_, credit)| *one.credit > credit) {
            richest = Some((index, *one.credit));
        }
    }
    let (index, _) = richest?;
    *candidates.get_mut(index)?.credit -= total;
    Some(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Policy; 5] =
        [Policy::Even, Policy::IpHash, Policy::LeastConn, Policy::Random, Policy::RoundRobin];

    /// Upstreams that keep what they are given.
    struct Bench {
        policy: Policy,
        weights: Vec<u32>,
        open: Vec<u32>,
        credits: Vec<i64>,
        random: Random,
    }

    impl Bench {
        fn new(policy: Policy, weights: &[u32]) -> Self {
            let (open, credits) = (vec![0; weights.len()], vec![0; weights.len()]);
            let random = Random::seeded(7);
            Self { policy, weights: weights.to_vec(), open, credits, random }
        }

        fn pick(&mut self, client: Client) -> Option<usize> {
            let parts = self.weights.iter().zip(&self.open).zip(&mut self.credits);
            let mut candidates: Vec<_> = (0..)
                .zip(parts)
                .map(|(id, ((weight, open), credit))| Candidate {
                    id,
                    weight: *weight,
                    open: *open,
                    credit,
                })
                .collect();
            self.policy.pick(&mut candidates, client, &mut self.random)
        }

        fn spread(&mut self, connections: u64) -> Vec<u32> {
            let mut counts = vec![0; self.weights.len()];
            for number in 0..connections {
                let (ip, socket) = (hash::mix(number), hash::mix(!number));
                let client = Client { ip, socket, listener: 0 };
                counts[self.pick(client).unwrap()] += 1;
            }
            counts
        }
    }

    #[test]
    fn none_of_none_is_chosen_and_the_only_one_is() {
        for policy in ALL {
            assert_eq!(Bench::new(policy, &[]).pick(Client::default()), None);
            assert_eq!(Bench::new(policy, &[3]).pick(Client::default()), Some(0));
        }
    }

    #[test]
    fn turns_are_exact() {
        for policy in [Policy::RoundRobin, Policy::LeastConn] {
            let mut bench = Bench::new(policy, &[1, 1, 1]);
            let picks: Vec<_> = (0..6).map(|_| bench.pick(Client::default()).unwrap()).collect();
            assert_eq!(picks, [0, 1, 2, 0, 1, 2]);
        }
    }

    #[test]
    fn weighted_turns_are_spread_out() {
        let mut bench = Bench::new(Policy::RoundRobin, &[5, 1, 1]);
        let picks: Vec<_> = (0..7).map(|_| bench.pick(Client::default()).unwrap()).collect();
        assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn the_fewest_open_connections_win() {
        let table: [(&[u32], &[u32], usize); 4] = [
            (&[1, 1, 1], &[2, 1, 2], 1),
            (&[1, 1], &[u32::MAX, u32::MAX - 1], 1),
            (&[4, 1], &[3, 1], 0),
            (&[4, 1], &[5, 1], 1),
        ];
        for (weights, open, expected) in table {
            let mut bench = Bench::new(Policy::LeastConn, weights);
            bench.open = open.to_vec();
            assert_eq!(bench.pick(Client::default()), Some(expected), "{weights:?} {open:?}");
        }
    }

    #[test]
    fn hashes_and_draws_follow_the_weights() {
        for policy in [Policy::Even, Policy::IpHash, Policy::Random] {
            let counts = Bench::new(policy, &[1, 2, 1]).spread(4_000);
            let near = |count: u32, want: u32| count.abs_diff(want) < 120;
            let good = near(counts[0], 1_000) && near(counts[1], 2_000) && near(counts[2], 1_000);
            assert!(good, "{policy:?} {counts:?}");
        }
    }

    #[test]
    fn ip_hash_ignores_the_port_and_even_does_not() {
        let picks = |policy| {
            let mut bench = Bench::new(policy, &[1; 4]);
            (0..64)
                .map(|port| bench.pick(Client { ip: 5, socket: port, listener: 0 }))
                .collect::<Vec<_>>()
        };
        let sticky = picks(Policy::IpHash);
        assert!(sticky.iter().all(|pick| *pick == sticky[0]));
        let even = picks(Policy::Even);
        assert!((0..4).all(|index| even.contains(&Some(index))), "{even:?}");
    }

    proptest! {
        /// Each full round of turns gives every upstream exactly its weight.
        #[test]
        fn a_round_is_exact(weights in prop::collection::vec(1_u32..9, 1..8), rounds in 1_u32..5) {
            let total: u32 = weights.iter().sum();
            let counts = Bench::new(Policy::RoundRobin, &weights).spread((total * rounds).into());
            let want: Vec<_> = weights.iter().map(|weight| weight * rounds).collect();
            prop_assert_eq!(counts, want);
        }

        /// Connections that stay are never spread further apart than by one.
        #[test]
        fn least_conn_stays_level(count in 1_usize..9, connections in 0_u32..200) {
            let mut bench = Bench::new(Policy::LeastConn, &vec![1; count]);
            for _ in 0..connections {
                let pick = bench.pick(Client::default()).unwrap();
                bench.open[pick] += 1;
            }
            let least = bench.open.iter().min().unwrap();
            let most = bench.open.iter().max().unwrap();
            prop_assert!(most - least <= 1);
        }
    }
}
