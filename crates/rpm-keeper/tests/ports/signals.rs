//! A signal makes the kernel take a call back and issue it again.

use crate::{
    clients::{answer, ask, ask_often, free_port, request},
    programs::{STORM, compile},
    world::World,
};

#[test]
fn a_storm_of_signals_changes_nothing() {
    let (mut world, port) = (World::new(), free_port());
    let (_directory, binary) = compile(STORM);
    let (text, binary) = (port.to_string(), binary.display().to_string());
    let words = [binary.as_str(), &text];
    // First bind, join, and the held socket several times over.
    let mut first = world.serve("app", 0, &words);
    world.serve("app", 1, &words);
    for _ in 0..10 {
        world.kill(first);
        let waiting = request(port);
        first = world.serve("app", 0, &words);
        assert!(answer(waiting) > 0);
    }
    assert!(ask(port) > 0);
    assert_eq!(ask_often(port, 200).len(), 2);
}
