//! What a comparison by structure has to know of its report.

/// What is particular of a report.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    /// How elements of lists are told apart. Lists without a rule: objects by the first of
    /// [`USUAL_KEYS`] that all have, other values by themselves.
    pub lists: &'static [ListRule],
    /// Fields that are not compared as they are.
    pub fields: &'static [(&'static str, Treatment)],
}

/// How elements of a list are told apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListRule {
    /// Names from the top to the list, or their last part: `processes.descriptors`.
    pub at: &'static str,
    /// The fields that make an element what it is.
    pub key: Key,
    /// What the list is called in paths, if not by its name. With a dot at its end keys follow without
    /// brackets.
    pub shown: &'static str,
}

/// What makes an element of a list itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key {
    /// The first of these fields that it has.
    First(&'static [&'static str]),
    /// These fields.
    Fields(&'static [&'static str]),
    /// The process with the id in this field. Its path starts anew; processes that only one side has
    /// are left out, unless it is the list of processes itself.
    Process(&'static str),
    /// The same, and processes that only one side has are told.
    AnyProcess(&'static str),
    /// The thread with the id in this field, of the process that it is in.
    Thread(&'static str),
    /// Its place.
    Position,
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// Not at all.
    Skip,
    /// As any other: an exception in what follows.
    Plain,
    /// It belongs to the dump, not to the container.
    OfDump,
    /// Not if it is a number: such fields are objects in other places.
    Number,
    /// It is the id of a process: the same if the processes are a pair.
    Process,
}

/// Fields that tell elements apart where no rule says so.
pub(super) const USUAL_KEYS: &[&str] =
    &["pid", "tid", "fd", "name", "path", "mountpoint", "destination", "type", "id"];

/// Fields whose values are ids of processes wherever they occur.
pub(super) const PROCESS_FIELDS: &[&str] = &["pid", "ppid", "pgid", "sid", "owner_pid", "holder_pid"];
