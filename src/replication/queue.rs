//! What waits to be written, between those who ask and the one that writes.
//!
//! No linger: whoever takes gets everything that waits, so that batches grow with the load by themselves.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct WaitingQueue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    bytes_max: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    is_closed: bool,
    /// The one who takes sleeps, and must be woken.
    is_waiting: bool,
}

/// Why an item was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    Full { bytes: usize },
    Closed,
}

impl<T> State<T> {
    fn take(&mut self, bytes_max: usize, items_max: usize) -> Vec<T> {
        let mut taken = Vec::with_capacity(self.items.len().min(items_max));
        let mut taken_bytes = 0;
        while taken.len() < items_max
            && let Some((item, bytes)) =
                self.items.pop_front_if(|(_, bytes)| taken_bytes == 0 || taken_bytes + *bytes <= bytes_max)
        {
            taken_bytes += bytes;
            self.bytes -= bytes;
            taken.push(item);
        }
        taken
    }
}

impl<T> WaitingQueue<T> {
    pub fn new(bytes_max: usize) -> Self {
        let state = State { items: VecDeque::new(), bytes: 0, is_closed: false, is_waiting: false };
        Self { state: Mutex::new(state), arrived: Condvar::new(), bytes_max }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, item: T, bytes: usize) -> Result<(), (T, NotTaken)> {
        let mut state = self.state();
        if state.is_closed {
            return Err((item, NotTaken::Closed));
        }
        // One that is alone always finds room, however long it is.
        if state.bytes > 0 && state.bytes + bytes > self.bytes_max {
            let bytes = state.bytes;
            return Err((item, NotTaken::Full { bytes }));
        }
        state.bytes += bytes;
        state.items.push_back((item, bytes));
        let wake = state.is_waiting;
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits until there is something, and takes up to `bytes_max` of it, but at least one item. `None`: the queue is closed
    /// and empty.
    pub fn take(&self, bytes_max: usize, items_max: usize) -> Option<Vec<T>> {
        self.take_within(bytes_max, items_max, Duration::MAX)
    }

    /// As [`Self::take`], but takes nothing when nothing comes in this time.
    pub fn take_within(&self, bytes_max: usize, items_max: usize, time: Duration) -> Option<Vec<T>> {
        let mut state = self.state();
        state.is_waiting = true;
        let is_idle = |state: &mut State<T>| state.items.is_empty() && !state.is_closed;
        let waited = self.arrived.wait_timeout_while(state, time, is_idle);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.is_waiting = false;
        if state.items.is_empty() && state.is_closed {
            return None;
        }
        Some(state.take(bytes_max, items_max))
    }

    /// As [`Self::take`], but does not wait: there may be nothing.
    pub fn take_now(&self, bytes_max: usize, items_max: usize) -> Vec<T> {
        self.state().take(bytes_max, items_max)
    }

    pub fn is_empty(&self) -> bool {
        self.state().items.is_empty()
    }

    /// Takes nothing in any more. What is there can still be taken.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.arrived.notify_one();
    }
}
