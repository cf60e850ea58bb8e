//! A part of the configuration that may change by request while the broker runs.
//!
//! A service holds the part that it needs and asks for it each time; what it was given holds for one request.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::broker::BrokerConfig;

pub struct Live<T>(Source<T>);

enum Source<T> {
    Fixed(T),
    Followed { config: watch::Receiver<Arc<BrokerConfig>>, part: fn(&BrokerConfig) -> T },
}

impl<T> Live<T> {
    /// What `part` makes of the configuration, whenever it is asked for.
    pub fn new(config: watch::Receiver<Arc<BrokerConfig>>, part: fn(&BrokerConfig) -> T) -> Self {
        Self(Source::Followed { config, part })
    }
}

impl<T: Clone> Live<T> {
    /// As it holds now.
    pub fn get(&self) -> T {
        match &self.0 {
            Source::Fixed(part) => part.clone(),
            Source::Followed { config, part } => part(&config.borrow()),
        }
    }
}

/// One that never changes.
impl<T> From<T> for Live<T> {
    fn from(part: T) -> Self {
        Self(Source::Fixed(part))
    }
}

impl<T: Clone> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Source::Fixed(part) => Source::Fixed(part.clone()),
            Source::Followed { config, part } => Source::Followed { config: config.clone(), part: *part },
        })
    }
}

impl<T: Clone + fmt::Debug> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
