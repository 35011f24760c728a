//! Embedded files are read by a macro, which cargo cannot see: a file added below these folders must rebuild too.

fn main() {
    for folder in ["manifests", "services"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    forbid(std::path::Path::new("services"));
}

/// A binary with a copy of every module that happens to be installed would be large, and build other images.
fn forbid(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if ["node_modules", "__pycache__", ".venv", "venv"].iter().any(|name| entry.file_name() == *name) {
            println!("cargo:error={} would be embedded; remove it", path.display());
        } else if path.is_dir() {
            forbid(&path);
        }
    }
}
