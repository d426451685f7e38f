//! Tests of the whole machine through its public door, `Fleet::step`.

mod bench;
mod depends;
mod front;
mod life;
mod recovery;
mod reload;
mod request;
mod scaling;
mod states;
mod stopping;
mod world;
