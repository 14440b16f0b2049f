//! Win rates corrected for the judge's errors, from a sample of prompts that people labelled too.
mod prediction_powered;
mod rogan_gladen;

pub use prediction_powered::{Corrected, ppi_plus_plus};
pub use rogan_gladen::{Count, ErrorFree, Refusal, rogan_gladen};
