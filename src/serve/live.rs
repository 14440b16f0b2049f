//! The report of a run that may still go on, and a line on what is under way.
use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use minijinja::context;

use super::{Response, Site, Subject, contest::Contest, is_run, pages};
use crate::{
    record::content_id,
    report::{self, Served, UnderWay, words},
};

/// A page is made again no sooner than this, however often it is asked for.
const STALE_AFTER: Duration = Duration::from_secs(3);

/// The rate is that of so much of the past.
const WINDOW: Duration = Duration::from_secs(300);

/// A stage that has written nothing for so long may have been stopped.
const SILENT: Duration = Duration::from_secs(600);

/// What is remembered from one request to the next.
#[derive(Debug, Default)]
pub(super) struct Live {
    report: Mutex<Option<Made>>,
    contests: Mutex<Option<Read>>,
    speed: Mutex<Speed>,
}

/// A report, and what it was made from.
#[derive(Debug)]
struct Made {
    files: String,
    looked: Instant,
    page: String,
}

#[derive(Debug)]
struct Read {
    files: String,
    looked: Instant,
    contests: Arc<Vec<Contest>>,
}

/// How many rows a stage had, and when.
#[derive(Debug, Default)]
struct Speed {
    stage: String,
    seen: VecDeque<(Instant, usize)>,
}

impl Site {
    /// The run's report, made again where its files have changed.
    pub(super) fn report(&self) -> anyhow::Result<Response> {
        let Subject::Directory(run) = &self.subject else {
            return Ok(Response::redirect("/results".to_owned()));
        };
        if !is_run(run) {
            return Ok(Response::redirect("/results".to_owned()));
        }
        let mut kept = self.live.report.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = kept.as_mut().filter(|made| made.looked.elapsed() < STALE_AFTER) {
            return Ok(report_page(made.page.clone()));
        }
        let files = fingerprint(run);
        let page = match kept.take() {
            Some(made) if made.files == files => made.page,
            _ => {
                let served = Served {
                    top: self.top(run)?,
                    style: include_str!("pages/live.css").to_owned(),
                    script: "/assets/live.js".to_owned(),
                };
                report::page(run, &served)?
            }
        };
        *kept = Some(Made { files, looked: Instant::now(), page: page.clone() });
        Ok(report_page(page))
    }

    /// What stands on top of the report, for a page that asks again and again.
    pub(super) fn status(&self) -> anyhow::Result<Response> {
        match &self.subject {
            Subject::Directory(run) if is_run(run) => Ok(Response::html(self.top(run)?)),
            _ => Ok(pages::message(404, "No run", "Only a run has stages.")),
        }
    }

    fn top(&self, run: &Path) -> anyhow::Result<String> {
        let progress = report::progress(run)?;
        let done = progress.stages.iter().filter(|(_, done)| *done).count();
        let under_way = progress.under_way.as_ref().map(|stage| self.told(stage));
        pages::fragment(
            "live.html",
            context! {
                done => done,
                total => progress.stages.len(),
                stages => &progress.stages,
                under_way => under_way,
                next => progress.stages.iter().find(|(_, done)| !done).map(|(stage, _)| stage),
            },
        )
    }

    fn told(&self, under_way: &UnderWay) -> minijinja::Value {
        let UnderWay { stage, rows, total, newest, changed } = under_way;
        let mut speed = self.live.speed.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = speed.rate(stage, *rows, Instant::now());
        let left = total.map(|total| total.saturating_sub(*rows));
        let seconds = rate.zip(left).map(|(rate, left)| left as f64 / rate);
        let silent = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        context! {
            stage => stage,
            rows => words::count(*rows),
            total => total.map(words::count),
            share => total.filter(|total| *total > 0).map(|total| {
                100.0 * (*rows as f64 / total as f64).min(1.0)
            }),
            rate => rate.map(|rate| match rate {
                fast if fast >= 1.0 => format!("{fast:.1} a second"),
                slow => format!("{:.1} a minute", 60.0 * slow),
            }),
            left => seconds.map(words::duration),
            silent => silent.filter(|silent| *silent > SILENT).map(|silent| {
                words::duration(silent.as_secs_f64())
            }),
            newest => newest,
        }
    }

    /// The comparisons that there are now, read again where files have changed.
    pub(super) fn contests(&self) -> anyhow::Result<Arc<Vec<Contest>>> {
        let mut kept = self.live.contests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = kept.as_ref().filter(|read| read.looked.elapsed() < STALE_AFTER) {
            return Ok(Arc::clone(&read.contests));
        }
        let files = match &self.subject {
            Subject::Directory(directory) => fingerprint(directory),
            Subject::Answers { .. } => String::new(),
        };
        let contests = match kept.take() {
            Some(read) if read.files == files => read.contests,
            _ => Arc::new(super::contests(&self.subject)?),
        };
        *kept = Some(Read { files, looked: Instant::now(), contests: Arc::clone(&contests) });
        Ok(contests)
    }
}

impl Speed {
    /// Rows a second, once two numbers of rows were seen.
    fn rate(&mut self, stage: &str, rows: usize, now: Instant) -> Option<f64> {
        if self.stage != stage || self.seen.back().is_some_and(|(_, before)| *before > rows) {
            *self = Self { stage: stage.to_owned(), seen: VecDeque::new() };
        }
        while self.seen.len() > 1 && now.duration_since(self.seen[0].0) > WINDOW {
            self.seen.pop_front();
        }
        self.seen.push_back((now, rows));
        let (since, before) = self.seen[0];
        let seconds = now.duration_since(since).as_secs_f64();
        (rows > before && seconds > 0.0).then(|| (rows - before) as f64 / seconds)
    }
}

fn report_page(page: String) -> Response {
    Response::html(page).with("content-security-policy", report::served_policy())
}

/// Sizes and times of all files that a run is read from.
fn fingerprint(root: &Path) -> String {
    let ours = ["report", "human", "checkpoint"];
    let files = walkdir::WalkDir::new(root).max_depth(2).sort_by_file_name().into_iter();
    let files = files.filter_entry(|entry| {
        entry.depth() == 0 || !entry.file_name().to_str().is_some_and(|name| ours.contains(&name))
    });
    let mut parts = Vec::new();
    for entry in files.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let written =
            metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let nanoseconds = written.map_or(0, |written| written.as_nanos());
        parts.push(format!("{} {} {nanoseconds}", entry.path().display(), metadata.len()));
    }
    content_id(&parts.iter().map(String::as_str).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_two_numbers_of_one_stage() {
        let (began, mut speed) = (Instant::now(), Speed::default());
        let mut at = |stage: &str, rows, seconds| {
            speed.rate(stage, rows, began + Duration::from_secs(seconds))
        };
        assert_eq!(at("augment", 5, 0), None);
        assert_eq!(at("augment", 5, 3), None);
        assert_eq!(at("augment", 25, 10), Some(2.0));
        assert_eq!(at("M1/curate", 3, 11), None);
        assert_eq!(at("M1/curate", 4, 13), Some(0.5));
        // Resumed from a state of training: rows have gone.
        assert_eq!(at("M1/curate", 1, 14), None);
        // What is long past does not count.
        assert_eq!(at("M1/curate", 1, 400), None);
        assert_eq!(at("M1/curate", 2, 401), Some(1.0));
    }
}
