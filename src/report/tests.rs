//! The whole report, over fabricated runs.
use std::fs;

use super::{
    WinRates, build,
    fabricated::{self, Kind, contents},
    table, win_rates, words,
};
use crate::recipe::JudgeMethod;

pub(super) fn numbers(kind: Kind) -> WinRates {
    win_rates(fabricated::run(kind).path()).unwrap()
}

/// One file of the report.
pub(super) fn built(kind: Kind, file: &str) -> String {
    let run = fabricated::run(kind);
    build(run.path()).unwrap();
    fs::read_to_string(run.path().join("report").join(file)).unwrap()
}

#[test]
fn the_table_fits_a_terminal() {
    let table = table(&numbers(Kind::default()));
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(table.is_ascii(), "{table}");
    insta::assert_snapshot!(table, @r#"
    fabricated: 18 of 18 stages done

    model  against   n  miss  win %           95%     W/T/L  order    chars
    M0     base     45     3   56.7  [43.7, 68.8]   21/9/15    84%  187:574
    M1     base     45     3   76.7  [65.9, 84.8]   28/13/4    74%  255:574
    M1     M0       45     3   73.3  [62.8, 81.7]   25/16/4    67%  255:187
    M2     base     45     3   72.2  [60.3, 81.7]   27/11/7    79%  323:574
    M2     M1       45     3   37.8  [26.8, 50.2]  11/12/22    77%  323:255

    against base   n  points             95%      p  p Holm  detectable
    M1 minus M0   45   +20.0   [+2.8, +36.1]  0.035   0.069        23.8
    M2 minus M1   45    -4.4  [-20.0, +11.3]  0.681   0.681        22.4

    Judged by the base model, untrained by this run, a weak judge. How often this
      judge agrees with people is not known.
    M0 against the base model: 56.7% [43.7, 68.8], n = 45: no difference shown. 3 of
      48 prompts have no score: 55.2% if all that is missing were lost, 58.3% if
      won.
    M1 against the base model: 76.7% [65.9, 84.8], n = 45: better (p < 0.001
      allowing for 5 comparisons). 3 of 48 prompts have no score: 72.9% if all that
      is missing were lost, 76.0% if won.
    M1 against M0: 73.3% [62.8, 81.7], n = 45: better (p < 0.001 allowing for 5
      comparisons). 3 of 48 prompts have no score: 70.8% if all that is missing were
      lost, 74.0% if won.
    M2 against the base model: 72.2% [60.3, 81.7], n = 45: better (p = 0.002
      allowing for 5 comparisons). 3 of 48 prompts have no score: 69.8% if all that
      is missing were lost, 72.9% if won.
    M2 against M1: 37.8% [26.8, 50.2], n = 45: no difference shown. 3 of 48 prompts
      have no score: 36.5% if all that is missing were lost, 39.6% if won.
    M1 minus M0, both against the base model: +20.0 points [+2.8, +36.1], n = 45: no
      difference shown (p = 0.069 allowing for 2 comparisons). This many prompts
      show a true difference of 23.8 points or more four times in five.
    M2 minus M1, both against the base model: -4.4 points [-20.0, +11.3], n = 45: no
      difference shown. This many prompts show a true difference of 22.4 points or
      more four times in five.
    "#);
}

#[test]
fn the_table_fits_with_large_numbers_too() {
    let mut win_rates = numbers(Kind { prompts: 805, ..Kind::default() });
    for comparison in &mut win_rates.comparisons {
        comparison.candidate_characters = Some(1_469.0);
        comparison.baseline_characters = Some(2_049.0);
    }
    let table = table(&win_rates);
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let run = fabricated::run(Kind::default());
    let written = build(run.path()).unwrap();
    let report = run.path().join("report");
    let first = contents(&report);
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    let plots = names.iter().filter_map(|name| name.strip_prefix("plots/")?.strip_suffix(".png"));
    assert_eq!(
        plots.collect::<Vec<_>>(),
        [
            "cost",
            "first_words",
            "forest",
            "lengths",
            "losses",
            "outcomes",
            "position",
            "ratings",
            "scaling",
            "win_rate_by_iteration"
        ]
    );
    assert_eq!(
        names.iter().copied().filter(|name| !name.starts_with("plots/")).collect::<Vec<_>>(),
        [
            "index.html",
            "leaderboard.csv",
            "model_card.md",
            "report.json",
            "report.md",
            "win_rates.csv",
            "win_rates.tex"
        ]
    );
    assert_eq!(written.len(), names.len());
    build(run.path()).unwrap();
    assert_eq!(contents(&report), first);
}

#[test]
fn a_prompt_with_an_unreadable_verdict_is_missing_and_bounded() {
    for comparison in numbers(Kind::default()).comparisons {
        let win_rate = comparison.win_rate.unwrap();
        assert_eq!((comparison.prompts, comparison.missing, win_rate.n), (48, 3, 45));
        assert_eq!(comparison.wins + comparison.ties + comparison.losses, win_rate.n);
        // Each of the three has one verdict of two that nobody knows.
        let (least, most) = comparison.bounds;
        assert!((most - least - 1.5 / 48.0).abs() < 1e-12, "{least} {most}");
        assert_eq!(comparison.identical, 2);
        let by_slice: usize =
            comparison.slices.iter().map(|slice| slice.win_rate.map_or(0, |rate| rate.n)).sum();
        assert_eq!(by_slice, win_rate.n);
    }
}

#[test]
fn a_judge_that_sees_no_order_has_no_order_consistency() {
    let win_rates = numbers(Kind { judge: JudgeMethod::Likelihood, ..Kind::default() });
    for comparison in &win_rates.comparisons {
        assert_eq!((comparison.order_consistency, comparison.first_position), (None, None));
    }
    let row = table(&win_rates).lines().find(|line| line.starts_with("M1")).unwrap().to_owned();
    assert!(row.contains(" n/a "), "{row}");
}

#[test]
fn an_unfinished_run_shows_what_is_finished() {
    let unfinished = |stage| Kind { until: Some(stage), ..Kind::default() };
    let text = built(unfinished("seed"), "report.md");
    assert!(text.contains("**No comparison is finished yet.**\n\n1 of 18 stages done"), "{text}");
    let text = built(unfinished("M1/judge-base"), "report.md");
    assert!(text.contains("12 of 18 stages done"), "{text}");
    let held_out = "M0: the loss on 4 pairs held out is 2.750 before the training, and 1.500 when";
    assert!(text.contains(held_out) && !text.contains(&held_out.replace("M0", "M2")), "{text}");
    assert!(text.contains("M1 minus M0") && !text.contains("M2 against"), "{text}");
    assert!(text.contains("Still to do: M1/judge-previous, M1/curate, M2/finetune"), "{text}");
    // One difference of two is known, but both are corrected for.
    let known = &numbers(unfinished("M1/judge-base")).differences;
    assert_eq!((known.len(), known[0].p_holm), (1, 2.0 * known[0].paired.p));
    // Rows of a stage that is not done are not a result.
    let run = fabricated::run(unfinished("M0/judge-base"));
    let stages = run.path().join("stages.jsonl");
    let text = fs::read_to_string(&stages).unwrap();
    let torn = text.find("M0/judge-base").unwrap();
    fs::write(&stages, &text[..torn]).unwrap();
    assert!(win_rates(run.path()).unwrap().comparisons.is_empty());
}

/// The text of a page's element, between its opening and its closing tag.
fn inside<'a>(page: &'a str, open: &str, close: &str) -> &'a str {
    let (_, rest) = page.split_once(open).unwrap();
    rest.split_once(close).unwrap().0
}

#[test]
fn what_models_wrote_cannot_act_on_the_page() {
    let page = built(Kind::default(), "index.html");
    let data = inside(&page, "<script type=\"application/json\" id=\"judgments\">", "</script>");
    let own = inside(&page, "<script>", "</script>");
    assert_eq!(page.matches("<script").count(), 2, "the data and our own script");
    assert_eq!(own, super::embed::SCRIPT);
    assert!(page.contains(&format!("script-src {}\"", super::embed::script_source())));
    assert!(!data.contains('<'));
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let texts: Vec<&str> =
        data["texts"].as_array().unwrap().iter().filter_map(|text| text.as_str()).collect();
    let hostile = words::visible(fabricated::HOSTILE);
    assert!(hostile.starts_with("<script>alert(1)</script>"));
    assert!(hostile.ends_with("⟨U+202E⟩reversed⟨U+202C⟩ ⟨U+0000⟩end {{ 7 * 7 }}"));
    assert!(texts.contains(&hostile.as_str()));
    let without = page.replace(own, "");
    assert!(!without.contains(" src=") && !page.contains("@import"));
    assert!(!page.chars().any(|character| {
        (character.is_control() && character != '\n') || character == '\u{202E}'
    }));
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("http://") && !outside.contains("https://"), "no request leaves");
    // What the template writes is escaped too.
    let run = fabricated::run(Kind::default());
    let prompts = run.path().join("prompts.jsonl");
    let text = fs::read_to_string(&prompts).unwrap();
    assert!(text.contains("\"facts\""));
    fs::write(&prompts, text.replace("\"facts\"", "\"<script>alert(1)</script>\"")).unwrap();
    build(run.path()).unwrap();
    let page = fs::read_to_string(run.path().join("report/index.html")).unwrap();
    assert!(page.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"));
    assert_eq!(page.matches("<script").count(), 2);
}

#[test]
fn every_judgment_can_be_browsed_and_each_text_is_there_once() {
    let page = built(Kind::default(), "index.html");
    let data = inside(&page, "id=\"judgments\">", "</script>");
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let comparisons = data["comparisons"].as_array().unwrap();
    assert_eq!(comparisons.len(), 5);
    for comparison in comparisons {
        let items = comparison["items"].as_array().unwrap();
        assert_eq!(items.len(), 48);
        assert_eq!(items.iter().filter(|item| item["score"].is_null()).count(), 3);
        for look in items.iter().flat_map(|item| item["looks"].as_array().unwrap()) {
            let text = look["text"].as_u64().unwrap() as usize;
            assert!(data["texts"][text].is_string());
        }
    }
    let texts = data["texts"].as_array().unwrap();
    let distinct: std::collections::BTreeSet<&str> =
        texts.iter().map(|text| text.as_str().unwrap()).collect();
    assert_eq!(distinct.len(), texts.len());
    // Answers that nobody has judged yet can be read.
    let page = built(Kind { until: Some("M0/generate"), ..Kind::default() }, "index.html");
    let data = inside(&page, "id=\"judgments\">", "</script>");
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let items = data["comparisons"][0]["items"].as_array().unwrap();
    assert!(items.len() == 48 && items.iter().all(|item| item["looks"] == serde_json::json!([])));
    let page = built(Kind { until: Some("seed"), ..Kind::default() }, "index.html");
    assert!(!page.contains("id=\"judgments\"") && page.contains("No comparison is finished yet."));
}

#[test]
fn the_top_answers_the_four_questions() {
    let page = built(Kind { agreement: Some(0.6), ..Kind::default() }, "index.html");
    let facts = inside(&page, "<dl class=\"facts\">", "</dl>");
    let strip = |html: &str| -> Vec<String> {
        html.split('<')
            .filter_map(|part| Some(part.split_once('>')?.1.trim().to_owned()))
            .filter(|text| !text.is_empty())
            .collect()
    };
    insta::assert_snapshot!(strip(facts).join("\n"), @r"
    Is M2 better than M1?
    Not shown
    Win rate 37.8% [26.8, 50.2], n = 45; p = 0.160 allowing for 5 comparisons.
    What did M2 gain on M1?
    −4.4 points
    [−20.0, +11.3] in the win rate against the base model, paired over 45 prompts; p = 0.681. This many prompts show a true difference of 22.4 points four times in five.
    Can the judge be believed?
    Hardly
    It sides with most people on 64.0% [60.0, 68.0] of 600 pairs. It is also a contestant: the base model. It keeps its verdict when the answers change places on 76.7% [62.3, 86.8] of 43 prompts.
    At what cost?
    5 h 22 min
    Wall time of 18 stages on CPU; 2 h 06 min of it for M2. Without the time before an interruption.
    ");
}

#[test]
fn a_weak_judge_is_said_to_be_weak() {
    let warning = "This judge is weak";
    for (agreement, weak) in [(None, true), (Some(0.60), true), (Some(0.65), false)] {
        let kind = Kind { agreement, ..Kind::default() };
        for file in ["index.html", "report.md"] {
            assert_eq!(built(kind, file).contains(warning), weak, "{agreement:?} {file}");
            assert_eq!(built(kind, file).contains("says a weak judge"), weak);
        }
    }
}

#[test]
fn few_prompts_show_nothing_and_say_so() {
    let win_rates = numbers(Kind { prompts: 4, ..Kind::default() });
    let text = table(&win_rates);
    assert!(!text.contains(": better") && !text.contains(": worse"), "{text}");
}

#[test]
fn a_directory_that_is_no_run_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let error = format!("{:#}", build(directory.path()).unwrap_err());
    assert!(error.contains("is not a run directory: it needs a recipe.toml"), "{error}");
}

#[test]
fn the_csv_has_one_row_a_comparison_and_one_a_dataset() {
    let text = built(Kind::default(), "win_rates.csv");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 5 * (1 + 3));
    insta::assert_snapshot!(lines[..3].join("\n"), @r#"
    candidate,baseline,dataset,n,missing,win_rate,lower,upper,if_missing_lose,if_missing_win,wins,ties,losses,p,p_holm,order_consistency,order_consistency_lower,order_consistency_upper,order_consistency_n,first_position,first_position_lower,first_position_upper,first_position_n,candidate_characters,baseline_characters,candidate_truncated,baseline_truncated,identical
    M0,base,,45,3,0.566667,0.437145,0.687678,0.552083,0.583333,21,9,15,0.405032,0.405032,0.837209,0.700276,0.918834,43,0.565217,0.498580,0.629579,46,187.062500,574.416667,0,4,2
    M0,base,facts,15,1,0.700000,0.477848,0.856099,,,,,,,,,,,,,,,,,,,,
    "#);
}
