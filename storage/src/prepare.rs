//! The next segment, made before it is needed, so that an append does not wait while the file system finds room for it.
//!
//! The appender says when it wants one; a thread makes it. If the appender needs it before that, or without a thread, it makes
//! it itself. A failure is not kept: the next one who asks tries again, and perhaps there is room by then.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ferrymq_proto::position::LogOffset;

use crate::segment::Segment;

#[derive(Debug, Default)]
pub(crate) struct NextSegment {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stage: Stage,
    /// The thread is to end. Everything else goes on without it.
    stop: bool,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Idle,
    Wanted(LogOffset),
    /// A thread makes it.
    InWork,
    Ready(Arc<Segment>),
}

impl NextSegment {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what there is, once nobody works on it.
    fn settle(&self) -> Stage {
        let in_work = |state: &mut State| matches!(state.stage, Stage::InWork);
        let settled = self.changed.wait_while(self.state(), in_work);
        std::mem::take(&mut settled.unwrap_or_else(PoisonError::into_inner).stage)
    }

    /// Asks for a segment, unless there is one or will be.
    pub fn want(&self, base: LogOffset) {
        let mut state = self.state();
        if matches!(state.stage, Stage::Idle) {
            state.stage = Stage::Wanted(base);
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Makes the segment if it is wanted.
    pub fn prepare(&self, create: impl FnOnce(LogOffset) -> io::Result<Segment>) {
        let base = {
            let mut state = self.state();
            let Stage::Wanted(base) = state.stage else { return };
            state.stage = Stage::InWork;
            base
        };
        let stage = match create(base) {
            Ok(segment) => Stage::Ready(Arc::new(segment)),
            // The appender will try it once more, and hear why.
            Err(error) => {
                tracing::warn!(%base, %error, "cannot prepare the next segment");
                Stage::Idle
            }
        };
        self.state().stage = stage;
        self.changed.notify_all();
    }

    /// Takes the segment, made now if it is not ready.
    pub fn take(
        &self,
        base: LogOffset,
        create: impl FnOnce(LogOffset) -> io::Result<Segment>,
    ) -> io::Result<Arc<Segment>> {
        match self.settle() {
            Stage::Ready(segment) => {
                assert_eq!(segment.base(), base, "another segment was prepared than comes next");
                Ok(segment)
            }
            _ => create(base).map(Arc::new),
        }
    }

    /// Gives one back that was taken and not used.
    pub fn give_back(&self, segment: Arc<Segment>) {
        self.state().stage = Stage::Ready(segment);
    }

    /// The segment, if it is ready.
    pub fn ready(&self) -> Option<Arc<Segment>> {
        match &self.state().stage {
            Stage::Ready(segment) => Some(Arc::clone(segment)),
            _ => None,
        }
    }

    /// Takes what was prepared, to throw it away.
    pub fn discard(&self) -> Option<Arc<Segment>> {
        match self.settle() {
            Stage::Ready(segment) => Some(segment),
            _ => None,
        }
    }

    /// Waits until one is wanted. False when it is time to end.
    pub fn next(&self) -> bool {
        let is_idle = |state: &mut State| !state.stop && !matches!(state.stage, Stage::Wanted(_));
        !self.changed.wait_while(self.state(), is_idle).unwrap_or_else(PoisonError::into_inner).stop
    }

    pub fn stop(&self) {
        self.state().stop = true;
        self.changed.notify_all();
    }
}
