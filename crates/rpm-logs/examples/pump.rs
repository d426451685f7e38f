//! The daemon's part of the kill test: pumps the pipe on stdin into the file open on stdout, as a
//! daemon would that the keeper gave both to.

use rpm_logs::{pump::Pump, sink::LogFile};
use std::{io, os::fd::AsFd, process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    match runtime.and_then(|runtime| runtime.block_on(pump())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn pump() -> io::Result<()> {
    let pipe = io::stdin().as_fd().try_clone_to_owned()?;
    let file = LogFile::adopt(io::stdout().as_fd().try_clone_to_owned()?, "out.log")?;
    Pump::new(pipe, Some(Arc::new(file)))?.run().await
}
