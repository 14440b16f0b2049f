//! How long judging and rating take on this machine: questions that begin alike, as a run asks them.
//!
//! `cargo run --release --example reading -- MODEL.gguf recipes/quickstart/seed.jsonl [TIMES]`: the
//! median of the seconds of each kind of question, over TIMES repetitions. The pairs are those of the
//! quickstart's seed; an answer is compared with its own first half, in both orders.
use std::{env, fs, path::Path, time::Instant};

use anyhow::Context;
use spyhop::{
    lm::{Ask, Lm, Request, Weights},
    model::{Message, Role, Sampling},
    prompt,
};

/// An instruction and its answer.
type Pair = (String, String);

#[expect(clippy::print_stdout, reason = "an example prints what it finds")]
fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [model, pairs, times @ ..] = &arguments[..] else {
        anyhow::bail!("expected MODEL.gguf SEED.jsonl [TIMES]");
    };
    let times: usize = times.first().map_or(Ok(3), |times| times.parse())?;
    let text = fs::read_to_string(pairs).with_context(|| pairs.clone())?;
    let pair = |line: &str| -> anyhow::Result<Pair> {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let field = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        Ok((field("instruction"), field("output")))
    };
    let pairs: Vec<Pair> = text.lines().map(pair).collect::<anyhow::Result<_>>()?;
    let lm = Lm::load(&Weights::Files(Path::new(model).to_owned()))?;
    let workloads = [
        ("40 ratings by probabilities", ratings(&pairs)),
        ("96 comparisons by probabilities", comparisons(&pairs)),
        ("96 likelihoods", likelihoods(&pairs)),
        ("40 ratings by 32 tokens of text", written_ratings(&pairs)),
    ];
    for (name, requests) in &workloads {
        let mut seconds = Vec::new();
        for _ in 0..times {
            let (began, mut hash) = (Instant::now(), blake3::Hasher::new());
            let mut replies = vec![None; requests.len()];
            lm.complete(requests, &mut |_| {}, &mut |index, reply| {
                replies[index] = Some(reply);
                Ok(())
            })?;
            seconds.push(began.elapsed().as_secs_f64());
            hash.update(format!("{replies:?}").as_bytes());
            if seconds.len() == times {
                seconds.sort_by(f64::total_cmp);
                let (least, most) = (seconds[0], seconds[times - 1]);
                let hash = hash.finalize().to_hex();
                let median = seconds[times / 2];
                println!("{name:<34} {median:>6.2} s [{least:.2}, {most:.2}]  {}", &hash[..12]);
            }
        }
    }
    Ok(())
}

fn ask(content: String, ask: Ask) -> Request {
    Request { messages: vec![Message::new(Role::User, content)], ask }
}

fn ratings(pairs: &[Pair]) -> Vec<Request> {
    let options: Vec<String> = ["1", "2", "3", "4", "5"].map(str::to_owned).into();
    let opening = prompt::RATING_OPENING.to_owned();
    let choice = Ask::Choice { opening, options };
    pairs[..40].iter().map(|(i, o)| ask(prompt::rate_at_once(i, o), choice.clone())).collect()
}

fn comparisons(pairs: &[Pair]) -> Vec<Request> {
    let options = prompt::VERDICTS.map(str::to_owned).into();
    let choice = Ask::Choice { opening: prompt::VERDICT_OPENING.to_owned(), options };
    let both = |(instruction, output): &Pair| {
        let half: String = output.chars().take(output.chars().count() / 2).collect();
        [
            ask(prompt::compare(instruction, output, &half), choice.clone()),
            ask(prompt::compare(instruction, &half, output), choice.clone()),
        ]
    };
    pairs[..48].iter().flat_map(both).collect()
}

fn likelihoods(pairs: &[Pair]) -> Vec<Request> {
    let both = |(instruction, output): &Pair| {
        let half = output.chars().take(output.chars().count() / 2).collect();
        [output.clone(), half].map(|reply| ask(instruction.clone(), Ask::Likelihood { reply }))
    };
    pairs[..48].iter().flat_map(both).collect()
}

fn written_ratings(pairs: &[Pair]) -> Vec<Request> {
    let text = |seed| Ask::Text {
        sampling: Sampling::new(0.7, 0.9, None),
        max_tokens: 32,
        seed,
        stop: Vec::new(),
    };
    let pairs = pairs[..40].iter().zip(0..);
    pairs.map(|((i, o), seed)| ask(prompt::rate(i, o), text(seed))).collect()
}
