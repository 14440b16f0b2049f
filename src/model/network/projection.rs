//! What the families do with queries, keys and values.
use super::Weights;
use crate::model::ops::{Rotation, add_bias, norm_parts};

impl Weights {
    /// Makes of a layer's products its queries, keys and values: with the family's biases, norms of heads,
    /// and rotation to their positions, in this order.
    pub(in crate::model) fn place(
        &self,
        layer: usize,
        rotation: &Rotation,
        positions: &[u32],
        [query, key, value]: [&mut [f32]; 3],
    ) {
        let (config, layout) = (&self.config, &self.layout.layers[layer]);
        if let Some(biases) = &layout.biases {
            for (rows, bias) in [&mut *query, &mut *key, value].into_iter().zip(biases) {
                add_bias(rows, &self.data[bias.clone()]);
            }
        }
        if let Some(norms) = &layout.head_norms {
            for (rows, norm) in [&mut *query, &mut *key].into_iter().zip(norms) {
                norm_parts(rows, &self.data[norm.clone()], config.rms_epsilon);
            }
        }
        if config.family.rotates(layer) {
            rotation.apply(query, positions, false);
            rotation.apply(key, positions, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{
        Architecture, Config, Family, Generation, Model, Scaling,
        network::Pass,
        tests::{CONFIG, chat, check_gradients, generate, sequence, weights},
    };

    /// Small models of every family.
    fn families() -> Vec<Model> {
        let scaling = Scaling {
            factor: 8.0,
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_context: 64,
        };
        let families = [
            Family { scaling: Some(scaling), ..Family::LLAMA },
            Family { architecture: Architecture::Mistral, window: Some(9), ..Family::LLAMA },
            Family { architecture: Architecture::Qwen2, ..Family::LLAMA },
            Family { architecture: Architecture::Qwen3, ..Family::LLAMA },
            Family { architecture: Architecture::SmolLm3, unrotated: vec![1], ..Family::LLAMA },
        ];
        let model = |family| Model { weights: weights(&Config { family, ..CONFIG }), chat: chat() };
        families.map(model).into()
    }

    #[test]
    fn every_family_decodes_with_a_cache_as_without_and_comes_back_from_disk() {
        for model in families() {
            let name = format!("{:?}", model.weights.config.family);
            let mut ids = sequence(4, 67);
            let request =
                Generation { prompt: ids.clone(), max_tokens: 30, ..Generation::default() };
            let reply = &generate(&model, &[request])[0];
            assert!(!reply.ids.is_empty());
            for &id in &reply.ids {
                let best = model.best_next(&ids, 2);
                assert!(best[0].0 == id || best[0].1 - best[1].1 < 1e-4, "{name}: {id} {best:?}");
                ids.push(id);
            }
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("model");
            model.save(&path).unwrap();
            let again = Model::load(&path).unwrap();
            assert_eq!(again.weights.config, model.weights.config);
            assert!(again.weights.data == model.weights.data, "{name}");
            // No two families say the same.
            let plain = Model { weights: weights(&CONFIG), chat: chat() };
            assert_ne!(plain.best_next(&ids, 3), model.best_next(&ids, 3), "{name}");
        }
    }

    #[test]
    fn gradients_of_every_family_that_is_trained_equal_finite_differences() {
        let trained = families().into_iter().map(|model| model.weights);
        for mut weights in trained.filter(|w| w.config.family.check_training().is_ok()) {
            let tensors = weights.layout.tensors.iter();
            let parts: Vec<_> = tensors.map(|t| (t.name.clone(), t.at.clone())).collect();
            let mut pass = Pass::training(&weights.config, None);
            check_gradients(&mut weights, &mut pass, &parts);
        }
    }

    #[test]
    fn a_window_hides_what_lies_farther_back() {
        let family =
            Family { architecture: Architecture::Mistral, window: Some(9), ..Family::LLAMA };
        let model = Model { weights: weights(&Config { family, ..CONFIG }), chat: chat() };
        // Through two layers, a token sees 2 * 8 tokens back.
        let reach = 16;
        for length in [30, 70, 140] {
            let ids = sequence(3, length);
            let changed = |at: usize| {
                let mut ids = ids.clone();
                ids[at] = 3 + (ids[at] - 2) % 37;
                ids
            };
            let best = model.best_next(&ids, 40);
            assert_eq!(model.best_next(&changed(length - 1 - reach - 1), 40), best, "{length}");
            assert_ne!(model.best_next(&changed(length - 1 - reach), 40), best, "{length}");
            // With a cache, too.
            let reply = |prompt| {
                let request = Generation { prompt, max_tokens: 12, ..Generation::default() };
                generate(&model, &[request]).remove(0)
            };
            assert_eq!(reply(changed(length - 1 - reach - 1)), reply(ids.clone()));
        }
    }
}
