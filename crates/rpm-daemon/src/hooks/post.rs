//! Posts JSON to an `http://` URL.

use http_body_util::Full;
use hyper::{
    Request, Uri,
    body::Bytes,
    client::conn::http1::handshake,
    header::{CONTENT_TYPE, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::spawn_local};

/// The header that says what it is, as curl takes it.
pub(super) const JSON: &str = "content-type: application/json";

/// Posts `body`, which must be answered with a status from 200 to 299.
///
/// # Errors
/// What went wrong, for a person.
pub(super) async fn post(url: &str, body: String) -> Result<(), String> {
    let uri: Uri = url.parse().map_err(|error| format!("no URL: {error}"))?;
    let host = uri.host().ok_or("no host")?.trim_matches(['[', ']']);
    let address = (host, uri.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let words = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(words)?;
    spawn_local(connection);
    let response = sender.send_request(request(&uri, body)?).await.map_err(words)?;
    let status = response.status();
    if status.is_success() { Ok(()) } else { Err(format!("answered {status}")) }
}

fn request(uri: &Uri, body: String) -> Result<Request<Full<Bytes>>, String> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Request::post(path)
        .header(HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .header(USER_AGENT, "rpm")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())
}
