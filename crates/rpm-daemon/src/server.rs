//! Clients of `rpm.sock`: one task each, which passes requests to the engine and answers back.

use crate::inbox::{Message, Response, Telling};
use rpm_protocol::{Asked, Connection, EventView, RpcError, Sender, Server};
use std::rc::Rc;
use tokio::{
    sync::{broadcast::error::RecvError, mpsc, oneshot},
    task::spawn_local,
};

/// Held by everything that still has an answer to write; when all are dropped, the daemon may exit.
pub(crate) type Unanswered = mpsc::Sender<std::convert::Infallible>;

/// Serves clients for ever.
pub(crate) async fn run(server: Server, engine: mpsc::Sender<Message>, unanswered: Unanswered) {
    let all = Rc::new(());
    loop {
        let connection = server.accept().await;
        let guest = Guest(Rc::clone(&all));
        spawn_local(serve(connection, engine.clone(), unanswered.downgrade(), guest));
    }
}

/// Held by everything that works for a client. With the last one goes what they made us allocate:
/// a crowd that is gone shall cost nothing.
#[derive(Clone)]
struct Guest(Rc<()>);

impl Drop for Guest {
    fn drop(&mut self) {
        // This one's and that of who accepts.
        if Rc::strong_count(&self.0) <= 2 {
            rpm_unix::heap::give_back();
        }
    }
}

/// Serves one client until it hangs up. Its requests are answered in any order.
async fn serve(
    mut connection: Connection,
    engine: mpsc::Sender<Message>,
    unanswered: mpsc::WeakSender<std::convert::Infallible>,
    guest: Guest,
) {
    while let Some(received) = connection.receive().await {
        let Some(unanswered) = unanswered.upgrade() else { return };
        match received {
            Ok((asked, request)) => {
                let (respond, answer) = oneshot::channel();
                // Here, not in the task: of who asks a lot, one request waits for room in the
                // inbox, and those of others are not behind the rest. That the engine has ended
                // is told by `answer`.
                let _gone = engine.send(Message::Request { request, respond }).await;
                let answer = pass_on(asked, answer, connection.sender(), unanswered);
                let guest = guest.clone();
                spawn_local(async move {
                    answer.await;
                    drop(guest);
                });
            }
            // The client was told already.
            Err(error) => tracing::debug!("a client's line was refused: {error}"),
        }
    }
}

/// Waits for the engine's answer and gives it to the client.
async fn pass_on(
    asked: Asked,
    answer: oneshot::Receiver<Result<Response, RpcError>>,
    client: Sender,
    unanswered: Unanswered,
) {
    match answer.await {
        Ok(Ok(Response::Json(result))) => client.reply(asked, Ok(result)),
        Ok(Ok(Response::Events(telling))) => {
            client.reply(asked, Ok(()));
            drop(unanswered);
            return tell(telling, &client).await;
        }
        Ok(Err(error)) => client.reply(asked, Err::<(), _>(error)),
        // The engine has ended.
        Err(_) => {
            let error = RpcError::failed("the daemon is shutting down", None);
            client.reply(asked, Err::<(), _>(error));
        }
    }
    client.flushed().await;
}

/// Tells events until the client hangs up or falls too far behind.
async fn tell(telling: Telling, client: &Sender) {
    let Telling { past, mut live, mut messages, only } = telling;
    let wanted = |event: &EventView| only.as_ref().is_none_or(|apps| apps.contains(&event.app));
    for event in past.iter().filter(|event| wanted(event)) {
        if client.notify(event).is_err() {
            return;
        }
    }
    loop {
        let event = tokio::select! {
            biased;
            event = live.recv() => event,
            event = messages.recv() => event,
            () = client.hung_up() => return,
        };
        match event {
            Ok(event) if !wanted(&event) || client.notify(&event).is_ok() => {}
            // A gap shows in the cursors; the client may ask again with `since`.
            Err(RecvError::Lagged(missed)) => tracing::warn!("a client missed {missed} events"),
            Ok(_) | Err(RecvError::Closed) => return,
        }
    }
}
