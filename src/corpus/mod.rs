//! HTML pages to segments: self-contained pieces of text that an instruction can be written for.
//!
//! Knows nothing of models, nor of where the pages came from.
//!
//! **What a segment is.** The paper cuts "the text under one header, lower headers included" and
//! keeps 600 to 3,000 characters. It does not say which of nested headers wins, nor whether the
//! header itself is part of the text. Here:
//!
//! 1. `h1` to `h6` in reading order make a tree: a header's parent is the nearest one before it with
//!    a lower number. The elements that wrap them don't matter. Text before the first header belongs
//!    to none and is left out.
//! 2. From the top of the tree down, a header whose whole text, lower sections included, is in range
//!    is taken, and nothing inside it is looked at again: segments never overlap.
//!    A header with no text of its own and a single lower section is passed by for that section.
//! 3. A header with too long a text is parted: what stands between it and its first lower header
//!    is a candidate by itself, and so is each lower section, by rule 2. With nothing to part it at,
//!    it is rejected as too long.
//! 4. A header with too short a text is rejected whole. A header with no text at all is no candidate.
//! 5. A lower section that is navigation ("See also") is not counted with the section around it; it
//!    is a candidate by itself, and rejected.
//! 6. The segment's own header is not part of its text: it is in `headers`. Lower headers are lines of
//!    Markdown, `##` for those directly below.
//!
//! What many pages end with alike is taken off before, and lists of links are left out.
//! Candidates then pass the filters in the order of [`Reject`]; each rejected one is kept with its
//! reason.
mod block;
mod decode;
mod filter;
mod furniture;
mod outline;
mod page;
mod template;

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use self::block::Block;
use crate::{
    recipe,
    record::{Counts, Reject, Rejected, Segment, content_id},
    sample, store,
    watch::{Event, Unit, Watch},
};

/// Pages parsed between two reports of progress: enough to keep every core busy.
const CHUNK: usize = 64;

/// An HTML page as it was stored.
#[derive(Clone, Debug)]
pub struct Page {
    /// Path or URL, relative to the source. Tells segments of different pages apart.
    pub document: String,
    pub html: Vec<u8>,
}

/// Every candidate of a set of pages, once, in the order of the pages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segmented {
    pub kept: Vec<Segment>,
    pub rejected: Vec<Rejected>,
}

/// Cuts pages into segments.
pub fn segments(pages: &[Page], settings: &recipe::Corpus) -> Segmented {
    assemble(pages.par_iter().map(parse).collect(), settings)
}

/// The stage: reads the files, gzipped or not, and writes `segments.jsonl` and `rejected.jsonl`.
///
/// Documents are named by their path below `root`. At most `settings.limit` segments are kept, drawn
/// with `random_seed`, in the order of the files.
///
/// # Errors
/// When a file cannot be read, or no segment passes the filters.
pub fn run(
    files: &[PathBuf],
    root: &Path,
    settings: &recipe::Corpus,
    random_seed: u64,
    stage: &store::Stage,
    watch: Watch,
) -> anyhow::Result<Counts> {
    let total = files.len() as u64;
    watch(Event::Begin { what: "reading pages".into(), total, unit: Unit::Rows });
    let mut pages = Vec::with_capacity(files.len());
    for files in files.chunks(CHUNK) {
        let read = |path: &PathBuf| -> anyhow::Result<Parsed> {
            let document = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
            Ok(parse(&Page { document, html: store::read_unpacked(path)? }))
        };
        // Collected before the first error is looked for, so that it is the same in every run.
        let parsed: Vec<_> = files.par_iter().map(read).collect();
        for page in parsed {
            pages.push(page?);
        }
        watch(Event::Advance(files.len() as u64));
    }
    watch(Event::End);
    let Segmented { kept, rejected } = assemble(pages, settings);
    let mut dropped = BTreeMap::new();
    for row in &rejected {
        *dropped.entry(name(row.reason)?).or_default() += 1;
    }
    anyhow::ensure!(!kept.is_empty(), "{}", nothing_left(files.len(), &dropped, settings));
    let (passed, rows_in) = (kept.len(), kept.len() + rejected.len());
    let kept = sample::draw(kept, settings.limit, random_seed);
    if passed > kept.len() {
        dropped.insert("not_sampled".into(), passed - kept.len());
    }
    store::write(&stage.path("segments.jsonl"), &kept)?;
    store::write(&stage.path("rejected.jsonl"), &rejected)?;
    Ok(Counts { rows_in, kept: kept.len(), dropped, ..Counts::default() })
}

/// A page as text.
struct Parsed {
    document: String,
    blocks: Vec<Block>,
}

fn parse(page: &Page) -> Parsed {
    let blocks = page::blocks(&decode::decode(&page.html));
    Parsed { document: page.document.clone(), blocks }
}

/// All that takes more than one page to see, around what is done to each by itself.
fn assemble(pages: Vec<Parsed>, settings: &recipe::Corpus) -> Segmented {
    let (documents, mut blocks): (Vec<String>, Vec<Vec<Block>>) =
        pages.into_iter().map(|page| (page.document, page.blocks)).unzip();
    template::strip_endings(&mut blocks);
    let cut: Vec<_> = documents
        .into_par_iter()
        .zip(blocks)
        .map(|(document, blocks)| cut(&document, blocks, settings))
        .collect();
    let (mut segmented, mut seen) = (Segmented::default(), HashSet::new());
    for (segment, reject) in cut.into_iter().flatten() {
        let mut is_seen = || !seen.insert(filter::fingerprint(&segment.text));
        match reject.or_else(|| is_seen().then_some(Reject::Duplicate)) {
            None => segmented.kept.push(segment),
            Some(reason) => {
                let Segment { id, document, headers, text } = segment;
                segmented.rejected.push(Rejected { id, document, headers, text, reason });
            }
        }
    }
    segmented
}

/// The candidates of one page, each with what is wrong with it by itself.
fn cut(
    document: &str,
    blocks: Vec<Block>,
    settings: &recipe::Corpus,
) -> Vec<(Segment, Option<Reject>)> {
    let lengths = outline::Lengths { min: settings.min_characters, max: settings.max_characters };
    let (ngram, threshold) = (settings.repetition_ngram, settings.repetition_threshold);
    let judge = |candidate: outline::Candidate| {
        let outline::Candidate { place, headers, text, misfit } = candidate;
        let own_header = headers.last().map_or("", String::as_str);
        let is_repetitive = || filter::is_repetitive(&text, ngram, threshold);
        let reject = misfit
            .or_else(|| filter::header(own_header))
            .or_else(|| is_repetitive().then_some(Reject::Repetitive));
        let id = content_id(&[document, &place.to_string(), &text]);
        (Segment { id, document: document.to_owned(), headers, text }, reject)
    };
    outline::candidates(blocks, lengths).into_iter().map(judge).collect()
}

/// A reason as rows and counts spell it.
fn name(reason: Reject) -> anyhow::Result<String> {
    Ok(serde_json::to_value(reason)?.as_str().unwrap_or_default().to_owned())
}

fn nothing_left(
    pages: usize,
    reasons: &BTreeMap<String, usize>,
    settings: &recipe::Corpus,
) -> String {
    if reasons.is_empty() {
        return format!(
            "no text under any header (h1 to h6) in {pages} pages; check which files [corpus] source names"
        );
    }
    let counted: Vec<String> =
        reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    format!(
        "no segment of {pages} pages passes the filters: {}; lengths asked for are {} to {} characters: change corpus.min_characters, corpus.max_characters or corpus.repetition_threshold, or the source",
        counted.join(", "),
        settings.min_characters,
        settings.max_characters,
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::record::Row;
    use crate::{store::RunDir, watch};

    fn settings(keys: &str) -> recipe::Corpus {
        toml::from_str(&format!("source = {{ from = [\"file:pages\"] }}\n{keys}")).unwrap()
    }

    fn page(document: &str, html: &str) -> Page {
        Page { document: document.into(), html: html.into() }
    }

    #[test]
    fn a_segment_has_its_headers_and_the_rest_has_reasons() {
        let settings = settings("limit = 9\nmin_characters = 10\nmax_characters = 80");
        let text = "One sentence that is long enough.";
        let pages = [
            page("a.html", &format!("<h1>Top</h1><h2>1.1. Sub</h2><p>{text}</p>")),
            page("b.html", &format!("<h1>Copy</h1><p>{}</p>", text.to_uppercase())),
            page(
                "c.html",
                &format!("<h1>IN CAPITALS</h1><p>{text}</p><h1>Twice</h1>{text} {text}"),
            ),
            page("d.html", &format!("<h1>Short</h1>text<h1>Long</h1>{}", "word ".repeat(20))),
            page("e.html", "no header at all"),
        ];
        let segmented = segments(&pages, &settings);
        let [kept] = segmented.kept.as_slice() else { panic!("{segmented:?}") };
        assert_eq!(kept.document, "a.html");
        assert_eq!(kept.headers, ["Top", "Sub"]);
        assert_eq!(kept.text, text);
        let reasons: Vec<Reject> = segmented.rejected.iter().map(|row| row.reason).collect();
        use Reject::*;
        assert_eq!(reasons, [Duplicate, UppercaseHeader, Repetitive, TooShort, TooLong]);
        assert_eq!(segmented, segments(&pages, &settings));
    }

    #[test]
    fn the_stage_writes_rows_and_balanced_counts() {
        let directory = tempfile::tempdir().unwrap();
        let pages = directory.path().join("pages");
        fs::create_dir(&pages).unwrap();
        let mut files = Vec::new();
        for number in 0..5 {
            let path = pages.join(format!("{number}.html"));
            let html = format!("<h1>A</h1>{}<h1>B</h1>x", format!("number {number}").repeat(9));
            fs::write(&path, html).unwrap();
            files.push(path);
        }
        let work = |limit: usize, min: usize, out: &str| {
            let settings = settings(&format!("limit = {limit}\nmin_characters = {min}"));
            let run_dir = RunDir::open(&directory.path().join(out), "").unwrap();
            run_dir.stage("corpus", &[], |stage| {
                run(&files, &pages, &settings, 7, stage, &watch::nobody)
            })?;
            let rows: Vec<Segment> = store::read(&run_dir.path("segments.jsonl"))?;
            let rejected: Vec<Rejected> = store::read(&run_dir.path("rejected.jsonl"))?;
            anyhow::Ok((run_dir.done("corpus").unwrap().counts, rows, rejected))
        };
        let (counts, rows, rejected) = work(3, 50, "three").unwrap();
        assert_eq!((counts.rows_in, counts.kept, rows.len(), rejected.len()), (10, 3, 3, 5));
        assert_eq!(counts.dropped, [("not_sampled".into(), 2), ("too_short".into(), 5)].into());
        assert!(rows.is_sorted_by_key(|row| row.document.clone()));
        assert_eq!(work(5, 50, "five").unwrap().1[0].document, "0.html");
        let error = format!("{:#}", work(3, 500, "none").unwrap_err());
        assert!(
            error.contains("no segment of 5 pages passes the filters: 10 too_short"),
            "{error}"
        );
        assert!(error.contains("corpus.min_characters"), "{error}");
    }

    #[test]
    fn a_missing_page_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let run_dir = RunDir::open(&directory.path().join("run"), "").unwrap();
        let error = run_dir
            .stage("corpus", &[], |stage| {
                run(
                    &["gone.html".into()],
                    Path::new(""),
                    &settings("limit = 1"),
                    0,
                    stage,
                    &watch::nobody,
                )
            })
            .unwrap_err();
        assert!(format!("{error:#}").contains("cannot read gone.html"), "{error:#}");
    }

    #[test]
    fn real_pages_give_clean_segments() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/readability_pages");
        let Ok(directories) = fs::read_dir(&root) else {
            eprintln!("skipped: {} is not there", root.display());
            return;
        };
        let mut files: Vec<PathBuf> = directories
            .map(|entry| entry.unwrap().path().join("source.html"))
            .filter(|path| path.exists())
            .collect();
        files.sort();
        let pages: Vec<Page> = files
            .iter()
            .map(|path| Page {
                document: path.display().to_string(),
                html: fs::read(path).unwrap(),
            })
            .collect();
        let settings = settings("limit = 1000000");
        let segmented = segments(&pages, &settings);
        assert_eq!(segmented, segments(&pages, &settings));
        assert!(segmented.kept.len() >= 100, "{}", segmented.kept.len());
        for row in &segmented.kept {
            let characters = row.text.chars().count();
            assert!((600..=3_000).contains(&characters), "{row:?}");
            assert!(!row.text.to_lowercase().contains("<script"), "{row:?}");
            assert!(!row.headers.is_empty() && row.text == row.text.trim_end(), "{row:?}");
        }
        let mut ids: Vec<&str> = segmented.kept.iter().map(Row::id).collect();
        ids.extend(segmented.rejected.iter().map(Row::id));
        let candidates = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), candidates);
        // Whatever is cut, together it is no more than the page: no text is in two candidates.
        for page in pages {
            let kept = segmented.kept.iter().map(|row| (&row.document, &row.text));
            let rejected = segmented.rejected.iter().map(|row| (&row.document, &row.text));
            let cut: usize = kept
                .chain(rejected)
                .filter(|(document, _)| **document == page.document)
                .map(|(_, text)| {
                    text.lines().filter(|line| !line.starts_with('#')).map(str::len).sum::<usize>()
                })
                .sum();
            let whole: usize = parse(&page).blocks.iter().map(|block| block.text.len()).sum();
            assert!(cut <= whole, "{}: {cut} > {whole}", page.document);
        }
    }
}
