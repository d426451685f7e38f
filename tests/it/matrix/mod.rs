//! The matrix: programs of every kind, unchanged, three workers on one port. Each answers from
//! three processes without a restart, then a reload, a kill and scaling pass over it under load.
//!
//! What a kind of program may lose is said by its [`Manners`](program::Manners); a refused
//! connection is never allowed.

/// Two tests for each program: the life of its three workers, and scaling.
macro_rules! matrix {
    ($($(#[$life:meta])* $name:ident $(scales $(#[$scale:meta])*)?: $program:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            $(#[$life])*
            fn answers_reloads_and_survives_a_kill() {
                crate::matrix::stages::live(&$program);
            }

            #[test]
            $(#[$life])*
            $($(#[$scale])*)?
            fn scales() {
                crate::matrix::stages::scales(&$program);
            }
        }
    )*};
}

mod native;
mod node;
mod node_wrappers;
mod program;
mod python;
mod runtimes;
mod sockets;
mod stages;
mod traps;
