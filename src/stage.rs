//! The one shape that augment, curate, generate and judge share: a row in, questions, replies, a row out.
use std::{cell::RefCell, path::Path, time::Instant};

use crate::{
    lm::{Lm, Reply, Request},
    record::Row,
    store::Log,
    watch::{Event, Unit, Watch},
};

/// What a stage that asks or trains a model is given beside its rows and settings.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// The file, or directory, that the stage writes.
    pub out: &'a Path,
    pub random_seed: u64,
    pub watch: Watch<'a>,
}

/// Inputs whose questions are in memory together.
const AT_ONCE: usize = 2048;

/// Asks `lm` about every input that has no row in `out` yet, and returns all rows in input order.
///
/// `questions` may return none: then the row is made without asking. A row is written as soon as its
/// last reply is there; once all are, the file is put in input order, so that a resumed run leaves
/// the same bytes as one that was never interrupted. `load` is called only if there is something to
/// ask.
///
/// # Errors
/// When the model cannot be loaded or go on, or a row cannot be written; rows written stay.
///
/// # Panics
/// When `row` returns another id than its input's.
pub fn map<I: Row, O: Row>(
    what: &str,
    load: impl FnOnce() -> anyhow::Result<Lm>,
    inputs: &[I],
    out: &Path,
    questions: impl Fn(&I) -> Vec<Request>,
    row: impl Fn(&I, Vec<Reply>) -> O,
    watch: Watch,
) -> anyhow::Result<Vec<O>> {
    let log = RefCell::new(Log::<O>::open(out)?);
    let todo: Vec<&I> = inputs.iter().filter(|input| !log.borrow().contains(input.id())).collect();
    if !todo.is_empty() {
        watch(Event::Begin { what: what.to_owned(), total: inputs.len() as u64, unit: Unit::Rows });
        watch(Event::Advance((inputs.len() - todo.len()) as u64));
        let write = |input: &I, replies: Vec<Reply>| {
            let row = row(input, replies);
            assert_eq!(row.id(), input.id(), "a row carries its input's id");
            log.borrow_mut().append(&row)?;
            watch(Event::Advance(1));
            anyhow::Ok(())
        };
        ask_all(&todo, load, questions, write, watch)?;
        watch(Event::End);
    }
    log.into_inner().finish(inputs)
}

/// The random seed of one sample for one row: a row's replies do not depend on its place in a file.
pub fn seed(random_seed: u64, id: &str, sample: usize) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&random_seed.to_le_bytes()).update(&(sample as u64).to_le_bytes());
    hasher.update(id.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

fn ask_all<I: Row>(
    todo: &[&I],
    load: impl FnOnce() -> anyhow::Result<Lm>,
    questions: impl Fn(&I) -> Vec<Request>,
    mut write: impl FnMut(&I, Vec<Reply>) -> anyhow::Result<()>,
    watch: Watch,
) -> anyhow::Result<()> {
    let mut load = Some(load);
    let mut lm = None;
    let (began, mut made) = (Instant::now(), 0_usize);
    for inputs in todo.chunks(AT_ONCE) {
        let (mut requests, mut owners) = (Vec::new(), Vec::new());
        let mut replies: Vec<Vec<Option<Reply>>> = Vec::with_capacity(inputs.len());
        for (owner, input) in inputs.iter().enumerate() {
            let asked = questions(input);
            if asked.is_empty() {
                write(input, Vec::new())?;
            }
            owners.extend((0..asked.len()).map(|place| (owner, place)));
            replies.push(vec![None; asked.len()]);
            requests.extend(asked);
        }
        if requests.is_empty() {
            continue;
        }
        if let Some(load) = load.take() {
            lm = Some(load()?);
        }
        let Some(lm) = &lm else { continue };
        lm.complete(
            &requests,
            &mut |tokens| {
                made += tokens;
                let rate = made as f64 / began.elapsed().as_secs_f64().max(1e-9);
                watch(Event::Show(format!("{rate:.0} tokens/s")));
            },
            &mut |index, reply| {
                let (owner, place) = owners[index];
                replies[owner][place] = Some(reply);
                match replies[owner].iter().all(Option::is_some) {
                    true => write(
                        inputs[owner],
                        std::mem::take(&mut replies[owner]).into_iter().flatten().collect(),
                    ),
                    false => Ok(()),
                }
            },
        )?;
    }
    Ok(())
}
