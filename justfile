# The commands of daily work. `just` lists them.

default:
    @just --list

# Format, lint, licences, tests: what a change must pass.
check: lint test

fmt:
    cargo fmt --all

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny check bans licenses sources

# What needs nothing but Rust.
test:
    cargo test --workspace

# Official clients and Apache's own servers; needs JDK 17, Maven, Go and Python 3.
interop *args:
    cargo build --release --workspace --bins --examples
    tests/interop/run {{args}}

# Fuzz one target for a while, from its corpus; needs cargo-fuzz and a nightly toolchain.
fuzz target seconds="60":
    proto/fuzz/corpus.py unpack {{target}} target/fuzz/{{target}}
    cd proto && cargo +nightly fuzz run {{target}} ../target/fuzz/{{target}} -- -max_total_time={{seconds}} -rss_limit_mb=512 -malloc_limit_mb=64 -timeout=5

# Keep what fuzzing found, without what adds nothing.
fuzz-keep target:
    mkdir -p target/fuzz/{{target}}-least
    cd proto && cargo +nightly fuzz run {{target}} ../target/fuzz/{{target}}-least ../target/fuzz/{{target}} -- -merge=1
    proto/fuzz/corpus.py pack {{target}} target/fuzz/{{target}}-least

run *args:
    cargo run --release -- {{args}}
