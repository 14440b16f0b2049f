//! A judge that can be asked, wherever it is: the one thing that compares two models' answers.
use std::path::Path;

use super::{Court, Judged, Orders, Until, configured, run};
use crate::{
    lm::{Lm, Weights, api::Provider},
    recipe::{JudgeMethod, Products},
    record::{Completion, content_id},
    watch::Watch,
};

/// Weights on this machine, or a model behind servers.
#[derive(Debug)]
pub enum Seated {
    Local { weights: Weights, sha256: String, method: JudgeMethod, products: Products },
    Remote(Box<(configured::Judge, Provider)>),
}

impl Seated {
    /// Identifies its judgments: by weights, or by prompt, sampling, parser and server.
    pub fn identity(&self) -> String {
        match self {
            Self::Local { sha256, method, products, .. } => {
                content_id(&[sha256, &format!("{method:?} {products:?}")])
            }
            Self::Remote(remote) => content_id(&[&remote.0.hash(), &remote.1.server]),
        }
    }

    /// Compares every prompt of the candidate, into `out`; behind a server with `until` only until that
    /// says that it is enough.
    ///
    /// # Errors
    /// When the baseline lacks a prompt, the judge cannot go on, or `out` cannot be read or written. A
    /// question that got no reply from a server is none.
    pub fn compare(
        &self,
        candidates: &[Completion],
        baselines: &[Completion],
        until: Option<Until>,
        out: &Path,
        watch: Watch,
    ) -> anyhow::Result<Judged> {
        match self {
            Self::Local { weights, method, products, .. } => {
                let load = || Lm::load_with(weights, *products);
                run(load, candidates, baselines, *method, out, watch)?;
                Ok(Judged::default())
            }
            Self::Remote(remote) => {
                let (judge, provider) = &**remote;
                let court = Court { judge, provider, orders: Orders::Both, sample: 0 };
                court.run(candidates, baselines, until, out, watch)
            }
        }
    }
}
