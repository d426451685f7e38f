//! Bun and Deno. Neither has a preload of ours: they are told to end by the signal alone.

use super::program::Program;

matrix! {
    // Without a handler SIGINT ends them in the middle of whatever they answer: by then, nothing.
    bun: Program::script("matrix/bun.js", &["--interpreter", "bun"]);
    bun_that_stops: Program::script("matrix/bun-stops.js", &["--interpreter", "bun"]);
    // node:http as Bun has it.
    bun_as_node: Program::script("hello.js", &["--interpreter", "bun"]);
    deno: Program::new(&["deno run -A deno.js"]).file("matrix/deno.js");
    // Its shutdown() closes connections of which it has read nothing yet, fresh ones too.
    deno_that_stops: Program::new(&["deno run -A deno-stops.js"])
        .file("matrix/deno-stops.js");
}
