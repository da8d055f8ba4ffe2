//! Writes the synthetic images as first inputs of the fuzz targets, into `corpus/TARGET/`:
//! `RUSTFLAGS="--cfg fuzzing" cargo run --bin seeds`

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    for target in ["frame", "kind", "record", "message", "json", "pagemap", "raw"] {
        let folder = Path::new("corpus").join(target);
        fs::create_dir_all(&folder)?;
        for (index, case) in ckx_testkit::cases().iter().enumerate() {
            if let Some(seed) = ckx_criu::fuzz::seed(target, &case.name, &case.bytes) {
                fs::write(folder.join(format!("case-{index:03}")), seed)?;
            }
        }
    }
    Ok(())
}
