//! Images in registries, as sources and as destinations.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ckx_archive::{Options, Progress};
use ckx_oci::registry::{Pulled, Settings};

use crate::error::CliError;

/// How registries are talked to.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Registries")]
pub struct RegistryArgs {
    /// Talk to registries without encryption; those on this machine are never asked for it
    #[arg(long)]
    plain_http: bool,
    /// File with credentials, instead of those that podman and docker log in with
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
}

impl RegistryArgs {
    /// The settings of the library.
    pub fn settings(&self, progress: Option<Arc<Progress>>) -> Settings {
        Settings {
            plain_http: self.plain_http,
            auth_file: self.authfile.clone(),
            progress,
            ..Settings::default()
        }
    }

    /// Connects if a source is an image in a registry.
    pub fn pulled(&self, source: &Path) -> Result<Option<Pulled>, CliError> {
        // A name with other bytes is no name of an image, and may be a file.
        let Some(written) = source.to_str() else { return Ok(None) };
        Ok(Pulled::of_source(written, self.settings(None))?)
    }

    /// Options that open a source, wherever it lies.
    pub fn reach(&self, source: &Path, options: Options) -> Result<Options, CliError> {
        Ok(match self.pulled(source)? {
            Some(pulled) => Options { remote: Some(Arc::new(pulled)), ..options },
            None => options,
        })
    }
}
