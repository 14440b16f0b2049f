//! What other programs, papers and model cards get, and what published figures stand beside.
use super::{
    WinRates, build,
    fabricated::{self, Kind, contents},
    figures,
    tests::{built, numbers},
};

#[test]
fn the_json_keeps_its_keys() {
    let text = built(Kind::default(), "report.json");
    let (head, _) = text.split_once("\"slices\"").unwrap();
    insta::assert_snapshot!(head, @r#"
    {
      "schema": "spyhop report 1",
      "headline": "M2 is better than the base model and is not shown to differ from M1, says a weak judge.",
      "name": "fabricated",
      "stages_done": 18,
      "stages": 18,
      "judge": "Judged by the base model, untrained by this run, a weak judge. How often this judge agrees with people is not known.",
      "comparisons": [
        {
          "candidate": "M0",
          "baseline": "base",
          "prompts": 48,
          "missing": 3,
          "win_rate": {
            "point": 0.5666666666666667,
            "lower": 0.43714455477051894,
            "upper": 0.6876781895961556,
            "n": 45
          },
          "at_equal_length": {
            "point": 0.500393,
            "lower": 0.441407,
            "upper": 0.559367,
            "n": 45
          },
          "bounds": [
            0.5520833333333334,
            0.5833333333333334
          ],
          "wins": 21,
          "ties": 9,
          "losses": 15,
          "p": 0.40503224614076316,
          "p_holm": 0.40503224614076316,
          "order_consistency": {
            "point": 0.8372093023255814,
            "lower": 0.7002759410625283,
            "upper": 0.91883372652938,
            "n": 43
          },
          "first_position": {
            "point": 0.5652173913043478,
            "lower": 0.4985797598970547,
            "upper": 0.629578617354464,
            "n": 46
          },
          "longer_wins": {
            "point": 0.4166666666666667,
            "lower": 0.27140562051446065,
            "upper": 0.5779974842512834,
            "n": 36
          },
          "list_wins": null,
          "candidate_characters": 187.0625,
          "baseline_characters": 574.4166666666666,
          "candidate_truncated": 0,
          "baseline_truncated": 4,
          "identical": 2,
    "#);
    let (_, tail) = text.split_once("\"planned_comparisons\"").unwrap();
    let (tail, _) = tail.split_once(",\n  \"curation\"").unwrap();
    insta::assert_snapshot!(tail, @r#"
    : 5,
      "differences": [
        {
          "candidate": "M1",
          "before": "M0",
          "paired": {
            "difference": {
              "point": 0.19999999999999996,
              "lower": 0.02767804024838405,
              "upper": 0.36077797020549207,
              "n": 45
            },
            "correlation": -0.08462540004829124,
            "p": 0.03474360704421997,
            "minimum_detectable": 0.23806759901797264
          },
          "p_holm": 0.06948721408843994
        },
        {
          "candidate": "M2",
          "before": "M1",
          "paired": {
            "difference": {
              "point": -0.0444444444444444,
              "lower": -0.20001886928285417,
              "upper": 0.11331594111851939,
              "n": 45
            },
            "correlation": -0.16698899509780818,
            "p": 0.6807714700698853,
            "minimum_detectable": 0.22394140404236046
          },
          "p_holm": 0.6807714700698853
        }
      ],
      "planned_differences": 2
    "#);
}

#[test]
fn a_model_card_and_a_table_for_papers_read_well() {
    insta::assert_snapshot!(built(Kind::default(), "model_card.md"), @r#"
    ---
    model-index:
    - name: "fabricated M2"
      results:
      - task:
          type: text-generation
          name: Following instructions, compared in pairs
        dataset:
          type: "first-look"
          name: "first-look"
        metrics:
        - type: win_rate
          name: "Win rate against base, % [60.3, 81.7], n = 45"
          value: 72.2
        - type: win_rate
          name: "Win rate against M1, % [26.8, 50.2], n = 45"
          value: 37.8
    ---

    ## Evaluation

    > **Warning:** The judge is weak. How often this judge agrees with people is not known. Its verdicts prove the pipeline, not the model. The judge is also a contestant: it is the base model, and a model tends to prefer what it would have said itself, so the comparisons with the base model lean against every other.

    | Model | Against | n | Missing | Win rate | 95% interval | Won / tied / lost |
    | --- | --- | ---: | ---: | ---: | ---: | ---: |
    | M2 | base | 45 | 3 | 72.2% | \[60.3, 81.7\] | 27 / 11 / 7 |
    | M2 | M1 | 45 | 3 | 37.8% | \[26.8, 50.2\] | 11 / 12 / 22 |

    Eval set: first-look. Judged by the base model, untrained by this run, a weak judge. How often this judge agrees with people is not known.

    - M2 against the base model: 72.2% \[60.3, 81.7\], n = 45: better (p = 0.002 allowing for 5 comparisons). 3 of 48 prompts have no score: 69.8% if all that is missing were lost, 72.9% if won.
    - M2 against M1: 37.8% \[26.8, 50.2\], n = 45: no difference shown. 3 of 48 prompts have no score: 36.5% if all that is missing were lost, 39.6% if won.
    - M2 minus M1, both against the base model: −4.4 points \[−20.0, +11.3\], n = 45: no difference shown. This many prompts show a true difference of 22.4 points or more four times in five.

    Measured by spyhop; `report/` of the run has every number and every judgment.
    "#);
    insta::assert_snapshot!(built(Kind::default(), "win_rates.tex"), @r"
    % \usepackage{booktabs}
    % \usepackage[T1]{fontenc}
    \begin{table}
      \centering
      \small
      \caption{Win rates of fabricated, in percent, with 95\% intervals; p by sign flips, corrected by Holm's method for 5 comparisons. Judged by the base model, untrained by this run, a weak judge. How often this judge agrees with people is not known.}
      \medskip
      \begin{tabular}{llrrcrr}
        \toprule
        Candidate & Baseline & $n$ & Win rate & 95\% interval & Won/tied/lost & $p$ \\
        \midrule
        {M0} & {base} & {45} & {56.7} & {[43.7, 68.8]} & {21/9/15} & {0.405} \\
        {M1} & {base} & {45} & {76.7} & {[65.9, 84.8]} & {28/13/4} & {$<$ 0.001} \\
        {M1} & {M0} & {45} & {73.3} & {[62.8, 81.7]} & {25/16/4} & {$<$ 0.001} \\
        {M2} & {base} & {45} & {72.2} & {[60.3, 81.7]} & {27/11/7} & {0.002} \\
        {M2} & {M1} & {45} & {37.8} & {[26.8, 50.2]} & {11/12/22} & {0.160} \\
        \bottomrule
      \end{tabular}
    \end{table}
    ");
    insta::assert_snapshot!(built(Kind::default(), "leaderboard.csv"), @r"
    ,win_rate,standard_error,n_wins,n_wins_base,n_draws,n_total,discrete_win_rate,mode,avg_length,length_controlled_winrate,lc_standard_error
    M1,76.66666666666667,4.92365963917331,28,4,13,45,76.66666666666667,community,254,,
    M2,72.22222222222221,5.630803528148984,27,7,11,45,72.22222222222221,community,323,,
    M0,56.666666666666664,6.666666666666665,21,15,9,45,56.666666666666664,community,187,,
    ");
}

#[test]
fn published_figures_stand_beside_their_baseline_and_say_what_they_are() {
    let mut win_rates = numbers(Kind::default());
    let forest = |win_rates: &WinRates| figures::forest(win_rates).unwrap();
    let outcomes = |win_rates: &WinRates| figures::outcomes(win_rates).unwrap().csv().unwrap();
    assert!(!forest(&win_rates).svg().unwrap().contains("published"));
    win_rates.comparisons[4].baseline = "text-davinci-003".into();
    let plot = forest(&win_rates);
    assert!(plot.svg().unwrap().contains("published, not measured here"));
    assert!(plot.caption.contains("they were not measured here"), "{}", plot.caption);
    let table = plot.csv().unwrap();
    let beside: Vec<&str> = table.lines().skip_while(|line| !line.contains("davinci")).collect();
    insta::assert_snapshot!(beside.join("\n"), @r#"
    against text-davinci-003,M2,measured in this run,37.777778,26.798119,50.172677,45
    against text-davinci-003,"humpback-65b, by people","published, not measured here",73.450000,,,
    against text-davinci-003,"humpback-llama2-70b, by GPT-4","published, not measured here",87.935300,85.672522,90.198078,
    against text-davinci-003,"humpback-llama-65b, by GPT-4","published, not measured here",83.706500,81.144631,86.268369,
    "#);
    assert!(
        outcomes(&win_rates)
            .contains("against text-davinci-003,published: humpback-65b,won,66.700000,")
    );
}

#[test]
fn a_run_that_has_judged_nothing_has_no_tables() {
    let run = fabricated::run(Kind { until: Some("seed"), ..Kind::default() });
    build(run.path()).unwrap();
    let names: Vec<String> =
        contents(&run.path().join("report")).into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"report.json".to_owned()), "{names:?}");
    for absent in ["win_rates.tex", "leaderboard.csv", "model_card.md", "plots/forest.svg"] {
        assert!(!names.contains(&absent.to_owned()), "{names:?}");
    }
}

#[test]
fn the_markdown_reads_well() {
    let text = built(Kind::default(), "report.md");
    let (results, _) = text.split_once("\n## By dataset").unwrap();
    insta::assert_snapshot!(results, @r#"
    # fabricated

    **M2 is better than the base model and is not shown to differ from M1, says a weak judge.**

    18 of 18 stages done

    ## Verdict

    > **Warning:** The judge is weak. How often this judge agrees with people is not known. Its verdicts prove the pipeline, not the model. The judge is also a contestant: it is the base model, and a model tends to prefer what it would have said itself, so the comparisons with the base model lean against every other.

    - M0 against the base model: 56.7% \[43.7, 68.8\], n = 45: no difference shown. 3 of 48 prompts have no score: 55.2% if all that is missing were lost, 58.3% if won.
    - M1 against the base model: 76.7% \[65.9, 84.8\], n = 45: better (p &lt; 0.001 allowing for 5 comparisons). 3 of 48 prompts have no score: 72.9% if all that is missing were lost, 76.0% if won.
    - M1 against M0: 73.3% \[62.8, 81.7\], n = 45: better (p &lt; 0.001 allowing for 5 comparisons). 3 of 48 prompts have no score: 70.8% if all that is missing were lost, 74.0% if won.
    - M2 against the base model: 72.2% \[60.3, 81.7\], n = 45: better (p = 0.002 allowing for 5 comparisons). 3 of 48 prompts have no score: 69.8% if all that is missing were lost, 72.9% if won.
    - M2 against M1: 37.8% \[26.8, 50.2\], n = 45: no difference shown. 3 of 48 prompts have no score: 36.5% if all that is missing were lost, 39.6% if won.
    - M1 minus M0, both against the base model: +20.0 points \[+2.8, +36.1\], n = 45: no difference shown (p = 0.069 allowing for 2 comparisons). This many prompts show a true difference of 23.8 points or more four times in five.
    - M2 minus M1, both against the base model: −4.4 points \[−20.0, +11.3\], n = 45: no difference shown. This many prompts show a true difference of 22.4 points or more four times in five.

    ## Win rates

    | Candidate | Baseline | n | Missing | Win rate | 95% interval | At equal length | Won : tied : lost | p (Holm) | Characters | Cut | Judging |
    | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
    | M0 | base | 45 | 3 | 56.7% | \[43.7, 68.8\] | 50.0% \[44.1, 55.9\] | 21 : 9 : 15 | 0.405 | 187 : 574 | 0 : 4 | 1 h 02 min |
    | M1 | base | 45 | 3 | 76.7% | \[65.9, 84.8\] | 50.0% \[34.9, 65.1\] | 28 : 13 : 4 | &lt; 0.001 | 255 : 574 | 0 : 4 | 1 h 02 min |
    | M1 | M0 | 45 | 3 | 73.3% | \[62.8, 81.7\] | 50.7% \[21.8, 79.1\] | 25 : 16 : 4 | &lt; 0.001 | 255 : 187 | 0 : 0 | 1 h 02 min |
    | M2 | base | 45 | 3 | 72.2% | \[60.3, 81.7\] | 50.0% \[37.4, 62.6\] | 27 : 11 : 7 | 0.002 | 323 : 574 | 4 : 4 | 1 h 02 min |
    | M2 | M1 | 45 | 3 | 37.8% | \[26.8, 50.2\] | 52.2% \[24.6, 78.5\] | 11 : 12 : 22 | 0.160 | 323 : 255 | 4 : 0 | 1 h 02 min |

    ![Win rate by iteration](plots/win_rate_by_iteration.svg)

    *Win rate of each iteration with its 95% interval, n = 45 prompts. The dashed line at 50% is a draw.*

    ![Win rates against all baselines](plots/forest.svg)

    *Every comparison with its 95% interval, n = 45 prompts. The dashed line at 50% is a draw.*

    ![Won, tied and lost](plots/outcomes.svg)

    *Prompts won, tied and lost, n = 45 prompts; the upright mark is the win rate, in which a tie counts half, with its 95% interval.*

    Win rate: mean over prompts of the score, where a win is 1, a tie 1/2, a loss 0; how the looks of the judge make one score is said below, under The judge. A prompt is won when its score is above 1/2. Interval: Wilson's, for the effective number of prompts. At equal length: by AlpacaEval's regression with length alone, without difficulties, with a bootstrap's interval; a guess where one side is nearly always the longer. p: exact sign-flip test against 50%, Holm-corrected for all comparisons of the recipe. Characters: mean length of an answer, candidate : baseline. Cut: answers that reached the token limit, candidate : baseline. Judging: its wall time.

    ## From one iteration to the next

    | Model | Seed pairs | Curated pairs | Win rate against base | Gain on the one before | 95% interval | Better? | Time |
    | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |
    | M0 | 40 | 0 | 56.7% \[43.7, 68.8\], n = 45 | n/a | n/a | n/a | 1 h 05 min |
    | M1 | 40 | 20 | 76.7% \[65.9, 84.8\], n = 45 | +20.0 points | \[+2.8, +36.1\] | not shown | 2 h 07 min |
    | M2 | 40 | 20 | 72.2% \[60.3, 81.7\], n = 45 | −4.4 points | \[−20.0, +11.3\] | not shown | 2 h 06 min |

    | Win rate against the base model | n | Points | 95% interval | Correlation | p | p (Holm) | Detectable |
    | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
    | M1 minus M0 | 45 | +20.0 | \[+2.8, +36.1\] | −0.08 | 0.035 | 0.069 | 23.8 |
    | M2 minus M1 | 45 | −4.4 | \[−20.0, +11.3\] | −0.17 | 0.681 | 0.681 | 22.4 |

    Paired by prompt, which is sharper than two intervals side by side. Detectable: the true difference, in points, that this many prompts would show in 80% of repetitions at the 5% level (2.80 standard errors). A smaller difference may exist and stay unseen.
    "#);
}
