//! Checkpoints in Hugging Face layout, written so that `transformers` loads them, and read back.
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::Context;
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo, TensorView},
};
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::{
    chat::Chat,
    config::Config,
    layout::{Layout, Tensor},
    network::Weights,
};

/// Writes `config.json`, `generation_config.json`, `tokenizer.json`, `tokenizer_config.json`,
/// `chat_template.jinja` and `model.safetensors`. The directory appears whole or not at all.
pub(super) fn save(path: &Path, weights: &Weights, chat: &Chat) -> anyhow::Result<()> {
    write_whole(path, |partial| {
        let json = |name: &str, value: &Value| write_json(&partial.join(name), value);
        json("config.json", &weights.config.to_json(chat.begin, chat.end))?;
        let stops = match chat.stops[..] {
            [end] => json!(end),
            ref several => json!(several),
        };
        json(
            "generation_config.json",
            &json!({ "bos_token_id": chat.begin, "eos_token_id": stops }),
        )?;
        let token = |id: Option<u32>| id.and_then(|id| chat.tokenizer.id_to_token(id));
        json(
            "tokenizer_config.json",
            &json!({
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": token(chat.begin),
                "eos_token": token(Some(chat.end)),
                "chat_template": chat.template,
                "clean_up_tokenization_spaces": false,
                "model_max_length": weights.config.context,
            }),
        )?;
        fs::write(partial.join("chat_template.jinja"), &chat.template)?;
        chat.tokenizer
            .save(partial.join("tokenizer.json"), false)
            .map_err(anyhow::Error::from_boxed)?;
        save_weights(&partial.join("model.safetensors"), weights)
    })
}

fn save_weights(path: &Path, weights: &Weights) -> anyhow::Result<()> {
    let mut views = Vec::new();
    for tensor in &weights.layout.tensors {
        let shape = match tensor.is_norm {
            true => vec![tensor.columns],
            false => vec![tensor.rows, tensor.columns],
        };
        let bytes = bytemuck::cast_slice(&weights.data[tensor.at.clone()]);
        views.push((tensor.name.clone(), TensorView::new(Dtype::F32, shape, bytes)?));
    }
    write_tensors(path, views)
}

/// Has `write` fill a directory beside `path`, which then takes its place.
pub(super) fn write_whole(
    path: &Path,
    write: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    let replace = || -> anyhow::Result<()> {
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(&partial)?;
        write(&partial)?;
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
        fs::rename(&partial, path)?;
        Ok(())
    };
    replace().with_context(|| {
        format!("cannot write the checkpoint {} (is the disk full?)", path.display())
    })
}

pub(super) fn write_json(path: &Path, value: &Value) -> anyhow::Result<()> {
    Ok(fs::write(path, serde_json::to_string_pretty(value)? + "\n")?)
}

/// Writes a safetensors file, and waits until it is on the disk.
pub(super) fn write_tensors(path: &Path, tensors: Vec<(String, TensorView)>) -> anyhow::Result<()> {
    // transformers refuses a file that does not say who may read it.
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(tensors, Some(metadata), path)?;
    Ok(File::open(path)?.sync_data()?)
}

/// Reads a checkpoint, its weights as `f32` whatever type they are stored in.
///
/// # Errors
/// When a file is missing or cut short, or the model is not supported: the message names the file.
pub(super) fn load(directory: &Path) -> anyhow::Result<(Weights, Chat)> {
    let json = |name: &str| -> anyhow::Result<Value> {
        let path = directory.join(name);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    };
    let config_json = json("config.json")?;
    let config = Config::from_json(&config_json)
        .with_context(|| directory.join("config.json").display().to_string())?;
    let tokenizer_path = directory.join("tokenizer.json");
    let tokenizer = Tokenizer::from_file(&tokenizer_path)
        .map_err(anyhow::Error::from_boxed)
        .with_context(|| format!("cannot read {}", tokenizer_path.display()))?;
    let tokenizer_config = match directory.join("tokenizer_config.json").exists() {
        true => json("tokenizer_config.json")?,
        false => Value::Null,
    };
    let template = match fs::read_to_string(directory.join("chat_template.jinja")) {
        Ok(template) => template,
        // Some have several templates by name, of which the first is for talk.
        Err(_) => tokenizer_config["chat_template"]
            .as_str()
            .or(tokenizer_config["chat_template"][0]["template"].as_str())
            .with_context(|| {
                format!(
                    "{} has no chat template: choose an instruction-tuned model",
                    directory.display()
                )
            })?
            .to_owned(),
    };
    // A chat model's turn ends with the tokenizer's end token, which may differ from the config's.
    let name = |key: &str| {
        let value = &tokenizer_config[key];
        value.as_str().or(value["content"].as_str()).and_then(|name| tokenizer.token_to_id(name))
    };
    // One number, or a list of them.
    let ids = |value: &Value| -> Vec<u32> {
        let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        all.iter().filter_map(|id| u32::try_from(id.as_u64()?).ok()).collect()
    };
    let id = |key: &str| ids(&config_json[key]).first().copied();
    let end = name("eos_token").or(id("eos_token_id")).with_context(|| {
        format!("{} names no end-of-turn token (eos_token)", directory.display())
    })?;
    let begin = name("bos_token").or(id("bos_token_id"));
    let generation = match directory.join("generation_config.json").exists() {
        true => json("generation_config.json")?,
        false => Value::Null,
    };
    let stops = [&config_json, &generation].map(|config| ids(&config["eos_token_id"])).concat();
    let chat = Chat::new(tokenizer, template, begin, end)?.stopping_at(stops);
    let layout = Layout::new(&config);
    layout.ensure_fits().with_context(|| directory.display().to_string())?;
    let files = weight_files(directory)?;
    let mut shards: BTreeMap<&Path, Shard> = BTreeMap::new();
    for tensor in &layout.tensors {
        let file = files.of(tensor, directory)?;
        if !shards.contains_key(file) {
            shards.insert(file, Shard::open(file)?);
        }
    }
    let data = layout.filled(|tensor, target| {
        let file = files.of(tensor, directory)?;
        shards[file].read(tensor, target).with_context(|| file.display().to_string())
    })?;
    Ok((Weights { config, layout, data, rounded: None }, chat))
}

/// Where each tensor lies.
enum Files {
    One(PathBuf),
    Sharded(BTreeMap<String, PathBuf>),
}

impl Files {
    fn of(&self, tensor: &Tensor, directory: &Path) -> anyhow::Result<&Path> {
        match self {
            Self::One(path) => Ok(path),
            Self::Sharded(map) => map
                .get(&tensor.name)
                .map(PathBuf::as_path)
                .with_context(|| format!("{}: no tensor {}", directory.display(), tensor.name)),
        }
    }
}

fn weight_files(directory: &Path) -> anyhow::Result<Files> {
    let index = directory.join("model.safetensors.index.json");
    if !index.exists() {
        return Ok(Files::One(directory.join("model.safetensors")));
    }
    let index: Value = serde_json::from_str(&fs::read_to_string(&index)?)
        .with_context(|| index.display().to_string())?;
    let map = index["weight_map"].as_object().context("the index has no weight_map")?;
    let entry =
        |(name, file): (&String, &Value)| Some((name.clone(), directory.join(file.as_str()?)));
    Ok(Files::Sharded(map.iter().filter_map(entry).collect()))
}

/// One safetensors file, read a tensor at a time so that memory holds the weights only once.
struct Shard {
    file: Mutex<File>,
    start: u64,
    tensors: BTreeMap<String, TensorInfo>,
}

impl Shard {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let open = || -> anyhow::Result<Self> {
            let mut file = File::open(path)?;
            let length = file.metadata()?.len();
            let mut size = [0; 8];
            file.read_exact(&mut size).context("the file is cut short")?;
            let size = u64::from_le_bytes(size);
            anyhow::ensure!(8 + size <= length, "the file is cut short or no safetensors file");
            let mut head = vec![0; size as usize];
            file.read_exact(&mut head)?;
            let metadata: Metadata =
                serde_json::from_slice(&head).context("its head is damaged")?;
            let tensors = metadata.tensors().into_iter();
            let tensors: BTreeMap<_, _> =
                tensors.map(|(name, info)| (name, info.clone())).collect();
            let end = tensors.values().map(|info| info.data_offsets.1).max().unwrap_or(0) as u64;
            let needed = 8 + size + end;
            anyhow::ensure!(
                length >= needed,
                "the file is cut short: {length} bytes, but its weights need {needed}"
            );
            Ok(Self { file: Mutex::new(file), start: 8 + size, tensors })
        };
        open().with_context(|| format!("cannot read {}", path.display()))
    }

    fn read(&self, tensor: &Tensor, target: &mut [f32]) -> anyhow::Result<()> {
        let name = &tensor.name;
        let info = self.tensors.get(name).with_context(|| format!("no tensor {name}"))?;
        tensor.check_shape(name, &info.shape)?;
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.start + info.data_offsets.0 as u64))?;
        file.read_exact(&mut bytes)?;
        drop(file);
        let pairs = bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
        match info.dtype {
            Dtype::F32 => {
                for (target, four) in target.iter_mut().zip(bytes.chunks_exact(4)) {
                    *target = f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
                }
            }
            Dtype::F16 => {
                for (target, pair) in target.iter_mut().zip(pairs) {
                    *target = half::f16::from_le_bytes(pair).to_f32();
                }
            }
            Dtype::BF16 => {
                for (target, pair) in target.iter_mut().zip(pairs) {
                    *target = half::bf16::from_le_bytes(pair).to_f32();
                }
            }
            other => anyhow::bail!("tensor {name} is stored as {other:?}, which is not supported"),
        }
        tensor.check_values(name, target)
    }
}
