//! `spyhop serve`: raters at their browsers, a server that is killed, and visitors who mean ill.
use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Stdio},
    thread,
};

use serde_json::Value;

use super::Workplace;

/// A server at work; dropping it kills it with no chance to tidy up.
struct Serving {
    child: Child,
    /// Host and port.
    at: String,
    link: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // SIGKILL.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> String {
        let line = self.headers.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_default().to_owned()
    }
}

impl Serving {
    fn start(workplace: &Workplace, args: &[&str]) -> Self {
        let args = [&["serve", "--port", "0"], args].concat();
        let mut child =
            workplace.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut link = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut link).unwrap();
        let at = link.trim().trim_start_matches("http://").split('/').next().unwrap().to_owned();
        assert!(at.contains(':'), "no address: {link:?}");
        Self { child, at, link: link.trim().to_owned() }
    }

    /// One request; `None` where the server went away.
    fn send(&self, head: &str, headers: &str, body: &str) -> Option<Answer> {
        let host = if headers.contains("Host:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.at)
        };
        let mut stream = TcpStream::connect(&self.at).ok()?;
        let request = format!(
            "{head} HTTP/1.1\r\n{host}{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, headers: head.to_owned(), body: body.to_owned() })
    }

    fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), "", "").unwrap()
    }

    /// The first comparison of a rater.
    fn comparison(&self, rater: &str) -> String {
        let answer = self.get(&format!("/rate/{rater}"));
        match answer.status {
            303 => answer.header("location"),
            _ => {
                let link = answer.body.split("<li><a href=\"").nth(1).unwrap();
                link.split('"').next().unwrap().replace("&#x2f;", "/")
            }
        }
    }

    /// The fields that a choice on the page's item is sent with.
    fn form(&self, address: &str) -> Option<String> {
        let page = self.send(&format!("GET {address}"), "", "")?.body;
        let form = page.split("class=\"choices\"").nth(1)?;
        let field = |name: &str| {
            let value = form.split(&format!("name=\"{name}\" value=\"")).nth(1)?;
            Some(format!("{name}={}", value.split('"').next()?))
        };
        Some([field("item")?, field("shown")?, field("after")?].join("&"))
    }

    /// Where the server sends the browser after a form; `None` if it died over it.
    fn post(&self, address: &str, body: &str) -> Option<String> {
        let answer = self.send(&format!("POST {address}"), "", body)?;
        assert_eq!(answer.status, 303, "{}", answer.body);
        Some(answer.header("location"))
    }

    fn choose(&self, address: &str, choice: &str) -> Option<String> {
        let form = self.form(address)?;
        self.post(address, &format!("{form}&choice={choice}"))
    }
}

/// The rows of a rater; whole lines that can be read, or the test fails.
fn rows(directory: &Path, rater: &str) -> Vec<Value> {
    let text = fs::read_to_string(directory.join(format!("human/{rater}.jsonl"))).unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Pairs on which a choice stands.
fn standing(rows: &[Value]) -> HashSet<String> {
    let mut last: HashMap<String, bool> = HashMap::new();
    for row in rows {
        last.insert(row["pair"].as_str().unwrap().to_owned(), !row["verdict"].is_null());
    }
    last.into_iter().filter_map(|(pair, stands)| stands.then_some(pair)).collect()
}

const SCREENING: &str = r#"{"instruction": "Two and two?", "better": "Four.", "worse": "Five."}
{"instruction": "Is ice cold?", "better": "Yes.", "worse": "No, it is hot."}
"#;

#[test]
fn raters_a_kill_and_nothing_lost_or_twice() {
    let workplace = Workplace::new();
    assert!(workplace.run(&["run", "recipes/scripted.toml", "--out", "run"]).starts_with("exit 0"));
    fs::write(workplace.path("screening.jsonl"), SCREENING).unwrap();
    let run = workplace.path("run");
    let args = ["run", "--screening", "screening.jsonl", "--screening-every", "4", "--limit", "8"];
    let start = || Serving::start(&workplace, &args);

    let server = start();
    let page = server.get("/");
    assert!(page.body.contains("All 18 stages are done") && page.body.contains("M2 is better"));
    let (anna, ben) = (server.comparison("Anna"), server.comparison("ben"));
    assert!(!run.join("human/anna.jsonl").exists());
    for choice in ["first", "second", "neither", "first"] {
        assert!(server.choose(&anna, choice).unwrap().ends_with("said=saved"));
    }
    let item = server.form(&anna).unwrap();
    assert_eq!(server.form(&anna).unwrap(), item, "a page that is loaded again is the same");
    assert!(server.get(&anna).body.contains("4 of 10"));
    let body = format!("{item}&choice=second");
    assert!(server.post(&anna, &body).unwrap().ends_with("said=saved"));
    assert!(server.post(&anna, &body).unwrap().ends_with("said=old"));
    assert_eq!(rows(&run, "anna").len(), 5);
    assert!(server.choose(&ben, "second").unwrap().ends_with("said=saved"));
    let again = workplace.run(&["serve", "run", "--port", "0"]);
    assert!(again.starts_with("exit 2") && again.contains("in use by another"), "{again}");

    // Killed between two rows, and in the middle of one.
    drop(server);
    let mut torn = fs::OpenOptions::new().append(true).open(run.join("human/anna.jsonl")).unwrap();
    torn.write_all(b"{\"id\":\"half a row").unwrap();
    let server = start();
    assert!(server.get(&anna).body.contains("5 of 10"));
    assert!(server.post(&anna, &body).unwrap().ends_with("said=old"));

    // Killed while forms come in as fast as they can.
    let saved = thread::scope(|scope| {
        let clicking = scope.spawn(|| {
            let mut saved = 0;
            while let Some(to) = server.choose(&ben, "first") {
                saved += usize::from(to.ends_with("said=saved"));
            }
            saved
        });
        while rows(&run, "ben").len() < 5 {
            thread::yield_now();
        }
        // What `Drop` does, while the other thread still holds the server.
        let pid = server.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        clicking.join().unwrap()
    });
    drop(server);
    let server = start();
    let written = rows(&run, "ben");
    assert_eq!(standing(&written).len(), written.len(), "a pair was chosen twice");
    // The answer to the last row may have been lost with the server, its row may not.
    assert!((saved + 1..=saved + 2).contains(&written.len()), "{saved} {}", written.len());

    assert!(server.post(&anna, "after=5&undo=1").unwrap().ends_with("said=undone"));
    assert!(server.get(&anna).body.contains("4 of 10"));
    let mut lasts = Vec::new();
    for rater in [&anna, &ben] {
        while let Some(to) = server.choose(rater, "first") {
            lasts.push(to);
        }
        assert!(server.get(rater).body.contains("All 10 are compared"));
    }
    assert!(lasts.iter().all(|to| to.ends_with("said=saved")));
    for rater in ["anna", "ben"] {
        let rows = rows(&run, rater);
        assert_eq!(standing(&rows).len(), 10, "{rater}");
        let real = |row: &&Value| row["screening"] == false && row["verdict"].is_string();
        let orders: HashMap<&str, &str> = rows
            .iter()
            .filter(real)
            .map(|row| (row["pair"].as_str().unwrap(), row["order"].as_str().unwrap()))
            .collect();
        assert_eq!(orders.values().filter(|order| **order == "candidate_first").count(), 4);
    }
    let results = server.get("/results").body;
    for expected in ["8 of 48 prompts by 2 raters, 16 choices", "Krippendorff", "model judge"] {
        assert!(results.contains(expected), "{expected}: {results}");
    }
    let download = server.get("/human.json");
    assert!(download.header("content-disposition").contains("human.json"));
    drop(server);

    let exported = workplace.run(&["serve", "run", "--export", "human.json"]);
    assert!(exported.starts_with("exit 0") && exported.contains("16 choices"), "{exported}");
    let file = fs::read_to_string(workplace.path("human.json")).unwrap();
    assert_eq!(file, download.body);
    let score = workplace.run(&["score", "human.json", "--format", "csv"]);
    assert!(
        score.starts_with("exit 0") && score.contains("anna") && score.contains("ben"),
        "{score}"
    );
    let quality = ["judge-quality", "--human", "human.json", "--verdicts", "human.json"];
    let quality = workplace.run(&quality);
    assert!(quality.starts_with("exit 0"), "{quality}");
    let own = workplace.run(&["serve", "run", "--export", "human.jsonl"]);
    assert!(own.starts_with("exit 0"), "{own}");
    let judge = ["score", "run/M2/judgments-base.jsonl", "--human", "human.jsonl"];
    let corrected = workplace.run(&[&judge[..], &["--format", "json"]].concat());
    assert!(corrected.contains("\"human_labels\": 8"), "{corrected}");
}

#[test]
fn a_run_that_goes_on_elsewhere_is_shown_as_far_as_it_is() {
    let workplace = Workplace::new();
    assert!(workplace.run(&["run", "recipes/scripted.toml", "--out", "run"]).starts_with("exit 0"));
    // As if the last judging had just begun.
    let stages = fs::read_to_string(workplace.path("run/stages.jsonl")).unwrap();
    let last = stages.lines().last().unwrap();
    let name = serde_json::from_str::<Value>(last).unwrap()["id"].as_str().unwrap().to_owned();
    fs::write(workplace.path("run/stages.jsonl"), stages.replace(last, "")).unwrap();
    fs::write(workplace.path("run/running"), &name).unwrap();
    let judgments = workplace.path(&format!("run/{}.jsonl", name.replace("judge-", "judgments-")));
    let all = fs::read_to_string(&judgments).unwrap();
    let begun: String = all.lines().take(3).map(|line| format!("{line}\n")).collect();
    fs::write(&judgments, begun + "{\"id\": \"half").unwrap();
    let before = fs::read(workplace.path("run/stages.jsonl")).unwrap();

    let server = Serving::start(&workplace, &["run"]);
    let page = server.get("/").body;
    let under_way = format!(
        "Under way: <strong>{}</strong>, 3 of {}",
        name.replace('/', "&#x2f;"),
        all.lines().count()
    );
    for expected in ["17 of 18 stages are done", &under_way, "Newest rows"] {
        assert!(page.contains(expected), "{expected}: {}", &page[..6000.min(page.len())]);
    }
    assert!(server.get("/status").body.contains("Under way"));
    assert_eq!(fs::read(workplace.path("run/stages.jsonl")).unwrap(), before);
}

#[test]
fn who_may_not_come_in_stays_outside() {
    let workplace = Workplace::new();
    for (name, word) in [("new", "better"), ("old", "worse")] {
        let rows: Vec<Value> = (0..3)
            .map(|number| serde_json::json!({"instruction": format!("q{number}"), "output": format!("{word} {number}"), "generator": name}))
            .collect();
        fs::write(workplace.path(&format!("{name}.json")), serde_json::to_string(&rows).unwrap())
            .unwrap();
    }
    let files = ["--candidate", "new.json", "--baseline", "old.json", "--out", "people"];
    let nothing = workplace.run(&[&["serve"], &files[..], &["--export", "human.json"]].concat());
    assert!(nothing.starts_with("exit 2") && nothing.contains("holds no choices"), "{nothing}");
    let open = Serving::start(&workplace, &files);
    let check = |head: &str, headers: &str, body: &str, expected: u16| {
        let answer = open.send(head, headers, body).unwrap();
        assert_eq!(answer.status, expected, "{head} {headers}");
    };
    check("GET /rate", "", "", 200);
    check("HEAD /rate", "", "", 200);
    check("GET /rate", "Host: evil.example\r\n", "", 403);
    check("GET /../../etc/passwd", "", "", 404);
    check("GET /assets/..%2f..%2fCargo.toml", "", "", 404);
    check("DELETE /rate", "", "", 405);
    check("POST /results", "", "", 405);
    check("GET /nothing", "", "", 404);
    let rater = open.comparison("..%2f..%2fevil");
    check(&format!("POST {rater}"), "", &"x".repeat(20_000), 413);
    check(&format!("POST {rater}"), "Origin: http://evil.example\r\n", "after=0&undo=1", 403);
    assert!(open.choose(&rater, "first").unwrap().ends_with("said=saved"));
    let written: Vec<String> = fs::read_dir(workplace.path("people/human"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(written.iter().any(|name| name.starts_with("------evil-")), "{written:?}");
    drop(open);

    let guarded = Serving::start(&workplace, &[&files[..], &["--bind", "0.0.0.0"]].concat());
    let token = guarded.link.split("token=").nth(1).unwrap().to_owned();
    assert_eq!(token.len(), 32, "{}", guarded.link);
    for path in ["/", "/rate", "/results", "/human.json", "/rate?token=wrong"] {
        let answer = guarded.get(path);
        assert_eq!(answer.status, 403, "{path}");
        assert!(!answer.body.contains("better"));
    }
    let entered = guarded.get(&format!("/results?token={token}"));
    assert_eq!((entered.status, entered.header("location").as_str()), (303, "/results"));
    let cookie = entered.header("set-cookie").split(';').next().unwrap().to_owned();
    let inside = guarded.send("GET /results", &format!("Cookie: {cookie}\r\n"), "").unwrap();
    assert_eq!(inside.status, 200);
    let link = inside.body.split("token=").nth(1).unwrap().split('"').next().unwrap();
    let rater = guarded.get(&format!("/rate?token={link}"));
    let cookie = rater.header("set-cookie").split(';').next().unwrap().to_owned();
    for (path, expected) in [("/rate", 200), ("/results", 403), ("/human.json", 403), ("/", 403)] {
        let answer =
            guarded.send(&format!("GET {path}"), &format!("Cookie: {cookie}\r\n"), "").unwrap();
        assert_eq!(answer.status, expected, "{path}");
    }
}
