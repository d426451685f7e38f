//! How each policy spreads real connections.

use crate::harness::{Front, ask, connect_from, finish, servers, set, who, within};
use serde_json::json;
use std::collections::BTreeMap;

async fn spread(front: &Front, connections: usize) -> Vec<usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..connections {
        *counts.entry(front.ask().await).or_insert(0) += 1;
    }
    counts.into_values().collect()
}

#[tokio::test]
async fn round_robin_is_exact() {
    within(async {
        let front = Front::over(&servers(4).await, json!({"balance": "round_robin"})).await;
        let mut answers = Vec::new();
        for _ in 0..8 {
            answers.push(front.ask().await);
        }
        assert_eq!(answers, ["0", "1", "2", "3", "0", "1", "2", "3"]);
    })
    .await;
}

#[tokio::test]
async fn weights_count() {
    within(async {
        let servers = servers(2).await;
        let mut front = Front::over(&servers, json!({"balance": "round_robin"})).await;
        let mut weighted = set(&servers);
        weighted[0]["weight"] = json!(3);
        front.replace(weighted).await;
        assert_eq!(spread(&front, 40).await, [30, 10]);
    })
    .await;
}

#[tokio::test]
async fn least_conn_fills_the_emptiest() {
    within(async {
        let mut front = Front::over(&servers(3).await, json!({"balance": "least_conn"})).await;
        let mut held: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for _ in 0..9 {
            let mut stream = front.connect().await;
            held.entry(who(&mut stream).await).or_default().push(stream);
        }
        assert!(held.values().all(|streams| streams.len() == 3));
        for stream in held.remove("1").unwrap() {
            finish(stream).await;
        }
        let mut again = Vec::new();
        for _ in 0..3 {
            let mut stream = front.connect().await;
            assert_eq!(who(&mut stream).await, "1");
            again.push(stream);
        }
        let stats = front.stats().await;
        let open = |id: usize| stats["upstreams"][id]["open"].clone();
        assert_eq!([open(0), open(1), open(2)], [json!(3), json!(3), json!(3)]);
        assert_eq!(stats["connections"], 9);
    })
    .await;
}

#[tokio::test]
async fn random_and_even_are_even_in_the_long_run() {
    within(async {
        for balance in ["random", "even"] {
            let front = Front::over(&servers(4).await, json!({"balance": balance})).await;
            let counts = spread(&front, 800).await;
            // Five standard deviations: sqrt(800 / 4 * 3 / 4) is 12.
            let good = counts.iter().all(|count| (140..=260).contains(count));
            assert!(good && counts.len() == 4, "{balance}: {counts:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn ip_hash_keeps_clients_and_moves_only_those_of_a_server_that_left() {
    within(async {
        let servers = servers(4).await;
        let mut front = Front::over(&servers, json!({"balance": "ip_hash"})).await;
        let before = homes(&front).await;
        assert_eq!(homes(&front).await, before);
        let rest = json!([
            {"id": 0, "address": servers[0].to_string()},
            {"id": 2, "address": servers[2].to_string()},
            {"id": 3, "address": servers[3].to_string()},
        ]);
        front.replace(rest).await;
        let without = homes(&front).await;
        for (was, is) in before.iter().zip(&without) {
            assert!(is != "1" && (was == "1" || is == was), "{was} {is}");
        }
        front.replace(set(&servers)).await;
        assert_eq!(homes(&front).await, before);
        // A new front, too, knows where they were.
        let other = Front::over(&servers, json!({"balance": "ip_hash"})).await;
        assert_eq!(homes(&other).await, before);
    })
    .await;
}

/// Who answers each of forty addresses.
async fn homes(front: &Front) -> Vec<String> {
    let mut homes = Vec::new();
    for last in 1..=40 {
        homes.push(ask(connect_from([127, 0, 0, last], front.address()).await).await);
    }
    assert!(homes.iter().collect::<std::collections::BTreeSet<_>>().len() > 2);
    homes
}
