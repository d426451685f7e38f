//! Python: its own http.server, the two usual application servers, and programs that fork.

use super::program::Program;

matrix! {
    http_server: Program::script("server.py", &[]);
    // Ctrl-C is an exception in the middle of whatever it does: by then it has nothing to do.
    http_server_without_handler: Program::script("matrix/plain.py", &[]);
    // SIGTERM is gunicorn's graceful stop; SIGINT would cut what its worker answers.
    gunicorn: Program::new(&[
        "gunicorn --workers 1 --bind 0.0.0.0:{port} --log-level warning wsgi:app",
        "--stop-signal",
        "SIGTERM",
    ])
    .file("matrix/wsgi.py");
    // When it stops it closes what it has accepted and not read from yet: nothing.
    uvicorn: Program::new(&["uvicorn --host 0.0.0.0 --port {port} --no-access-log asgi:app"])
        .file("matrix/asgi.py");
    // Its children have no handler.
    forks_after_listen: Program::script("matrix/prefork.py", &[]);
    forks_before_listen: Program::script("matrix/children-listen.py", &[]);
}
