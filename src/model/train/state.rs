//! The file from which a killed training goes on.
use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write as _},
    path::Path,
};

use anyhow::Context;

use super::optimiser::Optimiser;

const MAGIC: &[u8; 16] = b"spyhop training1";

/// Writes what is trained and the optimiser beside the old state, then takes its place.
pub(super) fn write_state(
    path: &Path,
    fingerprint: &[u8; 32],
    weights: &[f32],
    optimiser: &Optimiser,
) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(&partial)?);
        file.write_all(MAGIC)?;
        file.write_all(fingerprint)?;
        file.write_all(&optimiser.steps.to_le_bytes())?;
        for values in [weights, &optimiser.mean, &optimiser.square] {
            file.write_all(bytemuck::cast_slice(values))?;
        }
        file.into_inner()?.sync_data()?;
        fs::rename(&partial, path)
    };
    write().with_context(|| {
        format!("cannot write the training state {} (is the disk full?)", path.display())
    })
}

/// Restores a state if there is one; returns the number of steps it has behind it.
pub(super) fn read_state(
    path: &Path,
    fingerprint: &[u8; 32],
    weights: &mut [f32],
    optimiser: &mut Optimiser,
) -> anyhow::Result<usize> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        file => file.with_context(|| format!("cannot open {}", path.display()))?,
    };
    let read = || -> anyhow::Result<()> {
        let mut file = BufReader::new(file);
        let (mut head, mut steps) = ([0; 48], [0; 8]);
        file.read_exact(&mut head)?;
        anyhow::ensure!(
            head[..16] == *MAGIC && head[16..] == *fingerprint,
            "it belongs to another training"
        );
        file.read_exact(&mut steps)?;
        optimiser.steps = u64::from_le_bytes(steps);
        for values in [weights, &mut optimiser.mean, &mut optimiser.square] {
            file.read_exact(bytemuck::cast_slice_mut(values))?;
        }
        Ok(())
    };
    read().with_context(|| {
        format!("cannot go on from {}; delete it to train from the start", path.display())
    })?;
    Ok(optimiser.steps as usize)
}
