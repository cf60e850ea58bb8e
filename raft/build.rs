//! Compiles `raft.proto`, without a `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto/raft.proto");
    let files = protox::compile(["raft.proto"], ["proto"])?;
    // The long fields are slices of what was received: nothing is copied.
    tonic_prost_build::configure().bytes(".").compile_fds(files)?;
    Ok(())
}
