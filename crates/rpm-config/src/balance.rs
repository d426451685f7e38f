//! [`Balance`]: how the instances of an app share its connections.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Who gets a new connection. Which one to choose is in `docs/cluster.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// By a hash of both addresses and ports: statistically even.
    #[default]
    Even,
    /// One queue for all: whoever is idle takes the next connection.
    Shared,
    /// Anybody, each with the same chance.
    Random,
    /// A client's address always meets the same instance.
    IpHash,
    /// Each in turn, exactly.
    RoundRobin,
    /// Whoever has the fewest connections.
    LeastConn,
}

impl Balance {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Even, Self::Shared, Self::Random, Self::IpHash, Self::RoundRobin, Self::LeastConn];

    /// As it is written in a file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Shared => "shared",
            Self::Random => "random",
            Self::IpHash => "ip_hash",
            Self::RoundRobin => "round_robin",
            Self::LeastConn => "least_conn",
        }
    }

    /// The one written so.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|balance| balance.word() == word)
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_stored_form() {
        for balance in Balance::ALL {
            assert_eq!(Balance::of_word(balance.word()), Some(balance));
            assert_eq!(serde_json::to_value(balance).unwrap(), balance.word());
        }
        assert_eq!(Balance::of_word("fair"), None);
    }
}
