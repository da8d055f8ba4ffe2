//! What a checkpoint says of its container, its engine and its machine.

use std::str::FromStr;

use ckx_core::Checkpoint;
use ckx_criu::Image;
use ckx_criu::typed::messages::CoreEntry;
use serde_json::Value;

/// Engines that make checkpoints with a description of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Podman.
    Podman,
    /// CRI-O.
    CriO,
    /// containerd.
    Containerd,
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "podman" => Ok(Self::Podman),
            "crio" | "cri-o" => Ok(Self::CriO),
            "containerd" => Ok(Self::Containerd),
            _ => Err("it is none of crio, podman and containerd".to_owned()),
        }
    }
}

impl Engine {
    /// Its name, as its own tools and checkpointctl write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Podman => "Podman",
            Self::CriO => "CRI-O",
            Self::Containerd => "containerd",
        }
    }
}

/// The descriptions beside the images, each if it is there and readable.
#[derive(Debug, Default)]
pub struct Facts {
    /// Who made the checkpoint.
    pub engine: Option<Engine>,
    /// `config.dump`.
    pub config: Value,
    /// `spec.dump`, the specification of the runtime.
    pub spec: Value,
    /// `status.dump`, of containerd.
    pub status: Value,
    /// The head of `dump.log`.
    log: String,
    /// Architecture of the machine, in Go's words.
    pub architecture: Option<&'static str>,
}

/// Bytes of `dump.log` that are read: versions stand in its first lines.
const LOG_HEAD: usize = 16 << 10;

impl Facts {
    /// Reads the descriptions of a checkpoint.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let json = |name: &str| checkpoint.json(name).ok().flatten().unwrap_or(Value::Null);
        let log = checkpoint.top("dump.log").ok().flatten().unwrap_or_default();
        let head = log.get(..LOG_HEAD).unwrap_or(&log);
        let mut facts = Self {
            engine: None,
            config: json("config.dump"),
            spec: json("spec.dump"),
            status: json("status.dump"),
            log: String::from_utf8_lossy(head).into_owned(),
            architecture: architecture(checkpoint),
        };
        facts.tell_engine();
        facts
    }

    /// Finds out who made the checkpoint.
    pub(crate) fn tell_engine(&mut self) {
        self.engine = self.told_engine();
    }

    fn told_engine(&self) -> Option<Engine> {
        self.spec.as_object()?;
        Some(match self.annotation("io.container.manager").as_deref() {
            Some("libpod") => Engine::Podman,
            Some("cri-o") => Engine::CriO,
            Some(_) => return None,
            None => Engine::Containerd,
        })
    }

    /// An annotation of the container, unless it is empty.
    pub fn annotation(&self, key: &str) -> Option<String> {
        text(self.spec.get("annotations")?.get(key)?)
    }

    /// A text of `config.dump`, unless it is empty.
    pub fn config(&self, key: &str) -> Option<String> {
        text(self.config.get(key)?)
    }

    /// The first of these annotations that is there.
    fn first(&self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| self.annotation(key))
    }

    /// Name of the container, without what engines put around it.
    pub fn container_name(&self) -> Option<String> {
        self.first(&["io.kubernetes.container.name", "io.kubernetes.cri.container-name"])
            .or_else(|| text(self.status.get("metadata")?.get("name")?))
            .or_else(|| self.config("name"))
    }

    /// Name of the pod.
    pub fn pod_name(&self) -> Option<String> {
        self.first(&["io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name"])
    }

    /// Namespace of the pod.
    pub fn pod_namespace(&self) -> Option<String> {
        self.first(&["io.kubernetes.pod.namespace", "io.kubernetes.cri.sandbox-namespace"])
    }

    /// UID of the pod.
    pub fn pod_uid(&self) -> Option<String> {
        self.first(&["io.kubernetes.pod.uid", "io.kubernetes.cri.sandbox-uid"])
    }

    /// Id of the base image, or a reference to it, as the engine has it.
    pub fn base_reference(&self) -> Option<String> {
        self.config("rootfsImageRef").or_else(|| self.config("rootfsImageID"))
    }

    /// Id of the base image: 64 digits, without the name of the algorithm.
    pub fn base_id(&self) -> Option<String> {
        let id = self.base_reference()?;
        let digits = id.strip_prefix("sha256:").unwrap_or(&id);
        is_id(digits).then(|| digits.to_owned())
    }

    /// Name of the base image.
    pub fn base_name(&self) -> Option<String> {
        self.config("rootfsImageName")
    }

    /// Digest of the manifest of the base image, where it is told together with the repository.
    pub fn base_digest(&self) -> Option<String> {
        let told = self.config("rootfsImageRef").filter(|text| text.contains('@'));
        let digests = told.or_else(|| self.annotation("io.kubernetes.cri-o.ImageRepoDigests"))?;
        let digest = digests.split([',', ' ']).find_map(|each| each.split_once('@'))?.1;
        is_id(digest.strip_prefix("sha256:")?).then(|| digest.to_owned())
    }

    /// The base image as its user named it.
    pub fn base_requested(&self) -> Option<String> {
        self.config("rootfsImage")
    }

    /// Name of the OCI runtime: `runc`, `crun`.
    pub fn runtime(&self) -> Option<String> {
        let runtime = self.config("runtime")?;
        let name = runtime.rsplit('/').next()?;
        // containerd names the shim that runs it.
        let name =
            name.strip_prefix("io.containerd.").and_then(|name| name.split('.').next()).unwrap_or(name);
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// When the checkpoint was taken, as RFC 3339.
    pub fn checkpointed(&self) -> Option<String> {
        // Go's zero time means that it is not known.
        self.config("checkpointedTime").filter(|time| !time.starts_with("0001-") && is_time(time))
    }

    /// Version of CRIU as Podman writes it: 40200 is 4.2, builds after a release count as the next one.
    pub fn criu_version(&self) -> Option<String> {
        let (version, rest) = self.log_line("Version: ")?.split_once(' ')?;
        let mut numbers = version.split('.').map(str::parse::<u32>);
        let major = numbers.next()?.ok()?;
        let minor = numbers.next()?.ok()?;
        let patch = numbers.next().and_then(Result::ok).unwrap_or_default();
        let id = rest.strip_prefix("(gitid ")?.strip_suffix(')')?;
        let is_later = id.rsplit_once("-g").is_some();
        let (minor, patch) = if is_later { (minor + 1, 0) } else { (minor, patch) };
        major
            .checked_mul(10_000)?
            .checked_add(minor.checked_mul(100)?)?
            .checked_add(patch)
            .map(|v| v.to_string())
    }

    /// Release of the kernel.
    pub fn kernel(&self) -> Option<String> {
        let mut words = self.log_line("Running on ")?.split(' ').skip_while(|word| *word != "Linux");
        words.nth(1).map(str::to_owned)
    }

    /// The rest of the first line of the log that has this behind its time.
    fn log_line(&self, mark: &str) -> Option<&str> {
        self.log.lines().find_map(|line| line.split_once(") ")?.1.strip_prefix(mark))
    }

    /// Destinations of the mounts that the container was started with.
    pub fn mounts(&self) -> Vec<(String, Option<String>)> {
        let list = self.spec.get("mounts").and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|mount| Some((text(mount.get("destination")?)?, mount.get("source").and_then(text))))
            .collect()
    }
}

pub(crate) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Whether a text is a SHA-256 in hexadecimal digits.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_time(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
}

/// Architecture of the first process that has one.
fn architecture(checkpoint: &Checkpoint) -> Option<&'static str> {
    let name = checkpoint
        .image_members()
        .map(|(name, _)| name)
        .find(|name| name.starts_with(b"core-") && name.ends_with(b".img"))?;
    let bytes = checkpoint.archive().read(checkpoint.image_member(name)?).ok()?;
    let core: CoreEntry = Image::parse(name, &bytes).ok()?.entries().next()?.ok()?.decode().ok()?;
    // `march` of the core image.
    Some(match core.mtype {
        1 => "amd64",
        2 => "arm",
        3 => "arm64",
        4 => "ppc64le",
        5 => "s390x",
        6 => "mips64le",
        7 => "loong64",
        8 => "riscv64",
        _ => return None,
    })
}
