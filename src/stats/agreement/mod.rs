//! How far raters agree, raw and beyond chance: a judge with people, or people with one another.
mod cohen;
mod krippendorff;

pub use cohen::{cohens_kappa, raw_agreement};
pub use krippendorff::{Scale, krippendorff_alpha};
