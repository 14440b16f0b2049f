//! Pages for people at a browser: the report of a run as it goes on, and blind comparisons.
//!
//! A rater sees a prompt and two answers without names, in an order drawn by a hash, and says which is
//! better or that neither is. Choices are rows ([`crate::record::Choice`]) and so survive a kill; what
//! came of them is shown to the owner and exported in AlpacaEval's form. Asks no model, and of a run
//! reads files only.
mod contest;
mod export;
mod guard;
mod http;
mod live;
mod pages;
mod raters;
mod rate;
mod results;
#[cfg(test)]
mod tests;

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::Context;

pub use export::export;

use self::{
    contest::{Contest, Pair},
    guard::{Guard, Visitor},
    http::{Request, Response},
    live::Live,
    raters::Raters,
};
use crate::{record::Completion, report::Rivals};

/// What is served.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The directory of a run, or of `spyhop eval`.
    Directory(PathBuf),
    /// The answers of a candidate and of a baseline, and where choices go.
    Answers { candidate: Vec<Completion>, baseline: Vec<Completion>, out: PathBuf },
}

/// How raters are asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// JSONL with `instruction`, `better` and `worse`: pairs whose answer is known.
    pub screening: Option<PathBuf>,
    /// Pairs between two screening pairs.
    pub screening_every: usize,
    /// Pairs that each rater is asked about.
    pub limit: usize,
}

/// A server that is bound to its address.
#[derive(Debug)]
pub struct Server {
    site: Site,
    listener: TcpListener,
    address: SocketAddr,
}

/// What the pages are made of.
#[derive(Debug)]
struct Site {
    subject: Subject,
    screening: Vec<Pair>,
    screening_every: usize,
    limit: usize,
    guard: Guard,
    raters: Raters,
    live: Live,
}

impl Server {
    /// Binds to `address`, whose port may be 0. Off the loopback a token is made up if none is given.
    ///
    /// # Errors
    /// When the address is taken, the subject is nothing to serve, the token is none, or another server
    /// writes there.
    pub fn open(
        subject: Subject,
        settings: &Settings,
        address: SocketAddr,
        token: Option<String>,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(
            token.as_deref().is_none_or(guard::is_token),
            "--token: expected letters, digits, - . _ or ~, at least one"
        );
        let screening = match &settings.screening {
            Some(path) => contest::screening(path)?,
            None => Vec::new(),
        };
        let contests = contests(&subject)?;
        if let Subject::Answers { .. } = subject {
            anyhow::ensure!(
                contests.iter().any(|contest| !contest.pairs.is_empty()),
                "the two files have no prompt in common that they answer differently"
            );
        }
        let raters = Raters::open(human(&subject))?;
        let listener =
            TcpListener::bind(address).with_context(|| format!("cannot serve at {address}"))?;
        let address = listener.local_addr()?;
        let token = match token {
            None if !address.ip().is_loopback() => Some(guard::new_token()?),
            token => token,
        };
        let site = Site {
            subject,
            screening,
            screening_every: settings.screening_every,
            limit: settings.limit,
            guard: Guard::new(address, token),
            raters,
            live: Live::default(),
        };
        Ok(Self { site, listener, address })
    }

    /// The owner's link, which opens everything.
    pub fn link(&self) -> String {
        self.at("/", self.site.guard.token())
    }

    /// The link for raters, which opens the comparisons and nothing else if there is a token.
    pub fn raters_link(&self) -> String {
        self.at("/rate", self.site.guard.raters_key().as_deref())
    }

    fn at(&self, path: &str, key: Option<&str>) -> String {
        let encode = |key| form_urlencoded::byte_serialize(str::as_bytes(key)).collect::<String>();
        let query = key.map_or(String::new(), |key| format!("?token={}", encode(key)));
        format!("http://{}{path}{query}", self.address)
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// When connections cannot be waited for.
    pub fn run(self) -> anyhow::Result<()> {
        let Self { site, listener, .. } = self;
        http::serve(listener, move |request| site.answer(request))
    }
}

impl Site {
    fn answer(&self, request: &Request) -> Response {
        let response = match self.guard.admit(request) {
            Ok(visitor) => self.route(request, visitor).unwrap_or_else(|error| {
                let why = format!("{error:#}");
                pages::message(500, "Something went wrong", &why)
            }),
            Err(response) => response,
        };
        pages::secured(response)
    }

    fn route(&self, request: &Request, visitor: Visitor) -> anyhow::Result<Response> {
        let path: Vec<String> = request
            .path
            .split('/')
            .skip(1)
            .map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let allowed: &[&str] = match path[..] {
            ["rate", _, _] => &["GET", "HEAD", "POST"],
            _ => &["GET", "HEAD"],
        };
        if !allowed.contains(&request.method.as_str()) {
            let refused = guard::refuse(405, "this page does not know that method");
            return Ok(refused.with("allow", allowed.join(", ")));
        }
        if visitor == Visitor::Rater && !matches!(path[..], ["rate" | "assets", ..]) {
            let why = "This link is for comparing answers; the results are for the owner only.";
            return Ok(pages::message(403, "Not for raters", why));
        }
        match path[..] {
            [""] => self.report(),
            ["status"] => self.status(),
            ["results"] => self.results(),
            ["human.json"] => {
                let rows =
                    export::annotations(&self.contests()?, &raters::all(&human(&self.subject))?)?;
                let name = "attachment; filename=\"human.json\"".to_owned();
                let file = Response::new(200, "application/json", rows);
                Ok(file.with("content-disposition", name))
            }
            ["rate"] | ["rate", ""] => self.choose(request),
            ["rate", rater] => self.comparisons(rater),
            ["rate", rater, contest] if request.method == "POST" => {
                self.take(rater, contest, request)
            }
            ["rate", rater, contest] => self.ask(rater, contest, request),
            ["assets", name] => Ok(pages::asset(name)),
            _ => Ok(pages::message(404, "No such page", "There is nothing at this address.")),
        }
    }
}

/// Where what people said lies.
fn human(subject: &Subject) -> PathBuf {
    match subject {
        Subject::Directory(directory) => directory.join("human"),
        Subject::Answers { out, .. } => out.join("human"),
    }
}

fn contests(subject: &Subject) -> anyhow::Result<Vec<Contest>> {
    let rivals = match subject {
        Subject::Directory(directory) if is_run(directory) => crate::report::rivals(directory)?,
        Subject::Directory(directory) => contest::of_eval(directory)?,
        Subject::Answers { candidate, baseline, .. } => vec![Rivals {
            candidate: candidate.clone(),
            baseline: baseline.clone(),
            judge: Default::default(),
        }],
    };
    Ok(rivals.into_iter().map(Contest::new).collect())
}

fn is_run(directory: &Path) -> bool {
    directory.join("recipe.toml").is_file()
}
