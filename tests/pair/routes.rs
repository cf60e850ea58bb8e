//! Whom name servers show to clients, when a slave goes without a word.

use std::collections::BTreeMap;

use rustix::process::Signal;

use super::nodes::{Pair, eventually};

/// The master is there all the time; in the end the slave is, or is not.
async fn until_routed(pair: &Pair, what: &str, is_slave_routed: bool) {
    let (master, slave) = (pair.master.address(), pair.slave.address());
    let alone = BTreeMap::from([(0, master)]);
    let both: BTreeMap<_, _> = alone.clone().into_iter().chain([(1, slave)]).collect();
    eventually(what, async || {
        let routed = pair.routed().await;
        assert!(routed == alone || routed == both, "{routed:?}");
        (routed == both) == is_slave_routed
    })
    .await;
}

async fn routed_pair(of_both: &str) -> Pair {
    let pair = Pair::started(of_both, "").await;
    pair.master.send_many(4).await;
    eventually("the topic is routed", async || !pair.routed().await.is_empty()).await;
    until_routed(&pair, "both are routed", true).await;
    pair
}

/// Its connection ends with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_that_is_killed_is_routed_no_more_until_it_is_back() {
    let mut pair = routed_pair("").await;
    pair.slave.end(Signal::KILL);
    until_routed(&pair, "the slave is gone", false).await;
    pair.slave.start();
    until_routed(&pair, "the slave is back", true).await;
}

/// As one whose machine is lost: its connection stays open, and nothing comes. Name servers forget others after two minutes only.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_that_is_silent_for_as_long_as_it_said_is_routed_no_more_until_it_is_heard() {
    let pair = routed_pair("enableSlaveActingMaster=true\nbrokerNotActiveTimeoutMillis=3000").await;
    pair.slave.freeze();
    until_routed(&pair, "the slave is gone", false).await;
    pair.master.send_many(4).await;
    pair.slave.thaw();
    until_routed(&pair, "the slave is back", true).await;
    pair.follows().await;
    pair.is_level().await;
}
