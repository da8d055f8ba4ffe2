//! How engines refer to the base image.
//!
//! # Folklore
//!
//! CRI-O wants the id of the image, 64 digits, and has the image already. containerd wants a name with the
//! digest of a manifest, which it can pull, or an id of an image that is there. The id is the digest of
//! the configuration: neither follows from the other.

use crate::Error;
use crate::facts::{Engine, Facts, is_id, text};

/// The reference that an engine wants, from what the checkpoint tells or the user does.
pub(super) fn reference(facts: &Facts, engine: Engine, given: Option<&str>) -> Result<String, Error> {
    match (engine, given) {
        (Engine::Containerd, Some(given)) => match given.split_once('@') {
            Some((name, digest)) if !name.is_empty() && is_digest(digest) => Ok(given.to_owned()),
            _ if is_digest(given) => Ok(given.to_owned()),
            _ => Err(Error::refused(format!("containerd cannot pull `{given}`"))
                .hinted("name the base image as NAME@sha256:DIGEST, with the digest of its manifest")),
        },
        (Engine::Containerd, None) => Ok(for_containerd(facts).unwrap_or_default()),
        (Engine::CriO | Engine::Podman, Some(given)) => {
            let id = given.strip_prefix("sha256:").unwrap_or(given);
            if is_id(id) {
                return Ok(id.to_owned());
            }
            Err(Error::refused(format!("`{given}` is no id of an image"))
                .hinted("name the base image by its id: 64 digits, as `crictl images --no-trunc` shows"))
        }
        (Engine::CriO | Engine::Podman, None) => Ok(id(facts).unwrap_or_default()),
    }
}

/// Whether containerd can pull by this reference.
pub(super) fn is_pullable(reference: &str) -> bool {
    reference.split_once('@').is_some_and(|(name, digest)| !name.is_empty() && is_digest(digest))
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(is_id)
}

fn for_containerd(facts: &Facts) -> Option<String> {
    let told = facts.base_reference().filter(|told| is_pullable(told));
    told.or_else(|| {
        let digests = facts.annotation("io.kubernetes.cri-o.ImageRepoDigests")?;
        digests.split([',', ' ']).find(|each| is_pullable(each)).map(str::to_owned)
    })
    .or_else(|| Some(format!("sha256:{}", id(facts)?)))
}

/// The id of the base image.
pub(super) fn id(facts: &Facts) -> Option<String> {
    facts.base_id().or_else(|| {
        let told = text(facts.status.get("image_id")?)?;
        let digits = told.strip_prefix("sha256:").unwrap_or(&told);
        is_id(digits).then(|| digits.to_owned())
    })
}
