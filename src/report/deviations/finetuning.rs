//! Where the trainings of a run differ from the paper's.
use super::{Note, Run, counted, words};
use crate::recipe::Finetune;

pub(super) fn of(run: &Run, note: &mut Note) {
    let finetune = &run.recipe.finetune;
    note(
        true,
        "Length of training",
        match finetune.epochs {
            1.0 => "1 epoch, whatever the number of pairs".into(),
            epochs => format!("{epochs} epochs, whatever the number of pairs"),
        },
        "a fixed number of steps for each size: 500 of 32 pairs for 3,200 pairs (5 epochs), 1,600 for 51,200 (1 epoch)",
    );
    let papers_batch = if counted(run, "seed").is_some_and(|n| n < 3_000) { 8 } else { 32 };
    note(
        finetune.batch_size != papers_batch,
        "Batch",
        words::counted(finetune.batch_size, "pair"),
        "32 pairs, or 8 below 3,000 pairs",
    );
    note(
        (finetune.learning_rate, finetune.final_learning_rate) != (1e-5, 9e-6),
        "Learning rate",
        format!("{:e} to {:e}, linear", finetune.learning_rate, finetune.final_learning_rate),
        "1e-5 to 9e-6, linear",
    );
    note(finetune.weight_decay != 0.1, "Weight decay", finetune.weight_decay.to_string(), "0.1");
    note(
        true,
        "Dropout",
        match finetune.dropout {
            0.0 => "not used".into(),
            rate => format!(
                "{rate}, of the outputs of attention and feed-forward layers; not of embeddings"
            ),
        },
        "0.1",
    );
    note(
        finetune.lora.is_some() || finetune.last_layers.is_some(),
        "Trained weights",
        trained_weights(finetune),
        "all",
    );
    note(
        finetune.held_out > 0,
        "Held out",
        format!("{}, for their loss", words::counted(finetune.held_out, "seed pair")),
        "not stated",
    );
    note(
        true,
        "Optimiser",
        format!(
            "AdamW with 0.9 and 0.95, no warm-up; gradient norm clipped at {}; examples of at most {} tokens",
            finetune.gradient_clip,
            words::count(finetune.max_tokens)
        ),
        "not stated",
    );
}

fn trained_weights(finetune: &Finetune) -> String {
    let layers = match finetune.last_layers {
        None => "all layers".into(),
        Some(1) => "the last layer alone".into(),
        Some(layers) => format!("the last {layers} layers alone"),
    };
    let Some(lora) = &finetune.lora else { return layers };
    let targets: Vec<String> = lora.targets.iter().map(|t| t.name().to_owned()).collect();
    let scale = lora.alpha / lora.rank as f64;
    format!(
        "adapters (LoRA) of rank {}, counted {scale} times, of {} of {layers}",
        lora.rank,
        words::list(&targets)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_trained_is_told_in_words() {
        let told = |keys: &str| trained_weights(&toml::from_str(keys).unwrap());
        assert_eq!(told("epochs = 1\nlast_layers = 8"), "the last 8 layers alone");
        assert_eq!(told("epochs = 1\nlast_layers = 1"), "the last layer alone");
        let lora = "[lora]\nrank = 8\nalpha = 16\ntargets = [\"q_proj\", \"v_proj\"]";
        assert_eq!(
            told(&format!("epochs = 1\n{lora}")),
            "adapters (LoRA) of rank 8, counted 2 times, of q_proj and v_proj of all layers"
        );
        assert!(
            told(&format!("epochs = 1\nlast_layers = 4\n{lora}")).ends_with("last 4 layers alone")
        );
    }
}
