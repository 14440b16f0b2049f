//! A server's files to replies in the store.
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Kept, REQUESTS, Requests, requests_of};
use crate::{
    lm::api::{Answer, call, provider::stored},
    store::Replies,
};

/// Replies that are put into the store at once.
const AT_ONCE: usize = 1000;

/// Characters of a complaint that are kept.
const MOST_COMPLAINT: usize = 200;

/// What a batch's files brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Yield {
    /// Replies that are in the store now and were not before.
    pub added: usize,
    /// Replies to requests that had one before: the first stays.
    pub known: usize,
    /// Lines that answer no request of the batch.
    pub unknown: usize,
    /// Lines without a reply, by kind.
    pub failed: BTreeMap<String, Trouble>,
    /// Files whose last line is not whole: they are to be downloaded again.
    pub cut: Vec<PathBuf>,
    /// Requests of the batch, over all its files, that have no reply in the store.
    pub open: usize,
}

/// Lines of one kind that brought no reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trouble {
    pub lines: usize,
    /// What the first of them says.
    pub example: String,
}

/// A line of a server's file. Errors are in lines of the same form, often in a file of their own.
#[derive(Deserialize)]
struct Line {
    custom_id: String,
    response: Option<Response>,
    error: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Response {
    status_code: u16,
    body: Option<Box<RawValue>>,
}

/// Puts the replies of a server's files into the store. The requests are those of `requests`, or of
/// `requests.jsonl` beside each file. To read a file again adds nothing.
///
/// # Errors
/// When a file cannot be read, the requests were changed since they were written, or the store
/// cannot be written. A line without a reply is none.
pub fn read(
    results: &[PathBuf],
    requests: Option<&Path>,
    replies: &Replies,
) -> anyhow::Result<Yield> {
    let mut read = Yield::default();
    let mut batches: BTreeMap<PathBuf, Requests> = BTreeMap::new();
    for path in results {
        let beside = requests.map_or_else(|| path.with_file_name(REQUESTS), Path::to_owned);
        if !batches.contains_key(&beside) {
            batches.insert(beside.clone(), requests_of(&beside)?);
        }
        read_file(path, &batches[&beside], replies, &mut read)?;
    }
    for requests in batches.values() {
        let keys: Vec<_> = requests.values().map(|kept| Replies::key(&kept.request)).collect();
        read.open += replies.get_many(&keys)?.iter().filter(|found| found.is_none()).count();
    }
    Ok(read)
}

fn read_file(
    path: &Path,
    requests: &Requests,
    replies: &Replies,
    read: &mut Yield,
) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut file = BufReader::new(file);
    let mut answered: Vec<(&Kept, Answer)> = Vec::new();
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let length = file
            .read_until(b'\n', &mut bytes)
            .with_context(|| format!("cannot read {}", path.display()))?;
        if length == 0 {
            break;
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Line>(&bytes) {
            Ok(line) => match (requests.get(&line.custom_id), answer(&line)) {
                (None, _) => read.unknown += 1,
                (Some(kept), Ok(answer)) => answered.push((kept, answer)),
                (Some(_), Err((kind, text))) => read.fail(kind, &text),
            },
            Err(_) if !bytes.ends_with(b"\n") => read.cut.push(path.to_owned()),
            Err(error) => {
                let text = format!("{} line {number}: {error}", path.display());
                read.fail("no line of a batch's results".to_owned(), &text);
            }
        }
        if answered.len() == AT_ONCE {
            keep(&mut answered, replies, read)?;
        }
    }
    keep(&mut answered, replies, read)
}

/// The reply in a line, or what is there in its place: the kind, and its words.
fn answer(line: &Line) -> Result<Answer, (String, String)> {
    if let Some(error) = &line.error {
        let json: serde_json::Value = serde_json::from_str(error.get()).unwrap_or_default();
        let kind = json["code"].as_str().map_or("error".to_owned(), |code| format!("error {code}"));
        return Err((kind, call::complaint(error.get().as_bytes())));
    }
    let Some(response) = &line.response else {
        let text = "is this the file that was sent, and not the one that came back?";
        return Err(("neither response nor error".to_owned(), text.to_owned()));
    };
    let body = response.body.as_ref().map_or("null", |body| body.get()).as_bytes();
    match response.status_code {
        200 => call::read(body).map_err(|error| {
            let text = format!("{error}: {}", call::complaint(body));
            ("no completion".to_owned(), text)
        }),
        status => Err((format!("status {status}"), call::complaint(body))),
    }
}

fn keep(
    answered: &mut Vec<(&Kept, Answer)>,
    replies: &Replies,
    read: &mut Yield,
) -> anyhow::Result<()> {
    let mut replied = Vec::new();
    for (kept, answer) in answered.drain(..) {
        replied.push((kept, stored(&answer, kept.price)?));
    }
    for same in replied.chunk_by(|(one, _), (next, _)| one.model == next.model) {
        let pairs: Vec<_> = same.iter().map(|(kept, reply)| (&kept.request, reply)).collect();
        let added = replies.put_all(&same[0].0.model, &pairs)?;
        read.added += added;
        read.known += pairs.len() - added;
    }
    Ok(())
}

impl Yield {
    fn fail(&mut self, kind: String, text: &str) {
        let trouble = self.failed.entry(kind).or_default();
        if trouble.lines == 0 {
            // A line of its own has no place in a message, and neither has a terminal's code.
            let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
            trouble.example = plain.take(MOST_COMPLAINT).collect();
        }
        trouble.lines += 1;
    }
}
