//! What is known of connected producers and consumers.

use super::rows::{DAY_MS, Row, fixed, live, milliseconds, switch};
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// Tell the members of a group when one joins or leaves.
    pub are_told_of_changes: bool,
    /// A client that sends no heartbeat for so long is forgotten.
    pub silence_max: Duration,
    /// Producers are registered by their heartbeats.
    pub producers_are_registered: bool,
    /// Answer request 400: the broker deals out the queues of a group.
    pub queues_are_dealt: bool,
}

pub(super) static KEYS: &[Row] = &[
    live(
        "notifyConsumerIdsChangedEnable",
        "true",
        switch(|config| &mut config.clients.are_told_of_changes),
        "Tell the members of a group when one joins or leaves; otherwise they find out every 20 seconds.",
    ),
    fixed(
        "channelExpiredTimeout",
        "120000",
        milliseconds(1000..=DAY_MS, |config| &mut config.clients.silence_max),
        "A client that sends no heartbeat for so long is forgotten.",
    ),
    live(
        "enableRegisterProducer",
        "true",
        switch(|config| &mut config.clients.producers_are_registered),
        "Know producers by their heartbeats, as checks of their transactions need.",
    ),
    live(
        "serverLoadBalancerEnable",
        "true",
        switch(|config| &mut config.clients.queues_are_dealt),
        "Deal out the queues of a group to members that ask the broker to do it.",
    ),
];
