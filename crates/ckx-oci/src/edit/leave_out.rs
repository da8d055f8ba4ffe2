//! Members that are left out, as long as the rest can be restored without them.

use ckx_core::Name;

use crate::Error;
use crate::plan::Plan;

/// What is in the directory of the images and not needed to restore them.
const SPARE: [&[u8]; 3] = [b".log", b"stats-dump", b"stats-restore"];

/// Leaves a member out, with what lies below it.
pub(super) fn apply(plan: &mut Plan, images: &[u8], member: &str) -> Result<(), Error> {
    let member = member.trim_start_matches("./").trim_matches('/');
    let names = plan.below(member.as_bytes());
    if member.is_empty() || names.is_empty() {
        return Err(Error::refused(format!("there is no member `{member}` to leave out"))
            .hinted("`ckx ls` lists the members of the source"));
    }
    if let Some((name, reason)) = names.iter().find_map(|name| Some((name, needed(images, name)?))) {
        return Err(Error::refused(format!("`{}` cannot be left out: {reason}", Name::from(name))));
    }
    let count = names.len();
    for name in names {
        plan.remove(&name);
    }
    let detail = match effect(member) {
        Some(effect) => effect.to_owned(),
        None if count > 1 => format!("with {} below it", count - 1),
        None => "it was asked for".to_owned(),
    };
    plan.note(member.as_bytes(), "dropped", detail);
    Ok(())
}

/// Why a member has to stay.
fn needed(images: &[u8], name: &[u8]) -> Option<&'static str> {
    match name {
        b"spec.dump" | b"config.dump" | b"status.dump" => return Some("engines restore nothing without it"),
        _ => {}
    }
    let inside = match name.strip_prefix(images) {
        Some(rest) if images.is_empty() => rest,
        Some([b'/', rest @ ..]) => rest,
        Some([]) => return Some("the images are in it"),
        // Earlier dumps of Podman lie beside the images.
        _ if name.ends_with(b".img") => return Some("it is an image of CRIU"),
        _ => return None,
    };
    let is_spare = SPARE.iter().any(|ending| inside.ends_with(ending));
    (!images.is_empty() && !is_spare || inside.ends_with(b".img"))
        .then_some("CRIU needs its images whole; pages are left out with --drop-zero-pages or --base")
}

/// What it means that a member is not there.
fn effect(member: &str) -> Option<&'static str> {
    Some(match member {
        "rootfs-diff.tar" => "the restored container has the files of its base image",
        "deleted.files" => "files that the container had deleted are there again",
        "devshm-checkpoint.tar" => "/dev/shm is empty after a restore",
        "volumes" => "volumes have to be there before a restore",
        "ctr.log" | "container.log" | "io.kubernetes.cri-o.LogPath" => "the log of the container begins anew",
        "stats-dump" | "checkpoint/stats-dump" => "nothing reads how long the dump took",
        "dump.log" | "checkpoint/dump.log" => "nothing reads the log of the dump",
        "network.status" => "addresses are given anew",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restore_needs_stays() {
        for name in ["spec.dump", "checkpoint", "checkpoint/pages-1.img", "checkpoint/descriptors.json"] {
            assert!(needed(b"checkpoint", name.as_bytes()).is_some(), "{name}");
        }
        assert!(needed(b"checkpoint", b"pre-checkpoint/pages-1.img").is_some());
        assert!(needed(b"", b"core-1.img").is_some());
        for name in ["rootfs-diff.tar", "dump.log", "checkpoint/stats-dump", "checkpoint/dump.log"] {
            assert_eq!(needed(b"checkpoint", name.as_bytes()), None, "{name}");
        }
        assert_eq!(needed(b"", b"dump.log"), None);
    }
}
