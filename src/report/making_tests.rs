//! What reports say of how the models were made.
use std::fs;

use super::{
    build,
    fabricated::{self, Kind},
    tests::built,
};

#[test]
fn the_json_says_how_models_were_made() {
    let text = built(Kind::default(), "report.json");
    let (_, made) = text.split_once(",\n  \"curation\"").unwrap();
    let (first, _) = made.split_once("        },\n        {").unwrap();
    insta::assert_snapshot!(first, @r#"
    : [
        {
          "rated_by": "M0",
          "pairs": 56,
          "off_the_digits": null,
          "readings": [
            {
              "reading": "as in this run",
              "rating": {
                "point": 3.222641509433962,
                "lower": 3.0696060782465198,
                "upper": 3.3730818767234414,
                "n": 53
              },
              "kept": {
                "point": 0.35714285714285715,
                "lower": 0.24456571707649905,
                "upper": 0.48806112198600476,
                "n": 56
              },
              "changed": null
    "#);
    let (_, diversity) = made.split_once("\"diversity\"").unwrap();
    let (first, _) = diversity.split_once("    },\n    {").unwrap();
    insta::assert_snapshot!(first, @r#"
    : [
        {
          "set": "Seed",
          "instructions": 40,
          "distinct": 40,
          "words": 240,
          "sample_words": null,
          "distinct_bigrams": null,
          "unique_trigrams": null,
          "first_words": [
            {
              "word": "how",
              "share": {
                "point": 1.0,
                "lower": 0.9123783988027135,
                "upper": 1.0,
                "n": 40
              }
            }
          ]
    "#);
}

#[test]
fn what_other_readers_would_choose_and_how_varied_instructions_are() {
    let text = built(Kind::default(), "report.md");
    let table = |head: &str| -> String {
        let lines = text.lines().skip_while(|line| !line.starts_with(head));
        lines.take_while(|line| line.starts_with('|')).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(table("| Rated by | Read |"), @r#"
    | Rated by | Read | Pairs read | Mean rating | Kept | Fate changed |
    | --- | --- | ---: | ---: | ---: | ---: |
    | M0 | as in this run | 53 | 3.22 \[3.07, 3.37\] | 35.7% \[24.5, 48.8\], n = 56 |  |
    | M0 | last "Score: N" anywhere | 56 | 3.32 \[3.14, 3.49\] | 35.7% \[24.5, 48.8\], n = 56 | 10.7% \[5.0, 21.5\], n = 56 |
    | M0 | first "Score: D", any digit | 56 | 2.87 \[2.64, 3.12\] | 35.7% \[24.5, 48.8\], n = 56 | 35.7% \[24.5, 48.8\], n = 56 |
    | M0 | first digit from 1 to 5 | 56 | 2.77 \[2.56, 2.98\] | 35.7% \[24.5, 48.8\], n = 56 | 28.6% \[18.4, 41.5\], n = 56 |
    | M0 | last digit from 1 to 5 | 56 | 3.21 \[2.87, 3.54\] | 35.7% \[24.5, 48.8\], n = 56 | 39.3% \[27.6, 52.4\], n = 56 |
    | M1 | as in this run | 53 | 3.91 \[3.76, 4.05\] | 35.7% \[24.5, 48.8\], n = 56 |  |
    | M1 | last "Score: N" anywhere | 56 | 3.97 \[3.81, 4.11\] | 35.7% \[24.5, 48.8\], n = 56 | 10.7% \[5.0, 21.5\], n = 56 |
    | M1 | first "Score: D", any digit | 56 | 3.55 \[3.35, 3.77\] | 35.7% \[24.5, 48.8\], n = 56 | 25.0% \[15.5, 37.7\], n = 56 |
    | M1 | first digit from 1 to 5 | 56 | 3.36 \[3.14, 3.56\] | 35.7% \[24.5, 48.8\], n = 56 | 21.4% \[12.7, 33.8\], n = 56 |
    | M1 | last digit from 1 to 5 | 56 | 3.52 \[3.20, 3.81\] | 35.7% \[24.5, 48.8\], n = 56 | 42.9% \[30.8, 55.9\], n = 56 |
    "#);
    insta::assert_snapshot!(table("| Instructions of |"), @r#"
    | Instructions of | Count | Distinct | Words | Distinct bigrams | Unique trigrams | Begin with |
    | --- | ---: | ---: | ---: | ---: | ---: | --- |
    | Seed | 40 | 40 (100.0%) | 240 | n/a | n/a | how 100.0% |
    | Augmented, all | 56 | 56 (100.0%) | 448 | n/a | n/a | what 100.0% |
    | Curated, for M1 | 20 | 20 (100.0%) | 160 | n/a | n/a | what 100.0% |
    | Curated, for M2 | 20 | 20 (100.0%) | 160 | n/a | n/a | what 100.0% |
    "#);
}

#[test]
fn the_page_says_how_its_models_multiplied() {
    let run = fabricated::run(Kind::default());
    let has = |expected: &str| {
        build(run.path()).unwrap();
        let text = fs::read_to_string(run.path().join("report/report.md")).unwrap();
        assert!(text.contains(expected), "{text}");
    };
    has("Products on this device: int8 to answer, rate and judge, f32 to train");
    let provenance = run.path().join("provenance.json");
    let alike = fs::read_to_string(&provenance).unwrap();
    let apart = alike.replace(r#""models": "int8""#, r#""judge": "bf16", "models": "int8""#);
    fs::write(&provenance, apart).unwrap();
    has("Products on this device: bf16 to judge, int8 to answer and rate, f32 to train");
    fs::write(&provenance, alike).unwrap();
    let recipe = run.path().join("recipe.toml");
    let text = fs::read_to_string(&recipe).unwrap();
    let lora = "[finetune.lora]\nrank = 8\nalpha = 16.0\n\n[augment]";
    fs::write(&recipe, text.replace("[augment]", lora)).unwrap();
    has("int8 to answer, rate and judge and with what a training leaves as it is, f32 to train");
    has("adapters (LoRA) of rank 8, counted 2 times, of q");
}
