//! `credentials`: users, groups, capabilities and security labels.

use ckx_criu::typed::messages::{CoreEntry, CredsEntry};
use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::inspect::subject::{Subject, living};
use crate::kernel::{KNOWN_CAPABILITIES, SECUREBITS, capabilities, flags};
use crate::load::Loader;
use crate::model::Process;
use crate::outline::{Cell, Outline};
use crate::{Checkpoint, Issue, Name};

/// Credentials, by process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Credentials {
    /// Processes whose credentials are known.
    pub processes: Vec<ProcessCredentials>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

/// Credentials of a process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessCredentials {
    /// The process.
    #[serde(flatten)]
    pub process: Subject,
    /// Those of its leading thread.
    pub credentials: Option<Creds>,
    /// User that logged in, for the audit log; `None` if unset.
    pub loginuid: Option<u32>,
    /// How readily the kernel ends it when memory is short: -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Threads whose credentials are others than those of the leading one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<ThreadCredentials>,
}

/// Credentials of a thread.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ThreadCredentials {
    /// Thread id.
    pub tid: u32,
    /// Its credentials.
    pub credentials: Creds,
}

/// Credentials. Ids are those inside the user namespace of the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Creds {
    /// Real user.
    pub uid: u32,
    /// Effective user.
    pub euid: u32,
    /// Saved user.
    pub suid: u32,
    /// User for files.
    pub fsuid: u32,
    /// Real group.
    pub gid: u32,
    /// Effective group.
    pub egid: u32,
    /// Saved group.
    pub sgid: u32,
    /// Group for files.
    pub fsgid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Inheritable capabilities.
    pub cap_inh: Vec<String>,
    /// Permitted capabilities.
    pub cap_prm: Vec<String>,
    /// Effective capabilities.
    pub cap_eff: Vec<String>,
    /// Capabilities that can be had at all.
    pub cap_bnd: Vec<String>,
    /// Ambient capabilities; `None` before CRIU 4.1, which does not store them.
    pub cap_amb: Option<Vec<String>>,
    /// Secure bits.
    pub secbits: Vec<String>,
    /// Whether no program can give it more rights.
    pub no_new_privs: bool,
    /// SELinux context or AppArmor profile.
    pub lsm_profile: Option<Name>,
    /// SELinux context of new sockets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lsm_sockcreate: Option<Name>,
}

impl Collect for Credentials {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let mut loader = Loader::new(checkpoint);
        let processes = living(checkpoint).map(|process| read(&mut loader, process)).collect();
        let mut issues = checkpoint.processes().issues_of(&[]);
        issues.extend(loader.into_issues());
        Self { processes, issues }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        let mut last: Option<&ProcessCredentials> = None;
        for process in &self.processes {
            let mut inner = Outline::new();
            match (&process.credentials, last) {
                (None, _) => inner.line(Cell::Absent("no credentials in the core".to_owned())),
                (Some(creds), Some(other)) if other.credentials.as_ref() == Some(creds) => {
                    inner.line(Cell::Faint(format!("as process {}", other.process.pid)));
                }
                (Some(creds), _) => {
                    creds.fields(&mut inner);
                    last = Some(process);
                }
            }
            inner.field_if("login uid", process.loginuid);
            if let Some(score) = process.oom_score_adj.filter(|score| *score != 0) {
                inner.field("oom score", score.to_string());
            }
            for thread in &process.threads {
                let mut below = Outline::new();
                thread.credentials.fields(&mut below);
                inner.group(vec![Cell::from("thread"), Cell::from(thread.tid)], below);
            }
            outline.group(process.process.line(), inner);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

fn read(loader: &mut Loader<'_>, process: &Process) -> ProcessCredentials {
    let task = process.task();
    let mut credentials = process.creds().map(Creds::from);
    if credentials.is_none() && process.core.is_some() {
        // CRIU up to 1.8 had them in an image of their own.
        let old = loader.records_if_any::<CredsEntry>(&format!("creds-{}.img", process.pid));
        credentials = old.ok().and_then(|records| records.entries.first().map(Creds::from));
    }
    let of = |core: &CoreEntry| Some(Creds::from(core.thread_core.as_ref()?.creds.as_ref()?));
    let threads = process
        .threads
        .iter()
        .filter(|thread| thread.tid != process.pid)
        .filter_map(|thread| Some((thread.tid, of(thread.core.as_ref()?)?)))
        .filter(|(_, creds)| credentials.as_ref() != Some(creds))
        .map(|(tid, credentials)| ThreadCredentials { tid, credentials })
        .collect();
    ProcessCredentials {
        process: process.into(),
        credentials,
        loginuid: task.and_then(|task| task.loginuid).filter(|uid| *uid != u32::MAX),
        oom_score_adj: task.and_then(|task| task.oom_score_adj),
        threads,
    }
}

/// A set of capabilities in 32-bit words, the low one first. What is beyond 64 bits does not exist.
fn set(words: &[u32]) -> u64 {
    let word = |at: usize| u64::from(words.get(at).copied().unwrap_or_default());
    word(0) | word(1) << 32
}

impl From<&CredsEntry> for Creds {
    fn from(creds: &CredsEntry) -> Self {
        let named = |words: &[u32]| capabilities(set(words));
        Self {
            uid: creds.uid,
            euid: creds.euid,
            suid: creds.suid,
            fsuid: creds.fsuid,
            gid: creds.gid,
            egid: creds.egid,
            sgid: creds.sgid,
            fsgid: creds.fsgid,
            groups: creds.groups.clone(),
            cap_inh: named(&creds.cap_inh),
            cap_prm: named(&creds.cap_prm),
            cap_eff: named(&creds.cap_eff),
            cap_bnd: named(&creds.cap_bnd),
            cap_amb: (!creds.cap_amb.is_empty()).then(|| named(&creds.cap_amb)),
            secbits: flags(creds.secbits.into(), SECUREBITS),
            no_new_privs: creds.no_new_privs.unwrap_or_default() != 0,
            lsm_profile: creds.lsm_profile.as_ref().map(Name::from),
            lsm_sockcreate: creds.lsm_sockcreate.as_ref().map(Name::from),
        }
    }
}

impl Creds {
    fn fields(&self, outline: &mut Outline) {
        outline.field("user", ids([self.uid, self.euid, self.suid, self.fsuid]));
        outline.field("group", ids([self.gid, self.egid, self.sgid, self.fsgid]));
        if !self.groups.is_empty() {
            outline.field("groups", words(self.groups.iter().map(u32::to_string)));
        }
        // Usually permitted, effective and bounding set are one.
        let sets = [
            ("effective", Some(&self.cap_eff)),
            ("permitted", Some(&self.cap_prm)),
            ("bounding", Some(&self.cap_bnd)),
            ("inheritable", Some(&self.cap_inh)),
            ("ambient", self.cap_amb.as_ref()),
        ];
        let mut told: Option<(&str, &Vec<String>)> = None;
        for (name, set) in sets {
            let Some(set) = set else { continue };
            match told {
                Some((other, same)) if same == set && !set.is_empty() => {
                    outline.field(name, Cell::Faint(format!("as {other}")));
                }
                _ if set.is_empty() && matches!(name, "inheritable" | "ambient") => {}
                _ => {
                    outline.field(name, short(set));
                    told = Some((name, set));
                }
            }
        }
        if !self.secbits.is_empty() {
            outline.field("secure bits", self.secbits.join(" "));
        }
        if self.no_new_privs {
            outline.field("no new privs", "yes");
        }
        outline.field_if("label", self.lsm_profile.as_ref());
        outline.field_if("socket label", self.lsm_sockcreate.as_ref());
    }
}

/// Four ids: one number if they are the same.
fn ids(ids: [u32; 4]) -> Cell {
    let [real, effective, saved, file] = ids;
    if ids.iter().all(|id| *id == real) {
        return Cell::from(real);
    }
    Cell::from(format!("{real} (effective {effective}, saved {saved}, files {file})"))
}

/// A set of capabilities in few words.
fn short(set: &[String]) -> Cell {
    let known = |from: u32| (from..KNOWN_CAPABILITIES).all(|bit| set.contains(&name(bit)));
    match set.len() {
        0 => Cell::Faint("none".to_owned()),
        // Kernels differ in how many there are; 38 is what all in use have at least.
        38.. if (0..38).all(|bit| set.contains(&name(bit))) => {
            let all = if known(38) { "all" } else { "all of an older kernel" };
            Cell::from(format!("{all} ({})", set.len()))
        }
        _ => Cell::from(words(set.iter().map(|name| {
            let name = name.strip_prefix("CAP_").unwrap_or(name);
            name.to_ascii_lowercase()
        }))),
    }
}

fn name(bit: u32) -> String {
    capabilities(1 << bit).concat()
}

fn words(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" ")
}
