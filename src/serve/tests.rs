use std::{collections::BTreeMap, net::SocketAddr};

use super::{
    Request, Response, Server, Settings, Subject,
    contest::{Contest, Place},
    export,
    raters::{self, standing},
    results::opinion,
};
use crate::{
    judge::human_pairs,
    record::{Choice, Completion, Finish, Order, Verdict},
    report::Rivals,
};

const HOSTILE: &str = "<script>alert(1)</script> \"'& </textarea> {{ 7 * 7 }} \u{202E}turned\u{0}";

fn answers(generator: &str, prompts: usize, output: impl Fn(usize) -> String) -> Vec<Completion> {
    let answer = |number| Completion {
        id: format!("p{number}"),
        instruction: format!("Question {number}?"),
        output: output(number),
        generator: generator.to_owned(),
        dataset: "test".to_owned(),
        finish: Finish::Stop,
    };
    (0..prompts).map(answer).collect()
}

fn rivals(prompts: usize) -> Rivals {
    Rivals {
        candidate: answers("tortoise", prompts, |number| format!("candidate {number}")),
        baseline: answers("heron", prompts, |number| format!("baseline {number}")),
        judge: BTreeMap::new(),
    }
}

/// A server that nobody connects to, and where it keeps choices.
fn site(rivals: Rivals, screening: &str) -> (Server, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_owned();
    let file = out.join("screening.jsonl");
    std::fs::write(&file, screening).unwrap();
    let settings = Settings {
        screening: (!screening.is_empty()).then_some(file),
        screening_every: 3,
        limit: usize::MAX,
    };
    let Rivals { candidate, baseline, .. } = rivals;
    let subject = Subject::Answers { candidate, baseline, out };
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    (Server::open(subject, &settings, address, None).unwrap(), directory)
}

fn get(server: &Server, path: &str) -> Response {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    server.site.answer(&Request {
        method: "GET".into(),
        path: path.into(),
        query: query.into(),
        host: Some("localhost".into()),
        ..Request::default()
    })
}

fn post(server: &Server, path: &str, body: &str) -> Response {
    server.site.answer(&Request {
        method: "POST".into(),
        path: path.into(),
        host: Some("localhost".into()),
        body: body.into(),
        ..Request::default()
    })
}

fn location(response: &Response) -> &str {
    let header = response.headers.iter().find(|(name, _)| *name == "location");
    header.map_or("", |(_, value)| value)
}

/// The hidden fields of the form for a choice.
fn form(page: &str) -> String {
    let field = |name: &str| {
        let form = &page[page.find("class=\"choices\"").unwrap()..];
        let mark = format!("name=\"{name}\" value=\"");
        let rest = &form[form.find(&mark).unwrap() + mark.len()..];
        format!("{name}={}", rest.split('"').next().unwrap())
    };
    ["item", "shown", "after"].map(field).join("&")
}

#[test]
fn every_rater_sees_the_same_items_and_half_of_them_with_the_candidate_first() {
    for prompts in [1, 2, 3, 7, 8, 50] {
        let contest = Contest::new(rivals(prompts));
        let mut patterns = Vec::new();
        for rater in ["anna", "ben", "carla", "dov"] {
            let queue = contest.queue(rater, &[], 8, usize::MAX);
            let ids: Vec<&str> = queue.iter().map(|place| place.pair.id.as_str()).collect();
            let expected: Vec<&str> = contest.pairs.iter().map(|pair| pair.id.as_str()).collect();
            assert_eq!(ids, expected);
            let first = |places: &[Place]| {
                places.iter().filter(|place| place.order == Order::CandidateFirst).count()
            };
            let candidate_first = first(&queue);
            assert!(candidate_first.abs_diff(prompts - candidate_first) <= 1, "{prompts} {rater}");
            for block in queue.chunks_exact(4) {
                assert_eq!(first(block), 2);
            }
            patterns.push(queue.iter().map(|place| place.order).collect::<Vec<_>>());
            let shorter = contest.queue(rater, &[], 8, 3);
            assert_eq!(shorter.len(), prompts.min(3));
            assert!(shorter.iter().zip(&ids).all(|(place, id)| place.pair.id == **id));
        }
        assert!(prompts < 8 || patterns.iter().any(|pattern| *pattern != patterns[0]));
    }
}

#[test]
fn identical_and_missing_answers_are_left_out_and_counted() {
    let mut rivals = rivals(6);
    rivals.candidate[0].output = format!(" {}\n", rivals.baseline[0].output);
    rivals.candidate[1].finish = Finish::Overlong;
    rivals.baseline.remove(2);
    let contest = Contest::new(rivals);
    assert_eq!((contest.pairs.len(), contest.identical, contest.missing), (3, 1, 2));
}

#[test]
fn a_page_names_no_model_and_escapes_what_models_wrote() {
    let mut rivals = rivals(1);
    rivals.candidate[0].output = HOSTILE.to_owned();
    rivals.candidate[0].instruction = HOSTILE.to_owned();
    rivals.baseline[0].instruction = HOSTILE.to_owned();
    let (server, _directory) = site(rivals, "");
    let to = location(&get(&server, "/rate/%3Cb%3Eanna")).to_owned();
    let page = get(&server, &to).body;
    assert!(
        page.contains("{{ 7 * 7 }}")
            && page.contains("&lt;script&gt;")
            && page.contains("\u{27e8}U+202E\u{27e9}"),
        "{page}"
    );
    for hidden in ["<script>alert", "<b>anna", "tortoise", "heron", "candidate_first", "\u{202E}"] {
        assert!(!page.contains(hidden), "{hidden}: {page}");
    }
    let results = get(&server, "/results");
    let policy = page_policy(&results);
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.contains("http:") && !page.contains("https:"));
}

fn page_policy(response: &Response) -> &str {
    let header = response.headers.iter().find(|(name, _)| *name == "content-security-policy");
    &header.unwrap().1
}

#[test]
fn a_form_sent_twice_and_a_page_left_behind_change_nothing() {
    let (server, directory) = site(rivals(5), "");
    let to = location(&get(&server, "/rate/anna")).to_owned();
    let of = to.rsplit('/').next().unwrap();
    let rows = || raters::all(&directory.path().join("human")).unwrap();
    assert!(rows().is_empty(), "looking writes nothing");
    let first = form(&get(&server, &to).body);
    let send = |body: &str| location(&post(&server, &to, body)).to_owned();
    assert!(send(&format!("{first}&choice=first")).ends_with("said=saved"));
    assert!(send(&format!("{first}&choice=first")).ends_with("said=old"));
    assert!(send(&format!("{first}&choice=second")).ends_with("said=old"));
    assert_eq!(rows()["anna"].len(), 1);
    let second = form(&get(&server, &to).body);
    assert_ne!(first, second);
    assert!(send("after=1&undo=1").ends_with("said=undone"));
    assert!(send("after=1&undo=1").ends_with("said=old"));
    assert!(send(&format!("{second}&choice=first")).ends_with("said=old"));
    assert!(standing(&rows()["anna"], of).is_empty());
    // The same item again, in the same order.
    let again = form(&get(&server, &to).body);
    assert_eq!(first.replace("after=0", "after=2"), again);
    assert!(send(&format!("{again}&choice=neither")).ends_with("said=saved"));
    let rows = rows();
    let standing = standing(&rows["anna"], of);
    assert_eq!(standing.len(), 1);
    assert_eq!(standing[0].verdict, Some(Verdict::Tie));
    for broken in ["", "after=3", "after=3&choice=first", "after=x&undo=1"] {
        assert_eq!(post(&server, &to, broken).status, 400, "{broken}");
    }
    let forged = format!("{}&choice=first", again.replace("shown=", "shown=0"));
    assert_eq!(post(&server, &to, &forged).status, 400);
    assert_eq!(post(&server, "/rate/anna/00000000", &again).status, 404);
}

#[test]
fn what_is_chosen_is_of_the_answer_that_was_shown_there() {
    let (server, directory) = site(rivals(12), "");
    let to = location(&get(&server, "/rate/anna")).to_owned();
    for _ in 0..12 {
        let page = get(&server, &to).body;
        let first = page.split("id=\"first\"").nth(1).unwrap();
        let candidate_first = first.find("candidate").unwrap() < first.find("baseline").unwrap();
        let choice = if candidate_first { "first" } else { "second" };
        post(&server, &to, &format!("{}&choice={choice}", form(&page)));
    }
    let rows = &raters::all(&directory.path().join("human")).unwrap()["anna"];
    assert!(rows.iter().all(|row| row.verdict == Some(Verdict::Win)), "{rows:?}");
    let first = rows.iter().filter(|row| row.order == Order::CandidateFirst).count();
    assert_eq!((rows.len(), first), (12, 6));
    assert!(get(&server, &to).body.contains("All 12 are compared"));
}

#[test]
fn screening_pairs_are_mixed_in_and_never_count_as_judgments() {
    let pair = |number: usize| {
        format!(
            "{{\"instruction\": \"Known {number}?\", \"better\": \"right\", \"worse\": \"wrong\", \"kind\": \"x\"}}\n"
        )
    };
    let (server, directory) = site(rivals(8), &[pair(1), pair(2), pair(3)].concat());
    let to = location(&get(&server, "/rate/anna")).to_owned();
    let mut known = Vec::new();
    for number in 0..10 {
        let page = get(&server, &to).body;
        assert!(page.contains(&format!("{number} of 10")), "{page}");
        known.push(page.contains("Known"));
        let right = page.split("id=\"first\"").nth(1).unwrap();
        let is_first = !known[number] || right.find("right") < right.find("wrong");
        let choice = if is_first { "first" } else { "second" };
        post(&server, &to, &format!("{}&choice={choice}", form(&page)));
    }
    let at: Vec<usize> = (0..10).filter(|&number| known[number]).collect();
    assert_eq!(at, [3, 7]);
    let rows = raters::all(&directory.path().join("human")).unwrap();
    let contest = &server.site.contests().unwrap()[0];
    let said = opinion(contest, &rows);
    assert_eq!(said.raters[0].screening.map(|share| (share.point, share.n)), Some((1.0, 2)));
    assert_eq!(said.win_rate.map(|rate| rate.n), Some(8));
    let exported = export::annotations(std::slice::from_ref(contest), &rows).unwrap();
    assert!(!exported.contains("Known") && exported.contains("Question"));
    let rater = get(&server, &to).body;
    assert!(!rater.contains("creening"), "{rater}");
}

fn choice(rater: &str, contest: &Contest, at: usize, order: Order, verdict: Verdict) -> Choice {
    let pair = &contest.pairs[at];
    Choice {
        id: format!("{rater}{at}"),
        rater: rater.into(),
        pair: pair.id.clone(),
        prompt_id: pair.prompt_id.clone(),
        dataset: String::new(),
        candidate: contest.candidate.clone(),
        baseline: contest.baseline.clone(),
        order,
        verdict: Some(verdict),
        screening: false,
        contest: contest.id.clone(),
        time: 0,
    }
}

#[test]
fn numbers_are_those_that_one_would_count_by_hand() {
    use Verdict::{Loss, Tie, Win};
    let mut contest = Contest::new(rivals(4));
    // The model judge: the candidate wins everything that it looked at.
    contest.judge = contest.pairs[..3].iter().map(|pair| (pair.prompt_id.clone(), 1.0)).collect();
    let said = |rater: &str, verdicts: &[Verdict]| {
        let rows = verdicts
            .iter()
            .enumerate()
            .map(|(at, &verdict)| choice(rater, &contest, at, Order::BaselineFirst, verdict));
        (rater.to_owned(), rows.collect::<Vec<_>>())
    };
    let rows =
        BTreeMap::from([said("anna", &[Win, Win, Tie, Loss]), said("ben", &[Win, Loss, Tie])]);
    let found = opinion(&contest, &rows);
    // Means 1, 1/2, 1/2, 0.
    assert_eq!(found.outcomes, [1, 2, 1]);
    assert_eq!(found.win_rate.map(|rate| (rate.point, rate.n)), Some((0.5, 4)));
    assert_eq!(found.raw_agreement.map(|share| (share.point, share.n)), Some((2.0 / 3.0, 3)));
    assert_eq!(found.judge_agreement.map(|share| (share.point, share.n)), Some((1.0 / 3.0, 3)));
    assert_eq!(found.judge_win_rate.map(|rate| rate.point), Some(1.0));
    // import krippendorff
    // krippendorff.alpha([[2, 2, 1, 0], [2, 0, 1, float("nan")]], level_of_measurement="nominal")
    assert!((found.alpha.unwrap().point - 6.0 / 11.0).abs() < 1e-9, "{:?}", found.alpha);
    let anna = &found.raters[0];
    assert_eq!((anna.name.as_str(), anna.outcomes), ("anna", [2, 1, 1]));
    assert_eq!(anna.first.map(|share| share.point), Some(3.0 / 8.0));
    assert_eq!(anna.with_judge.map(|share| (share.point, share.n)), Some((2.0 / 3.0, 3)));
    assert_eq!(anna.screening, None);
    // Other answers are another pair.
    let mut changed = contest.clone();
    changed.pairs.remove(0);
    assert_eq!(opinion(&changed, &rows).strangers, 2);
}

#[test]
fn an_export_is_read_as_votes_on_pairs() {
    use Verdict::{Loss, Tie, Win};
    let contest = Contest::new(rivals(3));
    let votes = |rater: &str, verdicts: [Verdict; 3]| {
        let rows = (0..3)
            .zip(verdicts)
            .map(|(at, verdict)| choice(rater, &contest, at, Order::CandidateFirst, verdict));
        (rater.to_owned(), rows.collect::<Vec<_>>())
    };
    let rows = BTreeMap::from([votes("a", [Win, Loss, Tie]), votes("b", [Win, Loss, Win])]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), export::annotations(&[contest], &rows).unwrap()).unwrap();
    let pairs = human_pairs(file.path()).unwrap();
    assert_eq!(pairs.len(), 3);
    use crate::judge::quality::Side::{First, Second};
    let voted: Vec<_> = pairs.into_iter().map(|pair| pair.votes).collect();
    // `output_1` is the baseline's.
    assert!(voted.contains(&vec![Some(Second), Some(Second)]), "{voted:?}");
    assert!(voted.contains(&vec![Some(First), Some(First)]));
    assert!(voted.contains(&vec![None, Some(Second)]));
}

#[test]
fn only_one_server_writes_choices() {
    let (server, directory) = site(rivals(2), "");
    let subject = Subject::Answers {
        candidate: rivals(2).candidate,
        baseline: rivals(2).baseline,
        out: directory.path().to_owned(),
    };
    let settings = Settings { screening: None, screening_every: 8, limit: 8 };
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let open = || Server::open(subject.clone(), &settings, address, None);
    let error = open().unwrap_err().to_string();
    assert!(error.contains("in use by another spyhop serve"), "{error}");
    drop(server);
    open().unwrap();
}
