//! Peers that mean no good against a real broker: each is answered or closed, memory stays bounded, what is secret stays so, and
//! a client that behaves never notices.
//!
//! Names that lead out of the store, numbers and batches that lie and expressions that are bombs are in
//! src/handlers/tests/hostile.rs, heartbeats in src/handlers/tests.rs, lengths in proto/tests/memory.rs, frames in proto/fuzz and
//! proto/src/net/tests.rs, foreign nodes of a group in raft/src/tests/hostile.rs; the codes of all refusals, as Apache's broker
//! has them, in tests/interop (`refusals`), where no server of ours may start a process.
//!
//! `FERRYMQ_CONNECTIONS=10000 FERRYMQ_SEED=7 cargo test --test broker_hostile answers` opens so many connections, and cuts as that
//! seed says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says with a panic that it failed")]

#[allow(dead_code, reason = "other tests need the rest")]
mod alone;
#[path = "broker_hostile/bombs.rs"]
mod bombs;
#[path = "broker_hostile/broker.rs"]
mod broker;
#[path = "broker_hostile/expressions.rs"]
mod expressions;
#[path = "broker_hostile/floods.rs"]
mod floods;
#[path = "broker_hostile/mixing.rs"]
mod mixing;
#[path = "broker_hostile/old_holes.rs"]
mod old_holes;
mod resources;
#[path = "broker_hostile/secrets.rs"]
mod secrets;
#[path = "broker_hostile/terminal.rs"]
mod terminal;
#[path = "broker_hostile/waiting.rs"]
mod waiting;

use tokio::sync::Mutex;

/// Of those that open very many connections, one at a time: they share the files that this process may open.
static MANY: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn answers_stay_with_their_requests() {
    let _alone = MANY.lock().await;
    mixing::answers_stay_with_their_requests().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_behaves_does_not_notice_floods() {
    let _alone = MANY.lock().await;
    floods::those_who_behave_do_not_notice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_that_wait_are_cheap() {
    waiting::pulls_that_wait_are_cheap().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_expressions_have_their_room() {
    expressions::they_have_their_room().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_stay_folded() {
    bombs::they_stay_folded().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_told_to_nobody() {
    secrets::are_told_to_nobody().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_speaks_to_the_terminal() {
    terminal::nobody_else_speaks_there().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_holes_are_closed() {
    old_holes::are_closed().await;
}
