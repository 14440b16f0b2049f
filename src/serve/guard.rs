//! Who may see what. Knows requests, and no page.
//!
//! Off the loopback every request needs a key. There are two: the owner's token opens everything, and
//! a second one, made from it, opens the pages on which raters compare answers and no others, since
//! reports and results name the models. A key that comes in an address is moved into a cookie, unless
//! that would take from the owner what the owner's cookie opens.
use std::net::SocketAddr;

use super::http::{Request, Response};

/// Keeps what is served from those it is not meant for.
#[derive(Debug)]
pub(super) struct Guard {
    address: SocketAddr,
    token: Option<String>,
}

/// Whom a request is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visitor {
    Owner,
    Rater,
}

impl Guard {
    /// With a token, even on the loopback nothing opens without it.
    pub(super) fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self { address, token }
    }

    /// The owner's token.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The key for raters, which does not tell the token.
    pub(super) fn raters_key(&self) -> Option<String> {
        let token = self.token.as_ref()?;
        let key = blake3::derive_key("spyhop serve 2026 raters", token.as_bytes());
        Some(blake3::hash(&key).to_hex()[..32].to_owned())
    }

    /// Whom the request is from, or the answer that turns it away or takes its key.
    pub(super) fn admit(&self, request: &Request) -> Result<Visitor, Response> {
        if self.address.ip().is_loopback() && !request.host.as_deref().is_some_and(is_loopback) {
            // A page of another site can make its own name point here, and then read what it gets.
            return Err(refuse(403, "this server answers to localhost only"));
        }
        if request.method == "POST" && !from_here(request) {
            return Err(refuse(403, "the form was sent by a page of another site"));
        }
        if self.token.is_none() {
            return Ok(Visitor::Owner);
        }
        if let Some(key) = request.asked("token") {
            let Some(visitor) = self.visitor(&key) else { return Err(no_key()) };
            return match request.method.as_str() {
                "GET" => {
                    let kept = self.remembered(request) == Some(Visitor::Owner);
                    let key = Some(key.as_str()).filter(|_| !kept);
                    Err(self.without_key(request, key))
                }
                _ => Ok(visitor),
            };
        }
        self.remembered(request).ok_or_else(no_key)
    }

    /// Whom a cookie of ours says that the request is from.
    fn remembered(&self, request: &Request) -> Option<Visitor> {
        let name = self.cookie();
        let cookies = request.cookie.split(';').filter_map(|one| one.trim().split_once('='));
        let mut keys = cookies.filter(|(key, _)| *key == name).map(|(_, value)| value);
        keys.find_map(|key| self.visitor(key))
    }

    fn visitor(&self, key: &str) -> Option<Visitor> {
        // Hashes are compared in constant time, and texts are not.
        let is = |known: Option<String>| {
            known
                .is_some_and(|known| blake3::hash(known.as_bytes()) == blake3::hash(key.as_bytes()))
        };
        if is(self.token.clone()) {
            Some(Visitor::Owner)
        } else if is(self.raters_key()) {
            Some(Visitor::Rater)
        } else {
            None
        }
    }

    /// The same address without the key, and the key as a cookie if it is to be kept.
    fn without_key(&self, request: &Request, key: Option<&str>) -> Response {
        let mut rest = form_urlencoded::Serializer::new(String::new());
        let fields = form_urlencoded::parse(request.query.as_bytes());
        rest.extend_pairs(fields.filter(|(name, _)| name != "token"));
        let rest = rest.finish();
        let mark = if rest.is_empty() { "" } else { "?" };
        // Two slashes at the front would name another machine.
        let path = request.path.trim_start_matches('/');
        let elsewhere = Response::redirect(format!("/{path}{mark}{rest}"));
        match key {
            Some(key) => elsewhere.with(
                "set-cookie",
                format!("{}={key}; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000", self.cookie()),
            ),
            None => elsewhere,
        }
    }

    /// Browsers do not tell the ports of a machine apart.
    fn cookie(&self) -> String {
        format!("spyhop-{}", self.address.port())
    }
}

/// Whether a token can stand in a link and in a cookie as it is.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c))
}

/// A token that nobody can guess.
///
/// # Errors
/// When the operating system has no randomness to give.
pub(super) fn new_token() -> anyhow::Result<String> {
    use rand::{TryRng, rngs::SysRng};

    let mut bytes = [0; 16];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| {
        anyhow::anyhow!("no token could be made up: {error}; give one with --token")
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a form was sent by a page of this server, as far as the browser tells.
fn from_here(request: &Request) -> bool {
    match (&request.origin, &request.host) {
        (Some(origin), Some(host)) => {
            let place = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            place == Some(host)
        }
        (Some(_), None) => false,
        (None, _) => !matches!(request.site.as_deref(), Some("cross-site" | "same-site")),
    }
}

fn no_key() -> Response {
    refuse(403, "this page needs the whole link that you were given, with its token")
}

pub(super) fn refuse(status: u16, why: &str) -> Response {
    Response::new(status, "text/plain; charset=utf-8", format!("{why}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str, address: &str) -> Request {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        Request {
            method: "GET".into(),
            path: path.into(),
            query: query.into(),
            host: Some(host.into()),
            ..Request::default()
        }
    }

    fn outcome(guard: &Guard, request: &Request) -> Result<Visitor, u16> {
        guard.admit(request).map_err(|response| response.status)
    }

    #[test]
    fn on_the_loopback_only_its_names_are_answered_to() {
        let guard = Guard::new("127.0.0.1:8000".parse().unwrap(), None);
        for host in ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST", "127.9.9.9"] {
            assert_eq!(outcome(&guard, &asked(host, "/")), Ok(Visitor::Owner), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:8000", "10.0.0.1:8000", "", "[::2]"] {
            assert_eq!(outcome(&guard, &asked(host, "/")), Err(403), "{host}");
        }
        let nameless = Request { host: None, ..asked("", "/") };
        assert_eq!(outcome(&guard, &nameless), Err(403));
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        let guard = Guard::new("127.0.0.1:8000".parse().unwrap(), None);
        let check = |origin: Option<&str>, site: Option<&str>, expected| {
            let request = Request {
                method: "POST".into(),
                origin: origin.map(str::to_owned),
                site: site.map(str::to_owned),
                ..asked("localhost:8000", "/rate")
            };
            assert_eq!(outcome(&guard, &request), expected, "{origin:?} {site:?}");
        };
        check(None, None, Ok(Visitor::Owner));
        check(None, Some("same-origin"), Ok(Visitor::Owner));
        check(None, Some("cross-site"), Err(403));
        check(Some("http://localhost:8000"), None, Ok(Visitor::Owner));
        check(Some("http://localhost:9000"), None, Err(403));
        check(Some("http://evil.example"), None, Err(403));
        check(Some("null"), None, Err(403));
    }

    #[test]
    fn a_token_opens_and_is_moved_into_a_cookie() {
        let guard = Guard::new("0.0.0.0:80".parse().unwrap(), Some("secret".into()));
        let raters = guard.raters_key().unwrap();
        assert!(!raters.contains("secret"));
        assert_eq!(outcome(&guard, &asked("any", "/")), Err(403));
        assert_eq!(outcome(&guard, &asked("any", "/?token=wrong")), Err(403));
        assert_eq!(outcome(&guard, &asked("any", "/?token=")), Err(403));
        for (key, expected) in [("secret", Visitor::Owner), (&raters, Visitor::Rater)] {
            let response =
                guard.admit(&asked("any", &format!("//rate?token={key}&x=a%20b"))).unwrap_err();
            let header = |name| &response.headers.iter().find(|(key, _)| *key == name).unwrap().1;
            assert_eq!((response.status, header("location").as_str()), (303, "/rate?x=a+b"));
            let cookie = header("set-cookie").split(';').next().unwrap().to_owned();
            let request = Request { cookie: format!("a=b; {cookie}"), ..asked("any", "/") };
            assert_eq!(outcome(&guard, &request), Ok(expected));
        }
        // The owner who follows the raters' link stays the owner.
        let link = format!("/rate?token={raters}");
        let owner = Request { cookie: "spyhop-80=secret".into(), ..asked("any", &link) };
        let response = guard.admit(&owner).unwrap_err();
        assert_eq!(response.status, 303);
        assert!(response.headers.iter().all(|(name, _)| *name != "set-cookie"));
        let other = Request { cookie: "spyhop-80=wrong".into(), ..asked("any", "/") };
        assert_eq!(outcome(&guard, &other), Err(403));
    }

    #[test]
    fn a_token_has_only_what_a_link_and_a_cookie_carry() {
        assert!(["secret", "A-b_c.9~", &new_token().unwrap()].iter().all(|text| is_token(text)));
        assert!(!["", "a b", "a;b", "a\nb", "schl\u{fc}ssel"].iter().any(|text| is_token(text)));
    }

    #[test]
    fn made_up_tokens_differ() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }
}
