//! Bytes that wait in pipes and sockets, and contents of files without a name: told by their hash.

use std::collections::HashMap;

use serde_json::Value;

use crate::diff::decoded;
use crate::{Checkpoint, ImageSet};

/// Hashes of what waits, by the numbers that the dump has for it. What cannot be read is told by the
/// sections that count it.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pipes: HashMap<u64, String>,
    fifos: HashMap<u64, String>,
    queues: HashMap<u64, String>,
}

impl Waiting {
    /// Reads all of it.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let by = |image: &str, id: &str| -> HashMap<u64, String> {
            let mut all: HashMap<u64, String> = HashMap::new();
            for record in records(checkpoint, image) {
                let (Some(id), Some(extra)) = (record.get(id).and_then(Value::as_u64), record.get("extra"))
                else {
                    continue;
                };
                // A queue has a record for each packet.
                let all = all.entry(id).or_default();
                all.push_str(&extra.to_string());
            }
            all.values_mut().for_each(|text| *text = hash(text.as_bytes()));
            all
        };
        Self {
            pipes: by("pipes-data.img", "pipe_id"),
            fifos: by("fifo-data.img", "pipe_id"),
            queues: by("sk-queues.img", "id_for"),
        }
    }

    /// Adds hashes to an open file as the section of descriptors has it.
    pub fn add_to_file(&self, checkpoint: &Checkpoint, file: &mut Value) {
        for (kind, hashes) in [("pipe", &self.pipes), ("fifo", &self.fifos)] {
            let id = file.get(kind).and_then(|pipe| pipe.get("pipe_id")?.as_u64());
            put(file.get_mut(kind), id.and_then(|id| hashes.get(&id)).cloned());
        }
        let ghost = file.pointer_mut("/reg/removed/ghost");
        let image = ghost.as_ref().and_then(|ghost| ghost.get("image")?.as_str().map(str::to_owned));
        put(ghost, image.and_then(|image| ghost_content(checkpoint, &image)));
    }

    /// Adds hashes to a socket as the section of sockets has it.
    pub fn add_to_socket(&self, checkpoint: &Checkpoint, socket: &mut Value) {
        let number = |name: &str| socket.get(name).and_then(Value::as_u64);
        let queue = number("file_id").and_then(|id| self.queues.get(&id)).cloned();
        let has_stream = socket.pointer("/tcp/connection").is_some_and(Value::is_object);
        let stream = number("inode").filter(|_| has_stream).and_then(|inode| {
            let stream = records(checkpoint, &format!("tcp-stream-{inode:x}.img")).into_iter().next()?;
            let extra = stream.get("extra")?;
            let is_empty =
                ["inq", "outq"].iter().all(|queue| extra.get(*queue).is_none_or(|text| text == ""));
            (!is_empty).then(|| hash(extra.to_string().as_bytes()))
        });
        put(Some(socket), queue.or(stream));
    }
}

/// Content of a file without a name. Its first record has times and numbers of the host; what follows
/// that, or the records behind it, is the content.
fn ghost_content(checkpoint: &Checkpoint, image: &str) -> Option<String> {
    let records = records(checkpoint, image);
    let (first, chunks) = records.split_first()?;
    let text: String = first.get("extra").into_iter().chain(chunks).map(Value::to_string).collect();
    Some(hash(text.as_bytes()))
}

fn put(place: Option<&mut Value>, hash: Option<String>) {
    if let (Some(fields), Some(hash)) = (place.and_then(Value::as_object_mut), hash) {
        fields.insert("content_xxh3".to_owned(), hash.into());
    }
}

fn hash(bytes: &[u8]) -> String {
    format!("{:032x}", twox_hash::XxHash3_128::oneshot(bytes))
}

/// The records of an image; none if it is not there or cannot be read.
fn records(checkpoint: &Checkpoint, image: &str) -> Vec<Value> {
    match checkpoint.get(image) {
        Ok(Some(bytes)) if bytes.len() <= decoded::MAX_IMAGE => {
            decoded::entries(image, &bytes).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}
