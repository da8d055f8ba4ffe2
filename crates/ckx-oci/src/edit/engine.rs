//! Checkpoints for one engine: what it needs, and what has to be otherwise when another one made it.

use std::fmt::Write as _;

use super::documents::Documents;
use super::{base_image, containerd, crio};
use crate::Error;
use crate::facts::{Engine, Facts};
use crate::plan::Plan;
use crate::repack::Warning;

/// Files without which engines refuse a checkpoint, and what is lost without each.
const REQUIRED: [(&[u8], &str); 3] = [
    (b"spec.dump", "no engine restores it"),
    (b"config.dump", "no engine restores it"),
    (b"checkpoint/inventory.img", "CRIU restores nothing"),
];

/// Only containerd writes it, and other engines do without.
const REQUIRED_OF_CONTAINERD: (&[u8], &str) = (b"status.dump", "containerd does not restore it");

/// Makes a checkpoint one of an engine.
pub(super) fn translate(
    plan: &mut Plan,
    documents: &mut Documents,
    facts: &Facts,
    engine: Engine,
    base: Option<&str>,
) -> Result<(), Error> {
    let from = facts.engine.ok_or_else(|| {
        Error::refused(format!("{} restores only containers, and this describes none", engine.name()))
            .hinted("spec.dump and config.dump of a container engine are missing")
    })?;
    match (from, engine) {
        (from, to) if from == to => {}
        (Engine::CriO, Engine::Containerd) => containerd::of_crio(plan, documents, facts, base)?,
        (Engine::Containerd, Engine::CriO) => crio::of_containerd(plan, documents, facts)?,
        (_, Engine::Podman) => {
            return Err(Error::refused(format!(
                "Podman restores only its own checkpoints, and {} made this one: config.dump has to be Podman's whole configuration",
                from.name()
            )));
        }
        (_, to) => {
            return Err(Error::refused(format!(
                "{} cannot restore a checkpoint of Podman: the images hold the mounts and cgroups that Podman set up, and no pod is described",
                to.name()
            ))
            .hinted("restore it with Podman, or checkpoint the container in Kubernetes"));
        }
    }
    refer_to_base(plan, documents, facts, engine, base)
}

/// Puts the reference to the base image into the form of the engine.
fn refer_to_base(
    plan: &mut Plan,
    documents: &mut Documents,
    facts: &Facts,
    engine: Engine,
    base: Option<&str>,
) -> Result<(), Error> {
    let key = if engine == Engine::Podman { "rootfsImageID" } else { "rootfsImageRef" };
    let before = facts.config(key).unwrap_or_default();
    let after = base_image::reference(facts, engine, base)?;
    if after == before {
        return Ok(());
    }
    documents.open(plan, "config.dump")?.set(key, &after);
    let mut detail = format!("{key} is ");
    match after.as_str() {
        "" => detail.push_str("empty, so that the name counts"),
        some => detail.push_str(some),
    }
    let _ = write!(detail, ", {} before", if before.is_empty() { "nothing" } else { &before });
    plan.note(b"config.dump", "rewritten", detail);
    Ok(())
}

/// Refuses what the engine that was asked for certainly does not restore.
pub(super) fn refuse_without(plan: &Plan, facts: &Facts, engine: Engine) -> Result<(), Error> {
    let found = needs(plan, facts, Some(engine)).into_iter().find(|need| need.code.starts_with("missing-"));
    match found {
        Some(need) => Err(Error::refused(need.reason)
            .hinted("without --target the image is made all the same, and this is a warning")),
        None => Ok(()),
    }
}

/// What an engine will miss in a checkpoint.
pub(crate) fn needs(plan: &Plan, facts: &Facts, engine: Option<Engine>) -> Vec<Warning> {
    let own = (engine == Some(Engine::Containerd)).then_some(REQUIRED_OF_CONTAINERD);
    let absent = REQUIRED.into_iter().chain(own).filter(|(name, _)| plan.get(name).is_none());
    let warning = |(name, who): (&[u8], &str)| Warning {
        code: "missing-file",
        reason: format!("there is no {}: {who}", String::from_utf8_lossy(name)),
    };
    let mut found: Vec<Warning> = absent.map(warning).collect();
    let more = match engine {
        Some(Engine::CriO) => crio::needs(facts),
        Some(Engine::Containerd) => containerd::needs(facts),
        Some(Engine::Podman) => volumes(plan, facts),
        None => Vec::new(),
    };
    found.extend(more);
    found
}

/// Volumes that Podman makes anew need what was in them.
fn volumes(plan: &Plan, facts: &Facts) -> Vec<Warning> {
    let list = facts.config.get("namedVolumes").and_then(|list| list.as_array()).into_iter().flatten();
    let names = list.filter_map(|volume| volume.get("volumeName")?.as_str());
    let absent = names.filter(|name| plan.get(format!("volumes/{name}.tar").as_bytes()).is_none());
    absent
        .map(|name| Warning {
            code: "no-volume",
            reason: format!(
                "there is no volumes/{}.tar: Podman restores only with --ignore-volumes",
                ckx_core::Name::from(name.as_bytes())
            ),
        })
        .collect()
}
