//! [`Answerer`]: one request to one response with the headers every response carries. What the
//! response is made of is `site`'s work.

use crate::Options;
use crate::auth::{CHALLENGE, Guard};
use crate::site::{self, Body, Site};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONNECTION, HeaderMap, HeaderName, HeaderValue,
    WWW_AUTHENTICATE,
};
use hyper::{Request, Response, StatusCode, Uri};
use std::io;

/// Which instance answered; `-` outside of a fleet.
const INSTANCE: HeaderName = HeaderName::from_static("x-rpm-instance");
/// Which process answered.
const PID: HeaderName = HeaderName::from_static("x-rpm-pid");

/// Answers requests for one site in the name of one process.
pub(crate) struct Answerer {
    site: Site,
    guard: Option<Guard>,
    instance: HeaderValue,
    pid: HeaderValue,
}

impl Answerer {
    /// # Errors
    ///
    /// The root is no directory that can be read.
    pub(crate) fn new(options: Options) -> io::Result<Self> {
        let instance = options.instance.as_deref().unwrap_or("-");
        Ok(Self {
            guard: options.credentials.as_ref().map(Guard::new),
            site: Site::new(options.root, options.spa, options.listing)?,
            // The variable may hold anything; what cannot stand in a header reads as unknown.
            instance: HeaderValue::from_str(instance).unwrap_or(HeaderValue::from_static("-")),
            pid: HeaderValue::from(std::process::id()),
        })
    }

    /// The response to `request`; `last` announces that the connection ends with it.
    pub(crate) async fn answer<B>(&self, request: &Request<B>, last: bool) -> Response<Body> {
        let headers = request.headers();
        let mut response = match &self.guard {
            Some(guard) if !guard.admits(headers) => unauthorized(),
            Some(_) | None => self.site.find(request.method(), request.uri(), headers).await,
        };
        let probe = is_probe(request.uri());
        self.sign(response.headers_mut());
        if probe {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if last || probe {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn sign(&self, headers: &mut HeaderMap) {
        headers.insert(INSTANCE, self.instance.clone());
        headers.insert(PID, self.pid.clone());
        // As PM2: a page elsewhere may read what is served here.
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
}

/// The question for name and password.
fn unauthorized() -> Response<Body> {
    let mut response = site::text(StatusCode::UNAUTHORIZED);
    response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
    response
}

/// Whether the query has a `probe`: the example page asks so to reach another instance next time,
/// which browsers, who keep connections, would not do by themselves.
fn is_probe(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    query.split('&').any(|pair| pair.split('=').next() == Some("probe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_a_query_of_that_name() {
        for (uri, expected) in [
            ("/?probe", true),
            ("/?probe=7", true),
            ("/a?b=1&probe=2", true),
            ("/?probes", false),
            ("/?a=probe", false),
            ("/probe", false),
        ] {
            assert_eq!(is_probe(&Uri::from_static(uri)), expected, "{uri}");
        }
    }
}
