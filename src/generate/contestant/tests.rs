use super::*;
use crate::record::Finish;

#[test]
fn every_built_in_baseline_can_be_read() {
    let all: Vec<Contestant> = built_in().collect();
    assert_eq!(all.len(), BUILT_IN.len());
    for baseline in all {
        let sources = baseline.outputs.iter();
        for source in sources.chain(baseline.finetuned.as_ref().map(|pairs| &pairs.source)) {
            assert!(source.sha256.is_some(), "{}: a download needs a checksum", baseline.name);
        }
        assert!(baseline.published.iter().all(|figure| figure.win_rate < 100.0));
    }
}

#[test]
fn mistakes_in_a_contestants_file_are_named() {
    let check = |text: &str, expected: &str| {
        let error = Contestant::parse(text).unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    };
    check("name = \"a\"", "expected one of outputs, endpoint, weights and finetuned");
    let both = "name = \"a\"\n[outputs]\nfrom = []\n[endpoint]\nmodel = \"m\"";
    check(both, "found 2");
    check("name = \" \"\n[endpoint]\nmodel = \"m\"", "name is empty");
    check("name = \"a\"\n[endpoint]\nmodel = \"m\"\nkey = \"k\"", "unknown field `key`");
    let cold = "name = \"a\"\n[endpoint]\nmodel = \"m\"\n[settings]\ntemperature = -1";
    check(cold, "expected a temperature");
    let ask = |keys: &str| format!("name = \"a\"\n[endpoint]\nmodel = \"m\"\nprompt = {keys}");
    check(&ask("\"Answer.\""), "endpoint.prompt has no {instruction}");
    let system = ask("\"Q: {instruction}\\nA:\"\n[settings]\nsystem = \"Be brief.\"");
    check(&system, "no place beside endpoint.prompt");
    let price = "\nprice = { prompt = -1, completion = 0 }";
    check(&format!("name = \"a\"\n[endpoint]\nmodel = \"m\"{price}"), "price.prompt = -1");
}

#[test]
fn answers_are_found_by_id_or_by_their_prompt() {
    let answer = |id: &str, instruction: &str| Completion {
        id: id.into(),
        instruction: instruction.into(),
        output: format!("on {instruction}"),
        generator: "g".into(),
        dataset: "of the file".into(),
        finish: Finish::Stop,
    };
    let prompt = |id: &str, instruction: &str| Prompt {
        id: id.into(),
        instruction: instruction.into(),
        dataset: "of the set".into(),
    };
    let answers = vec![answer("x", "one"), answer(&content_id(&["two"]), "two")];
    let found = select(answers.clone(), &[prompt("p2", "two"), prompt("x", "one")]).unwrap();
    let rows: Vec<_> = found.iter().map(|row| (row.id.as_str(), row.output.as_str())).collect();
    assert_eq!(rows, [("p2", "on two"), ("x", "on one")]);
    assert!(found.iter().all(|row| row.dataset == "of the set"));
    // The same id with another text is another prompt.
    let error = select(answers, &[prompt("x", "one more"), prompt("y", "three")]).unwrap_err();
    assert!(error.to_string().contains("no answer to 2 of 2 prompts"), "{error}");
}
