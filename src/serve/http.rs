//! The wire: requests in, answers out, and nothing of what they mean. The only asynchronous code.
//!
//! axum waits for slow connections; each whole request is then answered by an ordinary function on a
//! thread of its own.
use std::{net::TcpListener, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderName, Request as Incoming, Response as Outgoing, StatusCode, header},
};

/// Bytes of a form: the longest has a handful of ids.
const BODY_LIMIT: usize = 16 << 10;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Answers at work at once.
const THREADS: usize = 8;

/// A whole request.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// Still percent-encoded, with its leading slash.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) host: Option<String>,
    pub(super) origin: Option<String>,
    /// What a browser says of where the request comes from.
    pub(super) site: Option<String>,
    pub(super) cookie: String,
    pub(super) body: Vec<u8>,
}

/// What is sent back.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Response {
    pub(super) fn new(status: u16, kind: &str, body: String) -> Self {
        Self { status, headers: vec![("content-type", kind.to_owned())], body }
    }

    pub(super) fn html(body: String) -> Self {
        Self::new(200, "text/html; charset=utf-8", body)
    }

    /// Sends the browser on, to be asked for with GET.
    pub(super) fn redirect(to: String) -> Self {
        Self::new(303, "text/plain; charset=utf-8", String::new()).with("location", to)
    }

    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Request {
    /// The fields of the query, decoded.
    pub(super) fn asked(&self, name: &str) -> Option<String> {
        field(self.query.as_bytes(), name)
    }

    /// The fields of the form that was sent, decoded.
    pub(super) fn sent(&self, name: &str) -> Option<String> {
        field(&self.body, name)
    }
}

fn field(encoded: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(encoded)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Answers every request that comes, until the process ends.
///
/// # Errors
/// When the connections cannot be waited for.
pub(super) fn serve(
    listener: TcpListener,
    answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .build()
        .context("cannot start the server")?;
    let answer = Arc::new(answer);
    let handler = move |incoming: Incoming<Body>| {
        let answer = Arc::clone(&answer);
        async move {
            let request = match received(incoming).await {
                Ok(request) => request,
                Err(status) => return refused(status),
            };
            match tokio::task::spawn_blocking(move || answer(&request)).await {
                Ok(response) => outgoing(response),
                Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR),
            }
        }
    };
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        axum::serve(listener, Router::new().fallback(handler)).await
    })?;
    Ok(())
}

async fn received(incoming: Incoming<Body>) -> Result<Request, StatusCode> {
    let (head, body) = incoming.into_parts();
    let body = match tokio::time::timeout(BODY_TIME, to_bytes(body, BODY_LIMIT)).await {
        Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
        Ok(Err(_)) => return Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Ok(body)) => body.to_vec(),
    };
    let text = |name: HeaderName| {
        head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    Ok(Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        // HTTP/1.1 has it in the header; a request in absolute form has it in the address.
        host: text(header::HOST).or_else(|| head.uri.authority().map(|at| at.as_str().to_owned())),
        origin: text(header::ORIGIN),
        site: text(HeaderName::from_static("sec-fetch-site")),
        cookie: text(header::COOKIE).unwrap_or_default(),
        body,
    })
}

fn outgoing(response: Response) -> Outgoing<Body> {
    let mut built = Outgoing::builder().status(response.status);
    for (name, value) in response.headers {
        built = built.header(name, value);
    }
    built
        .body(Body::from(response.body))
        .unwrap_or_else(|_| refused(StatusCode::INTERNAL_SERVER_ERROR))
}

fn refused(status: StatusCode) -> Outgoing<Body> {
    let mut response = Outgoing::new(Body::from(format!("{status}\n")));
    *response.status_mut() = status;
    response
}
