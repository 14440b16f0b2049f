//! The operations of a Llama on `f32` rows, each with its backward pass.
//!
//! Rows are tokens. Buffers belong to the caller and are reused from step to step, so a step
//! asks the system for no fresh memory. Nothing here knows of layers or models.
mod matrix;
mod packed;
mod rows;
mod vectors;

pub(super) use matrix::{
    Cores, Matrix, Write, linear, linear_input_gradient, linear_weight_gradient, multiply,
};
pub(super) use packed::{Format, PackedMatrix, linear_all, weight_gradient};
pub(super) use rows::{
    Rotation, add_bias, norm_parts, rms_norm, rms_norm_backward, swiglu, swiglu_backward,
};
pub(super) use vectors::{softmax, sum, wide};
