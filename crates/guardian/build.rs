//! Computes the build id, by which programs check that they were built from the same sources before they exchange
//! messages.
//!
//! The id is a hash of the sources of all crates that run in a worker. It is not a time, so that a program that was
//! built elsewhere from the same sources has the same id. Where the crates are not beside each other (as packages of a
//! registry), the id is the version alone, which names the sources there.

use std::path::{Path, PathBuf};

/// The crates that run in a worker, from the workspace's root.
const CRATES: [&str; 11] = [
    "crates/execute",
    "crates/green",
    "crates/guardian",
    "crates/model",
    "crates/os",
    "crates/pool",
    "crates/probe-tasks",
    "crates/protocol",
    "crates/python",
    "crates/task-macros",
    "worker",
];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut hash = Fnv::default();
    let mut found = 0;
    for krate in CRATES {
        for file in sources(&root.join(krate).join("src")) {
            println!("cargo::rerun-if-changed={}", file.display());
            let relative = file.strip_prefix(&root).unwrap_or(&file);
            hash.add(relative.to_string_lossy().as_bytes());
            hash.add(&std::fs::read(&file).unwrap_or_default());
            found += 1;
        }
        println!("cargo::rerun-if-changed={}", root.join(krate).join("src").display());
    }
    let version = env!("CARGO_PKG_VERSION");
    let id = if found == 0 { version.to_owned() } else { format!("{version}-{:016x}", hash.0) };
    println!("cargo::rustc-env=PUSHFLOW_BUILD={id}");
}

/// All files below a folder, in the same order on every machine.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// FNV-1a with 64 bits. The result is the same on every machine and with every compiler; the hash of the standard
/// library does not promise that.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
