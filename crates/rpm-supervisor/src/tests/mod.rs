//! Tests of the whole machine through its public door, `Fleet::step`.

mod bench;
mod life;
mod request;
mod stopping;
mod world;
