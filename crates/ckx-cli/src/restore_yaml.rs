//! The pod manifest of `ckx repack --restore-yaml`, and what people are told about it.

use std::path::Path;

use ckx_core::{Checkpoint, Name};
use ckx_oci::destination::write_file;
use ckx_oci::pod::{Restore, restore};

use crate::error::CliError;
use crate::ui::Ui;

/// Writes the manifest that restores `image`, and tells what is to be known about it.
pub fn write(checkpoint: &Checkpoint, image: &str, path: &Path, ui: &mut Ui) -> Result<(), CliError> {
    let restore = restore(checkpoint, image);
    let text = text(&restore, image)?;
    write_file(path, text.as_bytes())?;
    for mount in &restore.mounts {
        ui.note(&format!("the pod must declare the mount {}: {}", shown(&mount.path), shown(&mount.about)));
    }
    for note in &restore.notes {
        ui.note(&shown(note));
    }
    let open = restore.mounts.iter().filter(|mount| mount.is_open).count();
    if open > 0 {
        let what = if open == 1 { "volume" } else { "volumes" };
        ui.warn(
            &format!("`{}` has {open} {what} to be filled in before it can be used", path.display()),
            Some("the comments at its top say which"),
        );
    }
    Ok(())
}

fn text(restore: &Restore, image: &str) -> Result<String, CliError> {
    let mut lines = vec![format!("Restores the checkpoint in {}.", shown(image))];
    lines.extend(restore.notes.iter().map(|note| format!("- {}", shown(note))));
    if restore.mounts.is_empty() {
        lines.push("The container has no mounts but those that each one has.".to_owned());
    } else {
        lines.push("Mounts of the container, which the pod must declare:".to_owned());
    }
    for mount in &restore.mounts {
        let mark = if mount.is_open { " FILL IN" } else { "" };
        lines.push(format!("- {}: {}{mark}", shown(&mount.path), shown(&mount.about)));
    }
    let body = serde_saphyr::to_string(&restore.pod)
        .map_err(|error| CliError::new("the pod manifest cannot be written").because(error))?;
    let comments: String = lines.iter().map(|line| format!("# {line}\n")).collect();
    Ok(comments + &body)
}

/// Text of a checkpoint: on one line, and without what a terminal takes for a command.
fn shown(text: &str) -> String {
    Name::from(text.as_bytes()).to_string()
}
