//! Short patience that a machine which stands still does not use up. Whoever is waited for stood
//! still as well, and would be found late by a clock that went on.

use std::{future::Future, pin::pin, time::Duration};
use tokio::time::timeout;

/// A wait is made of so many pieces, and a pause of the machine falls into one of them.
const PIECES: u32 = 10;

/// What `future` gives, if it does so within `limit` of the time in which this process could run.
pub async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..PIECES {
        if let Ok(found) = timeout(limit / PIECES, &mut future).await {
            return Some(found);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{sync::oneshot, task::yield_now, time::advance};

    const LIMIT: Duration = Duration::from_millis(500);

    #[tokio::test(start_paused = true)]
    async fn an_answer_after_a_pause_of_the_machine_is_not_late() {
        let (answer, answered) = oneshot::channel();
        let waits = tokio::spawn(within(LIMIT, answered));
        yield_now().await;
        advance(Duration::from_secs(5)).await;
        answer.send(7).unwrap();
        assert_eq!(waits.await.unwrap(), Some(Ok(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_limit() {
        let before = tokio::time::Instant::now();
        assert_eq!(within(LIMIT, std::future::pending::<()>()).await, None);
        assert!((LIMIT..LIMIT * 2).contains(&before.elapsed()));
    }
}
