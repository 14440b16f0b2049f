//! The pages on which a rater compares answers, one item a page.
//!
//! Plain forms, which work without a script. A form says how many rows its rater had written when it
//! was made, so that one sent twice, or from a second tab, changes nothing.
use std::{
    collections::HashSet,
    time::{SystemTime, UNIX_EPOCH},
};

use minijinja::{Value, context};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Request, Response, Site,
    contest::{Contest, Place},
    pages,
    raters::{Act, rater_name, standing},
};
use crate::{
    record::{Choice, Order, Verdict, content_id},
    report::words,
};

/// What a rater can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    First,
    Second,
    Neither,
}

impl Said {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "first" => Some(Self::First),
            "second" => Some(Self::Second),
            "neither" => Some(Self::Neither),
            _ => None,
        }
    }

    fn of_candidate(self, order: Order) -> Verdict {
        match (self, order) {
            (Self::Neither, _) => Verdict::Tie,
            (Self::First, Order::BaselineFirst) => Verdict::Loss,
            (Self::Second, Order::BaselineFirst) => Verdict::Win,
            (Self::First, _) => Verdict::Win,
            (Self::Second, _) => Verdict::Loss,
        }
    }
}

impl Site {
    /// Asks for a name, and which two models are compared.
    pub(super) fn choose(&self, request: &Request) -> anyhow::Result<Response> {
        let contests = self.contests()?;
        let typed = request.asked("name");
        let name = typed.as_deref().and_then(rater_name);
        if let Some(name) = &name {
            let of = request.asked("of").unwrap_or_default();
            return Ok(Response::redirect(match contests.iter().any(|one| one.id == of) {
                true => address(name, &of),
                false => format!("/rate/{}", encoded(name)),
            }));
        }
        let names = contests.iter().map(|contest| self.described(contest, None));
        let names: Vec<Value> = names.collect::<anyhow::Result<_>>()?;
        pages::page("choose.html", context! { contests => names, refused => typed.is_some() })
    }

    /// A rater's comparisons, and how far each has come.
    pub(super) fn comparisons(&self, rater: &str) -> anyhow::Result<Response> {
        let Some(rater) = rater_name(rater) else { return Ok(no_rater()) };
        let contests = self.contests()?;
        if let [only] = &contests[..] {
            return Ok(Response::redirect(address(&rater, &only.id)));
        }
        let names = contests.iter().map(|contest| self.described(contest, Some(&rater)));
        let names: Vec<Value> = names.collect::<anyhow::Result<_>>()?;
        pages::page("choose.html", context! { contests => names, rater => rater })
    }

    fn described(&self, contest: &Contest, rater: Option<&str>) -> anyhow::Result<Value> {
        let queue = self.queue(rater.unwrap_or_default(), contest);
        let done = match rater {
            Some(rater) => {
                let rows = self.raters.rows(rater, &contest.id)?;
                done(&queue, &standing(&rows, &contest.id)).len()
            }
            None => 0,
        };
        Ok(context! {
            id => &contest.id,
            candidate => &contest.candidate,
            baseline => &contest.baseline,
            items => queue.len(),
            done => done,
            link => rater.map(|rater| address(rater, &contest.id)),
        })
    }

    /// The first item that the rater has not compared yet.
    pub(super) fn ask(
        &self,
        rater: &str,
        contest: &str,
        request: &Request,
    ) -> anyhow::Result<Response> {
        let Some(rater) = rater_name(rater) else { return Ok(no_rater()) };
        let contests = self.contests()?;
        let Some(contest) = contests.iter().find(|one| one.id == contest) else {
            return Ok(no_contest());
        };
        let queue = self.queue(&rater, contest);
        let rows = self.raters.rows(&rater, &contest.id)?;
        let standing = standing(&rows, &contest.id);
        let done = done(&queue, &standing);
        let next = queue.iter().position(|place| !done.contains(place.pair.id.as_str()));
        let shown = next.map(|at| {
            let place = &queue[at];
            let (first, second) = match place.order {
                Order::BaselineFirst => (&place.pair.baseline, &place.pair.candidate),
                _ => (&place.pair.candidate, &place.pair.baseline),
            };
            context! {
                number => at + 1,
                id => &place.pair.id,
                shown => seal(&rater, place, place.order),
                instruction => words::visible(&place.pair.instruction),
                first => words::visible(first),
                second => words::visible(second),
            }
        });
        let notice = match request.asked("said").as_deref() {
            Some("saved") => Some("Saved."),
            Some("undone") => Some("Your last choice is taken back. Here it is again."),
            Some("old") => Some(
                "Nothing was saved: the page that you answered was no longer the newest. This one is.",
            ),
            _ => None,
        };
        pages::page(
            "rate.html",
            context! {
                rater => &rater,
                address => address(&rater, &contest.id),
                several => contests.len() > 1,
                home => format!("/rate/{}", encoded(&rater)),
                item => shown,
                done => done.len(),
                total => queue.len(),
                after => rows.len(),
                undo => !standing.is_empty(),
                notice => notice,
            },
        )
    }

    /// Takes a form that was sent: a choice, or that the last one is taken back.
    pub(super) fn take(
        &self,
        rater: &str,
        contest: &str,
        request: &Request,
    ) -> anyhow::Result<Response> {
        let Some(rater) = rater_name(rater) else { return Ok(no_rater()) };
        let contests = self.contests()?;
        let Some(contest) = contests.iter().find(|one| one.id == contest) else {
            return Ok(no_contest());
        };
        let Some(after) = request.sent("after").and_then(|after| after.parse().ok()) else {
            return Ok(broken_form());
        };
        let queue = self.queue(&rater, contest);
        let rows = self.raters.rows(&rater, &contest.id)?;
        let standing = standing(&rows, &contest.id);
        let act = match request.sent("undo") {
            Some(_) => standing.last().map(|&choice| (Act::Undo(choice), "undone")),
            None => {
                let Some((place, verdict)) = chosen(&rater, &queue, request) else {
                    return Ok(broken_form());
                };
                let open = !done(&queue, &standing).contains(place.pair.id.as_str());
                open.then_some((Act::Choose(place, verdict), "saved"))
            }
        };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let said = match act {
            Some((act, said)) if self.raters.write((&rater, contest), after, act, time)? => said,
            _ => "old",
        };
        Ok(Response::redirect(format!("{}?said={said}", address(&rater, &contest.id))))
    }

    fn queue<'a>(&'a self, rater: &str, contest: &'a Contest) -> Vec<Place<'a>> {
        contest.queue(rater, &self.screening, self.screening_every, self.limit)
    }
}

/// The pairs of a queue on which the rater's choice stands.
fn done<'a>(queue: &[Place<'a>], standing: &[&Choice]) -> HashSet<&'a str> {
    let chosen: HashSet<&str> = standing.iter().map(|row| row.pair.as_str()).collect();
    let places = queue.iter().map(|place| place.pair.id.as_str());
    places.filter(|pair| chosen.contains(pair)).collect()
}

/// What a form says of which item, by the order in which its page showed the two answers.
fn chosen<'a>(rater: &str, queue: &[Place<'a>], request: &Request) -> Option<(Place<'a>, Verdict)> {
    let said = Said::parse(&request.sent("choice")?)?;
    let (item, shown) = (request.sent("item")?, request.sent("shown")?);
    let place = queue.iter().find(|place| place.pair.id == item)?;
    let orders = [Order::CandidateFirst, Order::BaselineFirst];
    let order = orders.into_iter().find(|&order| seal(rater, place, order) == shown)?;
    Some((Place { order, ..*place }, said.of_candidate(order)))
}

/// Stands for an order in a form without telling it.
fn seal(rater: &str, place: &Place, order: Order) -> String {
    content_id(&["order", rater, &place.pair.id, &format!("{order:?}")])
}

fn address(rater: &str, contest: &str) -> String {
    format!("/rate/{}/{contest}", encoded(rater))
}

pub(super) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

fn no_rater() -> Response {
    let why = "A name has 1 to 60 characters. Begin at /rate.";
    pages::message(404, "That is no name", why)
}

fn no_contest() -> Response {
    pages::message(404, "No such comparison", "Begin at /rate, which lists those that there are.")
}

fn broken_form() -> Response {
    let why = "The form did not say which item it answers. Go back and reload the page.";
    pages::message(400, "Nothing was saved", why)
}
