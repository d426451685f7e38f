//! [`Site`]: from a request to the file that answers it. Headers of our own are `answer`'s work.

use crate::listing;
use crate::path::{decode, stays_inside};
use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use std::io;
use std::path::PathBuf;
use tower_http::services::ServeDir;
use tower_http::services::fs::ServeFileSystemResponseBody;

/// A file's bytes or a short text.
pub(crate) type Body = Either<ServeFileSystemResponseBody, Full<Bytes>>;

/// One directory and what happens where it has no file.
pub(crate) struct Site {
    root: PathBuf,
    files: ServeDir,
    spa: bool,
    listing: bool,
}

impl Site {
    /// # Errors
    ///
    /// `root` cannot be looked at or is no directory.
    pub(crate) fn new(root: PathBuf, spa: bool, listing: bool) -> io::Result<Self> {
        let refused = |kind, reason: String| {
            io::Error::new(kind, format!("cannot serve {}: {reason}", root.display()))
        };
        let found = root.metadata().map_err(|error| refused(error.kind(), error.to_string()))?;
        if !found.is_dir() {
            return Err(refused(io::ErrorKind::NotADirectory, "not a directory".to_owned()));
        }
        Ok(Self { files: ServeDir::new(&root), root, spa, listing })
    }

    /// The answer to a request for `uri`.
    pub(crate) async fn find(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Response<Body> {
        if !stays_inside(uri.path()) {
            return text(StatusCode::FORBIDDEN);
        }
        let response = self.look_up(method, uri, headers).await;
        if response.status() == StatusCode::NOT_FOUND
            && let Some(page) = self.list(method, uri).await
        {
            return page;
        }
        match response.status() {
            StatusCode::NOT_FOUND if self.spa => self.entry_page(method, uri, headers).await,
            StatusCode::NOT_FOUND => self.missing_page(method).await,
            _ => response,
        }
    }

    /// The list of a directory, where that is wanted.
    async fn list(&self, method: &Method, uri: &Uri) -> Option<Response<Body>> {
        // A form that is sent to a directory is no question for its files.
        if !self.listing || !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let (root, path) = (self.root.clone(), decode(uri.path().as_bytes())?);
        let listed = tokio::task::spawn_blocking(move || {
            let directory = listing::directory(&root, &path)?;
            Some(listing::page(&directory, &path))
        });
        Some(match listed.await.ok()?? {
            Ok(page) => html(page),
            Err(error) => text(status_of(&error)),
        })
    }

    /// What a single-page app answers where it has no file: as PM2, first the last segment of the
    /// path, because pages below `/a/b` ask for their scripts relative to it, then the entry page.
    async fn entry_page(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response<Body> {
        let last = uri.path().rsplit('/').next().unwrap_or_default();
        for path in [format!("/{last}"), "/index.html".to_owned()] {
            let Ok(uri) = Uri::try_from(path) else { continue };
            let response = self.look_up(method, &uri, headers).await;
            if response.status() != StatusCode::NOT_FOUND {
                return response;
            }
        }
        text(StatusCode::NOT_FOUND)
    }

    /// `404.html` with status 404. The client's conditions are about another page: left out.
    async fn missing_page(&self, method: &Method) -> Response<Body> {
        let uri = Uri::from_static("/404.html");
        let mut response = self.look_up(method, &uri, &HeaderMap::new()).await;
        if response.status() != StatusCode::OK {
            return text(StatusCode::NOT_FOUND);
        }
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    }

    async fn look_up(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response<Body> {
        let mut request = Request::new(Full::<Bytes>::default());
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers.clone();
        match self.files.clone().try_call(request).await {
            Ok(response) => worded(response),
            Err(error) => text(status_of(&error)),
        }
    }
}

/// Gives refusals, which come without a body, a text to read.
fn worded(response: Response<ServeFileSystemResponseBody>) -> Response<Body> {
    if !response.status().is_client_error() && !response.status().is_server_error() {
        return response.map(Either::Left);
    }
    let (parts, _) = response.into_parts();
    let mut answer = text(parts.status);
    for name in [ALLOW, hyper::header::CONTENT_RANGE] {
        if let Some(value) = parts.headers.get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

fn status_of(error: &io::Error) -> StatusCode {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidFilename => StatusCode::NOT_FOUND,
        io::ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn html(page: String) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::from(page)));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}

/// `404 Not Found` and its like as a page.
pub(crate) fn text(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::from(format!("{status}\n"))));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
