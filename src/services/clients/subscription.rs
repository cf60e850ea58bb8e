//! What a group wants of one topic.

use std::sync::{Arc, OnceLock};

use ferrymq_proto::bodies::SubscriptionData;
use ferrymq_proto::filter::{Filter, FilterError};

/// One version of a subscription. Its filter is compiled once, when it is first asked for: a heartbeat with thousands of
/// subscriptions costs no more than its text.
#[derive(Debug)]
pub struct Subscription {
    data: SubscriptionData,
    filter: OnceLock<Result<Arc<Filter>, FilterError>>,
}

impl Subscription {
    pub fn new(data: SubscriptionData) -> Self {
        Self { data, filter: OnceLock::new() }
    }

    /// As its client stated it.
    pub fn data(&self) -> &SubscriptionData {
        &self.data
    }

    pub fn version(&self) -> i64 {
        self.data.version
    }

    /// The compiled expression, or what is wrong with it. The hashes that clients send along are not used: some send none.
    pub fn filter(&self) -> Result<Arc<Filter>, FilterError> {
        let compile = || Filter::compile(&self.data.expression_type, &self.data.expression).map(Arc::new);
        self.filter.get_or_init(compile).clone()
    }

    pub(super) fn bytes(&self) -> usize {
        bytes_of(&self.data)
    }
}

/// About how much memory a subscription takes, once it is asked for and so compiled.
pub(super) fn bytes_of(data: &SubscriptionData) -> usize {
    let tags: usize = data.tags.iter().map(|tag| tag.len() + size_of::<String>()).sum();
    let texts = data.topic.len() + data.expression.len() + data.expression_type.len();
    let compiled = Filter::bytes_max(&data.expression_type, data.expression.len());
    size_of::<Subscription>() + compiled + texts + tags + data.codes.len() * size_of::<i32>()
}
