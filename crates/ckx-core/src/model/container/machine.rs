//! CRIU and the machine that it ran on.

use ckx_criu::typed::messages::{CoreEntry, InventoryEntry, UtsnsEntry, core_entry::March};
use ckx_criu::{ByteOrder, Entry, Image};

use super::Machine;
use crate::load::Loader;
use crate::model::DumpLog;
use crate::{Checkpoint, ImageSet, Issue, Name};

pub(super) fn machine(checkpoint: &Checkpoint, log: &DumpLog, issues: &mut Vec<Issue>) -> Machine {
    let mut loader = Loader::new(checkpoint);
    let inventory = loader.first::<InventoryEntry>("inventory.img").ok();
    issues.extend(loader.into_issues());
    Machine {
        criu_version: log.version.clone(),
        criu_at_least: inventory.as_ref().filter(|_| log.version.is_none()).and_then(at_least),
        criu_git_id: log.git_id.clone(),
        img_version: inventory.as_ref().map(|inventory| inventory.img_version),
        host: log.host.clone(),
        kernel: log.kernel.clone(),
        architecture: architecture(checkpoint),
        lsm: inventory.and_then(|inventory| inventory.lsmtype).and_then(|number| match number {
            0 => Some("none"),
            1 => Some("selinux"),
            2 => Some("apparmor"),
            _ => None,
        }),
    }
}

/// The release that first wrote the newest field that is there.
fn at_least(inventory: &InventoryEntry) -> Option<&'static str> {
    let fields = [
        (inventory.allow_uprobes.is_some(), "4.2"),
        (inventory.dump_criu_run_id.is_some() || inventory.plugins_entry.is_some(), "4.1"),
        (inventory.network_lock_method.is_some(), "3.16"),
        (inventory.tcp_close.is_some(), "3.15"),
        (inventory.pre_dump_mode.is_some(), "3.14"),
        (inventory.dump_uptime.is_some(), "3.10"),
    ];
    fields.iter().find(|(is_there, _)| *is_there).map(|(_, release)| *release)
}

/// The architecture by the first core that tells it.
fn architecture(checkpoint: &Checkpoint) -> Option<&'static str> {
    let cores = checkpoint.image_members().filter(|(name, _)| name.starts_with(b"core-"));
    cores.take(MAX_CORES).find_map(|(name, _)| {
        let data = checkpoint.get(std::str::from_utf8(name).ok()?).ok()??;
        let image = Image::parse(name, &data).ok()?;
        let order = image.identity().order;
        let entry: Entry<'_> = image.entries().next()?.ok()?;
        uname(entry.decode::<CoreEntry>().ok()?.mtype(), order)
    })
}

/// Cores that are looked at for one that is whole.
const MAX_CORES: usize = 16;

/// What uname calls it.
fn uname(march: March, order: ByteOrder) -> Option<&'static str> {
    let is_little = matches!(order, ByteOrder::Little);
    Some(match march {
        March::Unknown => return None,
        March::X8664 => "x86_64",
        March::Arm => "arm",
        March::Aarch64 => "aarch64",
        March::Ppc64 if is_little => "ppc64le",
        March::Ppc64 => "ppc64",
        March::S390 => "s390x",
        March::Mips if is_little => "mipsel",
        March::Mips => "mips",
        March::Loongarch64 => "loongarch64",
        March::Riscv64 => "riscv64",
    })
}

/// The host name that the container had, from its own uts namespace.
pub(super) fn nodename(checkpoint: &Checkpoint) -> Option<Name> {
    let (name, _) = checkpoint.image_members().find(|(name, _)| name.starts_with(b"utsns-"))?;
    let mut loader = Loader::new(checkpoint);
    let records = loader.records_if_any::<UtsnsEntry>(std::str::from_utf8(name).ok()?).ok()?;
    let entry = records.entries.into_iter().next()?;
    (!entry.nodename.is_empty()).then(|| Name::from(entry.nodename))
}
