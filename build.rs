//! Embedded files are read by a macro, which cargo cannot see: a file added below these folders must rebuild too.

fn main() {
    for folder in ["manifests", "services"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
