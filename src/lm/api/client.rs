//! One attempt at one server, and what its outcome means.
//!
//! Knows nothing of other attempts.
use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use ureq::{
    Agent, Body,
    http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header},
    tls::{RootCerts, TlsConfig},
};

use super::{Answer, Endpoint, Key, Settings, call, limiter::Ending};

/// No reply is longer.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// Characters of a server's complaint that are kept.
const MOST_COMPLAINT: usize = 500;
/// No server is taken to mean a longer wait.
const LONGEST_CLOSED: Duration = Duration::from_secs(24 * 3600);

/// A server, and the connections to it.
pub(super) struct Client {
    agent: Agent,
    /// Up to the part that OpenAI calls `v1`.
    url: String,
    key: Option<Key>,
}

/// Why an attempt brought no answer.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    /// Short, and without the key.
    pub(super) text: String,
    /// How long the server asked to be left alone.
    pub(super) retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The call is wrong, or not allowed: the status.
    Refused(u16),
    /// Too many calls in too short a time.
    Limited,
    /// Too many calls at once, as far as one can see.
    Overloaded,
    Broken,
    /// The reply is no completion.
    Garbled,
    /// The connection cannot work, now or later.
    Hopeless,
}

impl Kind {
    /// What it says of the server.
    pub(super) fn ending(self) -> Ending {
        match self {
            Self::Refused(_) => Ending::Answered,
            Self::Limited => Ending::Limited,
            Self::Overloaded => Ending::Overloaded,
            Self::Broken | Self::Garbled | Self::Hopeless => Ending::Broken,
        }
    }
}

impl Client {
    pub(super) fn new(endpoint: &Endpoint, settings: &Settings) -> anyhow::Result<Self> {
        let uri = check(endpoint)?;
        let mut config = Agent::config_builder()
            .https_only(uri.scheme_str() == Some("https"))
            .http_status_as_error(false)
            // Whoever answers in the end is to be the one to whom the key was given.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("spyhop/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(settings.timeout))
            .max_idle_connections(settings.concurrency)
            .max_idle_connections_per_host(settings.concurrency)
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build());
        if is_this_machine(&uri) {
            config = config.proxy(None);
        }
        Ok(Self {
            agent: config.build().into(),
            url: endpoint.url.trim_end_matches('/').to_owned(),
            key: endpoint.key.clone(),
        })
    }

    pub(super) fn ask(&self, path: &str, body: &[u8]) -> Result<Answer, Trouble> {
        let url = format!("{}/{path}", self.url);
        let mut request = self.agent.post(&url).header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            let trouble = |_| self.trouble(Kind::Hopeless, "the key cannot be sent", None);
            let mut value = HeaderValue::try_from(key.bearer()).map_err(trouble)?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let mut response = request.send(body).map_err(|error| self.unanswered(&error))?;
        if !response.status().is_success() {
            return Err(self.turned_away(&mut response));
        }
        let body = response
            .body_mut()
            .with_config()
            .limit(MOST_BYTES)
            .read_to_vec()
            .map_err(|error| self.unanswered(&error))?;
        call::read(&body).map_err(|error| {
            // Some servers wrap an error in a status of success.
            let text = format!("no completion ({error}): {}", call::complaint(&body));
            self.trouble(Kind::Garbled, &text, None)
        })
    }

    /// A status that is no success.
    fn turned_away(&self, response: &mut Response<Body>) -> Trouble {
        let status = response.status();
        let retry_after = retry_after(response.headers());
        // A complaint that is cut or missing changes nothing of what the status says.
        let body =
            response.body_mut().with_config().limit(MOST_BYTES).read_to_vec().unwrap_or_default();
        let complaint = call::complaint(&body);
        let kind = match status.as_u16() {
            // OpenAI's word for an account without money, which no waiting helps.
            429 if String::from_utf8_lossy(&body).contains("insufficient_quota") => {
                Kind::Refused(429)
            }
            429 => Kind::Limited,
            // 529 is what some hosts call "overloaded".
            408 | 503 | 504 | 529 => Kind::Overloaded,
            500..=599 => Kind::Broken,
            other => Kind::Refused(other),
        };
        let text = match (status, kind) {
            (status, _) if status.is_redirection() => {
                "it leads elsewhere: write the final address".to_owned()
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                format!("{complaint} (is the key right?)")
            }
            (StatusCode::NOT_FOUND, _) => {
                format!(
                    "{complaint} (are the address, which often ends in /v1, and the model right?)"
                )
            }
            (_, Kind::Refused(_)) => complaint,
            _ => format!("status {}: {complaint}", status.as_u16()),
        };
        self.trouble(kind, &text, retry_after)
    }

    /// An attempt that got no whole reply.
    fn unanswered(&self, error: &ureq::Error) -> Trouble {
        use ureq::Error;
        // TLS wraps its own errors in those of the connection.
        let untrusted = error.to_string().contains("invalid peer certificate");
        let (kind, advice) = match error {
            _ if untrusted => (
                Kind::Hopeless,
                "; if its certificate is of your own making, name its issuer's in SSL_CERT_FILE",
            ),
            Error::Timeout(_) => (Kind::Overloaded, ""),
            Error::BodyExceedsLimit(_) => (Kind::Garbled, ""),
            Error::Io(_)
            | Error::Protocol(_)
            | Error::ConnectionFailed
            | Error::ConnectProxyFailed(_)
            | Error::HostNotFound
            | Error::BodyStalled => (Kind::Broken, ""),
            _ => (Kind::Hopeless, ""),
        };
        self.trouble(kind, &format!("{error}{advice}"), None)
    }

    fn trouble(&self, kind: Kind, text: &str, retry_after: Option<Duration>) -> Trouble {
        // The key goes first: of a key cut in two, a half would stay.
        let text = self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.hide_in(text));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = match text.char_indices().nth(MOST_COMPLAINT) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        };
        Trouble { kind, text: format!("{}: {text}", self.url), retry_after }
    }
}

/// Checks an address.
fn check(endpoint: &Endpoint) -> anyhow::Result<Uri> {
    const WANTED: &str = "write https://HOST/v1, or http://HOST:PORT/v1";
    let uri: Uri = endpoint.url.parse().context(format!("not an address; {WANTED}"))?;
    let authority = uri.authority().context(format!("the address names no host; {WANTED}"))?;
    anyhow::ensure!(
        matches!(uri.scheme_str(), Some("http" | "https")),
        "the address is neither http nor https; {WANTED}"
    );
    anyhow::ensure!(
        !authority.as_str().contains('@'),
        "an address must not hold a password: it is shown in errors and reports"
    );
    anyhow::ensure!(
        !endpoint.url.contains(['?', '#']) && !uri.path().contains("/chat/completions"),
        "the address goes too far; {WANTED}"
    );
    anyhow::ensure!(
        endpoint.key.is_none() || uri.scheme_str() == Some("https") || is_near(&uri),
        "the key would travel unencrypted: use https, which only servers on this machine or in its \
         own network can do without"
    );
    Ok(uri)
}

fn host(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

fn is_this_machine(uri: &Uri) -> bool {
    host(uri) == "localhost"
        || host(uri).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// On this machine or in a private network, where a name has no dot.
fn is_near(uri: &Uri) -> bool {
    match host(uri).parse() {
        Ok(IpAddr::V4(address)) => {
            address.is_loopback() || address.is_private() || address.is_link_local()
        }
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        Err(_) => !host(uri).contains('.'),
    }
}

/// How long a server asks to be left alone: `retry-after-ms`, or `retry-after` in seconds or as a
/// date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    let date = |name: &str| httpdate::parse_http_date(text(name)?).ok();
    let seconds = number("retry-after-ms")
        .map(|milliseconds| milliseconds / 1000.0)
        .or_else(|| number("retry-after"));
    let wait = match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        None => {
            // By the server's clock, as ours may be wrong.
            let now = date("date").unwrap_or_else(SystemTime::now);
            date("retry-after")?.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_CLOSED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_in_every_form() {
        let check = |headers: &[(&'static str, &'static str)], expected: Option<f64>| {
            let headers = headers
                .iter()
                .map(|(name, value)| {
                    (header::HeaderName::from_static(name), HeaderValue::from_static(value))
                })
                .collect();
            assert_eq!(retry_after(&headers), expected.map(Duration::from_secs_f64), "{headers:?}");
        };
        let date = ("date", "Sun, 06 Nov 1994 08:49:07 GMT");
        check(&[], None);
        check(&[("retry-after", "20")], Some(20.0));
        check(&[("retry-after", "1.5")], Some(1.5));
        check(&[("retry-after", "20"), ("retry-after-ms", "250")], Some(0.25));
        check(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), date], Some(30.0));
        check(&[("retry-after", "Sunday, 06-Nov-94 08:49:37 GMT"), date], Some(30.0));
        // In the past.
        check(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], Some(0.0));
        check(&[("retry-after", "soon")], None);
        check(&[("retry-after", "-1")], None);
        check(&[("retry-after", "NaN")], None);
        check(&[("retry-after", "1e15")], Some(86400.0));
    }

    #[test]
    fn an_address_is_checked() {
        let check = |url: &str, key: bool, complaint: &str| {
            let key = key.then(|| Key::new("secret").unwrap());
            match check(&Endpoint { url: url.into(), key }) {
                Ok(_) => assert_eq!(complaint, "", "{url}"),
                Err(error) => {
                    assert!(
                        !complaint.is_empty() && error.to_string().contains(complaint),
                        "{url}: {error:#}"
                    );
                }
            }
        };
        check("https://api.openai.com/v1", true, "");
        check("http://localhost:8000/v1/", true, "");
        check("http://[::1]:8000/v1", true, "");
        check("http://10.0.0.5:8000/v1", true, "");
        check("http://node17:8000/v1", true, "");
        check("http://models.example.org/v1", false, "");
        check("http://models.example.org/v1", true, "unencrypted");
        check("http://8.8.8.8/v1", true, "unencrypted");
        check("ftp://example.org/v1", false, "neither http nor https");
        check("/v1", false, "no host");
        check("not an address", false, "not an address");
        check("https://me:secret@example.org/v1", false, "password");
        check("https://example.org/v1?key=secret", false, "too far");
        check("https://example.org/v1/chat/completions", false, "too far");
    }
}
