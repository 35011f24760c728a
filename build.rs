//! Embedded files are read by a macro, which cargo cannot see: a file added below these folders must rebuild too.

fn main() {
    for folder in ["manifests", "services"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    // A binary with a copy of every module that happens to be installed would be large, and build other images.
    for service in std::fs::read_dir("services").into_iter().flatten().flatten() {
        let modules = service.path().join("node_modules");
        if modules.exists() {
            println!("cargo:error={} would be embedded; remove it", modules.display());
        }
    }
}
