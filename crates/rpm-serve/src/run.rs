//! [`run`]: the server as a whole process. Printing what it does is the caller's work.

use crate::{Options, bind, serve};
use std::io;
use std::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Threads that read files; more would only queue before the same disk.
const FILE_THREADS: usize = 8;

/// Listens as `options` say and serves until SIGINT or SIGTERM; see [`run_on`].
///
/// # Errors
///
/// As [`bind`] and [`serve`].
pub fn run(options: Options) -> io::Result<()> {
    let listener = bind(&options)?;
    run_on(options, listener)
}

/// Serves `listener` on a runtime of its own. The first SIGINT or SIGTERM lets clients finish, a
/// second one ends at once.
///
/// # Errors
///
/// As [`serve`], or the runtime cannot be made.
pub fn run_on(options: Options, listener: TcpListener) -> io::Result<()> {
    let runtime = runtime()?;
    let result = runtime.block_on(until_told(options, listener));
    // A file read that hangs on a dead disk must not keep the process.
    runtime.shutdown_background();
    result
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(FILE_THREADS).build()
}

async fn until_told(options: Options, listener: TcpListener) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let told_twice = async {
        signals.next().await;
        drop(stop);
        signals.next().await;
    };
    tokio::select! {
        result = serve(options, listener, stopped) => result,
        () = told_twice => Ok(()),
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
