//! Files of a run: append-only rows that survive a kill, and the directory they live in.
//!
//! Knows nothing of models or stages.
mod gzip;
mod log;
mod replies;
mod run_dir;

pub(crate) use gzip::MAGIC as GZIP_MAGIC;
pub use gzip::read_unpacked;
pub use log::{Log, read, read_so_far, write, write_atomic};
pub use replies::{ModelSummary, Replies, Stored};
pub use run_dir::{Provenance, RunDir, SourceUsed, Stage};
