//! Telling brokers that the smallest id of their group has changed (905). Nobody answers, and nobody waits.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrymq_proto::headers::MinBrokerIdChanged;
use ferrymq_proto::net::Client;
use tokio::runtime::Handle;

use crate::routes::SmallestIdChanged;

/// A broker that cannot be reached in this time is not told; it will ask by itself.
const CONNECT_MAX: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(crate) struct Notices {
    runtime: Handle,
}

impl Notices {
    /// Must be called on the runtime that shall send them.
    pub(crate) fn new() -> Self {
        Self { runtime: Handle::current() }
    }

    pub(crate) fn send(&self, notice: &SmallestIdChanged) {
        let header = Arc::new(MinBrokerIdChanged {
            min_broker_id: Some(notice.smallest_id),
            broker_name: None,
            min_broker_addr: Some(notice.smallest_address.as_str().into()),
            offline_broker_addr: notice.departed_address.as_deref().map(Into::into),
            ha_broker_addr: notice.ha_address.as_deref().map(Into::into),
        });
        for address in notice.tell.clone() {
            let header = Arc::clone(&header);
            self.runtime.spawn(async move {
                let client = Client::new(address, CONNECT_MAX);
                if let Err(error) = client.push(&*header, Bytes::new()).await {
                    tracing::warn!(%error, "a broker could not be told that its group's smallest id has changed");
                }
                client.close().await;
            });
        }
    }
}
