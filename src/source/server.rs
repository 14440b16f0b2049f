//! How to talk to servers: which addresses are allowed, how long to be patient, what failures mean.
//!
//! Knows nothing of files.
use std::{thread, time::Duration};

use anyhow::Context;
use ureq::{
    Agent,
    config::RedirectAuthHeaders,
    http::{Response, Uri},
    tls::{RootCerts, TlsConfig},
};

use crate::watch::{Event, Watch};

/// Steps from an address to the one that answers.
pub(super) const MOST_REDIRECTS: usize = 5;

/// How long a network may fail.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    /// Failures in a row that brought no new byte.
    pub(super) tries: u32,
    /// Before the second try; doubles with each.
    pub(super) first_wait: Duration,
    /// A connection that is silent for so long counts as broken.
    pub(super) silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { tries: 5, first_wait: Duration::from_secs(1), silence: Duration::from_secs(60) }
    }
}

/// Why one try failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// May pass: the same request may work later.
    Passing(anyhow::Error),
    Lasting(anyhow::Error),
}

/// Checks an address and returns the name for its file.
pub(super) fn check(url: &str) -> anyhow::Result<String> {
    anyhow::ensure!(!url.contains('#'), "an address of one file has no # here");
    let uri: Uri = url.parse().context("not an address; write https://HOST/PATH")?;
    let authority =
        uri.authority().context("the address names no host; write https://HOST/PATH")?;
    anyhow::ensure!(
        !authority.host().is_empty(),
        "the address names no host; write https://HOST/PATH"
    );
    anyhow::ensure!(
        !authority.as_str().contains('@'),
        "an address must not hold a password: recipes are copied into reports"
    );
    anyhow::ensure!(
        uri.scheme_str() == Some("https") || is_this_machine(&uri),
        "http: is for servers on this machine only; use https:"
    );
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = last.chars().map(plain).collect();
    Ok(if name.trim_matches('.').is_empty() { "download".into() } else { name })
}

fn is_this_machine(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Tries until success, a lasting failure, or the end of patience.
///
/// `progress` is a number that grows when a try brought something new.
pub(super) fn persist<T>(
    patience: &Patience,
    watch: Watch,
    progress: impl Fn() -> u64,
    mut attempt: impl FnMut() -> Result<T, Failure>,
) -> anyhow::Result<T> {
    let mut farthest = progress();
    let mut failures = 0;
    loop {
        let error = match attempt() {
            Ok(done) => return Ok(done),
            Err(Failure::Lasting(error)) => return Err(error),
            Err(Failure::Passing(error)) => error,
        };
        if progress() > farthest {
            farthest = progress();
            failures = 0;
        }
        failures += 1;
        if failures >= patience.tries {
            return Err(error.context(format!("gave up after {failures} tries in a row")));
        }
        let wait = patience.first_wait * 2_u32.pow(failures - 1);
        watch(Event::Say(format!("{error:#}; trying again in {wait:?}")));
        thread::sleep(wait);
    }
}

/// A client for `url`: certificates as the machine has them, proxies as the environment says.
pub(super) fn agent(url: &str, patience: &Patience) -> anyhow::Result<Agent> {
    let uri: Uri = url.parse().with_context(|| format!("not an address: {url}"))?;
    let here = uri.scheme_str() != Some("https") && is_this_machine(&uri);
    let mut config = Agent::config_builder()
        .https_only(!here)
        .http_status_as_error(false)
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .user_agent(concat!("spyhop/", env!("CARGO_PKG_VERSION")))
        // A compressed answer has neither the file's length nor its ranges.
        .accept_encoding("identity")
        .timeout_connect(Some(patience.silence))
        .timeout_recv_response(Some(patience.silence))
        .timeout_per_read(Some(patience.silence))
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build());
    if here {
        // Unencrypted answers must not lead away from this machine: see `redirect_within`.
        config = config.proxy(None).max_redirects(0).max_redirects_will_error(false);
    }
    Ok(config.build().into())
}

/// Where an answer leads, if that is on the same server: such a step is safe to follow.
pub(super) fn redirect_within<T>(url: &str, response: &Response<T>) -> Option<String> {
    let location = response.headers().get("location")?.to_str().ok()?;
    let is_path = location.starts_with('/') && !location.starts_with("//");
    let origin = url.match_indices('/').nth(2).map_or(url, |(at, _)| &url[..at]);
    (response.status().is_redirection() && is_path).then(|| format!("{origin}{location}"))
}

/// A status that is no file.
pub(super) fn refused<T>(url: &str, response: &Response<T>) -> Failure {
    let status = response.status();
    let advice = match status.as_u16() {
        404 | 410 => "; is the address right?",
        401 | 403 => "; it asks for rights that this request does not have",
        300..=399 => "; it leads away from this machine: write the final address",
        _ => "",
    };
    let error = anyhow::anyhow!("{url} answered {status}{advice}");
    match status.as_u16() {
        408 | 425 | 429 | 500..=599 => Failure::Passing(error),
        _ => Failure::Lasting(error),
    }
}

/// A request that got no answer.
pub(super) fn explain(url: &str, error: ureq::Error, under_way: bool) -> Failure {
    const ADVICE: &str =
        "check the network and HTTPS_PROXY, or name another place in `from`, such as file:";
    let unreachable = match &error {
        ureq::Error::HostNotFound => true,
        ureq::Error::Io(error) => {
            use std::io::ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable};
            matches!(error.kind(), HostUnreachable | NetworkDown | NetworkUnreachable)
                // The standard library has no kind for a name that nobody knows.
                || error.to_string().starts_with("failed to lookup address")
        }
        _ => false,
    };
    match error {
        // A machine without network should say so at once, but one that loses it for a moment in the
        // middle of a large file should not.
        error if unreachable && !under_way => {
            Failure::Lasting(anyhow::anyhow!("{url}: {error} ({ADVICE})"))
        }
        ureq::Error::Timeout(_)
        | ureq::Error::Io(_)
        | ureq::Error::Protocol(_)
        | ureq::Error::ConnectionFailed
        | ureq::Error::HostNotFound => {
            Failure::Passing(anyhow::anyhow!("{url}: {error} ({ADVICE})"))
        }
        ureq::Error::RequireHttpsOnly(_) => {
            Failure::Lasting(anyhow::anyhow!("{url} leads to an address without https: refused"))
        }
        error => Failure::Lasting(anyhow::anyhow!("{url}: {error}")),
    }
}
