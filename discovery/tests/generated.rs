//! Checks that `src/grpc/generated.rs` is up to date with `proto/discovery.proto`.
//!
//! With `PORTOLAN_REGENERATE=1` the test writes the file instead of comparing it.
#![cfg(feature = "grpc")]

use std::path::Path;

#[test]
fn generated_code_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let descriptors = protox::compile(["discovery.proto"], [root.join("proto")]).unwrap();
    tonic_prost_build::configure()
        .out_dir(out.path())
        // A debug print of a message would show private keys and seeds; the plain types hide them.
        .skip_debug([
            ".portolan.discovery.v1alpha1.Certificate",
            ".portolan.discovery.v1alpha1.ClassSettings",
        ])
        .compile_fds(descriptors)
        .unwrap();
    let generated = out.path().join("portolan.discovery.v1alpha1.rs");
    let generated = std::fs::read_to_string(generated).unwrap();
    let committed = root.join("src/grpc/generated.rs");
    if std::env::var_os("PORTOLAN_REGENERATE").is_some() {
        std::fs::write(committed, generated).unwrap();
        return;
    }
    assert!(
        std::fs::read_to_string(committed).unwrap() == generated,
        "src/grpc/generated.rs differs from proto/discovery.proto; the proto file names the command that regenerates it"
    );
}
