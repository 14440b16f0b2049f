//! Instruction backtranslation, run and evaluated.
//!
//! *Rows in, model asked, rows out; numbers from rows; pages from numbers.*
//!
//! ```text
//! corpus ──► segments ──► augment ──► pairs ──► curate ──► kept ─┐
//!                            ▲                    ▲              │
//! seed ──► backward model ───┘        seed ──► M0 ┘   seed + kept ──► M1 ──► ...
//!                                              │                      │
//!                                    generate, judge, report   generate, judge, report
//! ```
//!
//! The modules below stand in groups parted by blank lines. A module may use only modules of an
//! earlier group; `tests/tidy.rs` checks it. Stages never call each other: they meet in files.

// What crosses a stage boundary, and what long work tells its watcher.
pub mod record;
pub mod watch;

// Pure calculation; files; what to do; what is said to models.
pub mod prompt;
pub mod recipe;
pub mod sample;
pub mod stats;
pub mod store;

// Where files come from, and judgments that others wrote.
pub mod source;
pub mod exchange;

// The prompts that models are compared on.
pub mod eval_set;

// Tokens in, tokens out.
pub mod model;

// Text in, text out.
pub mod lm;

// The one shape that four stages share.
pub mod stage;

// The stages, in the order in which they run.
pub mod seed;
pub mod corpus;
pub mod finetune;
pub mod augment;
pub mod curate;
pub mod generate;
pub mod judge;

// From judgments, our own or others', to numbers.
pub mod scoring;

// From scores to a verdict.
pub mod gate;

// From rows to pages.
pub mod report;

// Pages for people at a browser: a run as it goes on, and answers that they compare.
pub mod serve;

// The loop of the paper: the only module that names two stages.
pub mod iterate;
