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
    cargo build --release
    tests/interop/run {{args}}

# Fuzz one target for a while; needs cargo-fuzz and a nightly toolchain.
fuzz target seconds="60":
    cd proto && cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}} -rss_limit_mb=512 -malloc_limit_mb=64 -timeout=1

run *args:
    cargo run --release -- {{args}}
