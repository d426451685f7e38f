//! [`relay`]: both directions of a connection at once, and how it ends.

use crate::{
    direction::{Direction, Finish},
    pipes::Pipes,
    stream::{Stream, keep_alive},
};
use std::pin::{Pin, pin};

type Rest<'f, 'a> = Pin<&'f mut (dyn Future<Output = Finish<'a>> + Send)>;

/// Which directions came to their end in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Passed {
    forward: bool,
    backward: bool,
}

/// Passes bytes both ways until both ends are passed on or the connection breaks. Whoever has not
/// got all that was meant for him sees a reset, not an end.
pub(crate) async fn relay(
    mut client: Stream,
    mut upstream: Stream,
    forward: Direction,
    backward: Direction,
    pipes: &Pipes,
) {
    let passed = run(&mut client, &mut upstream, forward, backward, pipes).await;
    if !passed.backward {
        client.reset();
    }
    if !passed.forward {
        upstream.reset();
    }
}

async fn run(
    client: &mut Stream,
    upstream: &mut Stream,
    forward: Direction,
    backward: Direction,
    pipes: &Pipes,
) -> Passed {
    let (from_client, to_client) = client.split();
    let (from_upstream, to_upstream) = upstream.split();
    let mut forward = pin!(forward.run(from_client, to_upstream, pipes));
    let mut backward = pin!(backward.run(from_upstream, to_client, pipes));
    tokio::select! {
        first = forward.as_mut() => {
            let (forward, backward) = finish(first, backward.as_mut(), Kept::No).await;
            Passed { forward, backward }
        }
        first = backward.as_mut() => {
            let (backward, forward) = finish(first, forward.as_mut(), Kept::Yes).await;
            Passed { forward, backward }
        }
    }
}

/// Whether what was passed on in full stays if whoever said it is reset afterwards. An answer does:
/// its client may not have read it yet. A request does not: nobody wants its answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Yes,
    No,
}

/// One direction has ended; whether it and then the other one passed its end on.
async fn finish(first: Finish<'_>, rest: Rest<'_, '_>, kept: Kept) -> (bool, bool) {
    match first {
        Finish::ReadFailed => (false, false),
        // What a connection that takes no more said before may still be there to be read.
        Finish::WriteFailed => (false, passed(&rest.await)),
        Finish::Passed(from, to) => {
            if kept == Kept::Yes {
                // An upstream that closed altogether says no more than one that only ended; asked,
                // it does. Clients are asked anyway. Unix sockets have no such option.
                let _unix = keep_alive(&from);
            }
            tokio::select! {
                biased;
                last = rest => (true, passed(&last)),
                // Nobody reads `from` or writes `to` any more who would see their connections go.
                () = from.failed() => (kept == Kept::Yes, false),
                () = to.failed() => (true, false),
            }
        }
    }
}

fn passed(finish: &Finish<'_>) -> bool {
    match finish {
        Finish::Passed(..) => true,
        Finish::ReadFailed | Finish::WriteFailed => false,
    }
}
