//! Memory that belongs together: the pages of one page map, and whose they are.

use std::sync::Arc;

use serde::Serialize;

use super::chain::Chain;
use super::space::AddressSpace;
use crate::model::Process;
use crate::model::mappings::{Backing, Mapping};
use crate::{Address, Name};

/// The pages of one page map: the private ones of a process, or those of a shared object.
#[derive(Debug)]
pub struct Area {
    /// Whose they are.
    pub owner: Owner,
    /// Where they are.
    pub(super) chain: Arc<Chain>,
    /// The mappings of the owner; of an object those that show it, as processes have them.
    shown: Shown,
}

/// Whose memory it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Of a process alone. Addresses are its own.
    Process {
        /// The process.
        pid: u32,
        /// Its name.
        comm: Option<Name>,
    },
    /// Of a shared object, whoever maps it. Addresses are offsets in it.
    Object {
        /// Its number.
        shmid: u64,
    },
}

#[derive(Debug)]
enum Shown {
    Process(Arc<AddressSpace>),
    Object(Vec<(u32, Mapping)>),
}

/// A place in the memory of a process.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Place {
    /// The process.
    pub pid: u32,
    /// The address there.
    pub address: Address,
    /// First address of the mapping that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping_start: Option<Address>,
    /// `r-xp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
    /// Path of its file, or what the kernel calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Name>,
}

impl Place {
    fn new(pid: u32, address: u64, mapping: Option<&Mapping>) -> Self {
        Self {
            pid,
            address: Address(address),
            mapping_start: mapping.map(|mapping| Address(mapping.start)),
            permissions: mapping.map(|mapping| mapping.permissions.clone()),
            mapping: mapping.and_then(|mapping| mapping.name.clone()),
        }
    }
}

impl Area {
    /// The private pages of a process.
    pub(super) fn of_process(process: &Process, space: Arc<AddressSpace>) -> Self {
        Self {
            owner: Owner::Process { pid: process.pid, comm: process.comm() },
            chain: Arc::clone(space.private()),
            shown: Shown::Process(space),
        }
    }

    /// The pages of a shared object, and the mappings of `spaces` that show it.
    pub(super) fn of_object(shmid: u64, chain: Arc<Chain>, spaces: &[Arc<AddressSpace>]) -> Self {
        let shows = |mapping: &&Mapping| mapping.content == Backing::Object(shmid);
        let mapped = spaces.iter().flat_map(|space| {
            space.mappings().iter().filter(shows).map(|mapping| (space.pid(), mapping.clone()))
        });
        Self { owner: Owner::Object { shmid }, chain, shown: Shown::Object(mapped.collect()) }
    }

    /// Where its pages are.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The memory of the process that it belongs to, if it is of one.
    pub fn space(&self) -> Option<&Arc<AddressSpace>> {
        match &self.shown {
            Shown::Process(space) => Some(space),
            Shown::Object(_) => None,
        }
    }

    /// Processes that map it.
    pub fn owners(&self) -> Vec<u32> {
        match &self.shown {
            Shown::Process(space) => vec![space.pid()],
            Shown::Object(mapped) => mapped.iter().map(|(pid, _)| *pid).collect(),
        }
    }

    /// The mapping that holds an address; of an object the first that shows it.
    pub fn mapping_at(&self, address: u64) -> Option<&Mapping> {
        match &self.shown {
            Shown::Process(space) => space.mapping_at(address),
            Shown::Object(mapped) => {
                mapped.iter().find(|(_, mapping)| in_mapping(mapping, address).is_some()).map(|(_, m)| m)
            }
        }
    }

    /// Where an address of the area is in the memory of processes: one place, or for an object one for
    /// each mapping that shows it, which may be none.
    pub fn places(&self, address: u64) -> Vec<Place> {
        match &self.shown {
            Shown::Process(space) => vec![Place::new(space.pid(), address, space.mapping_at(address))],
            Shown::Object(mapped) => {
                let shown = mapped.iter().filter_map(|(pid, mapping)| {
                    Some(Place::new(*pid, in_mapping(mapping, address)?, Some(mapping)))
                });
                shown.collect()
            }
        }
    }
}

/// The address where a mapping shows an offset of its object.
fn in_mapping(mapping: &Mapping, offset: u64) -> Option<u64> {
    let address = mapping.start.checked_add(offset.checked_sub(mapping.object_offset)?)?;
    (address < mapping.end).then_some(address)
}
