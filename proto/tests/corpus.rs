//! Runs every input that fuzzing kept through its target: what was found once stays found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

/// A corpus is one file of inputs, each behind its length; see `fuzz/corpus.py`.
fn replay(name: &str, target: fn(&[u8])) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/corpus/{name}.bin"));
    let packed = fs::read(&path).unwrap();
    let mut rest = &packed[..];
    let mut inputs = 0;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (input, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
        rest = tail;
        target(input);
        inputs += 1;
    }
    assert!(inputs >= 50, "{} holds {inputs} inputs only", path.display());
}

macro_rules! targets {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name), targets::$name);
        }
    )*};
}

targets! { frame json_header binary_header typed_headers record properties bodies filter }
