//! One stream of frames to a follower, and its replies.
//!
//! The requests belong to whoever reads the replies: when that one goes, they go with it. openraft's next session needs them.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use openraft::errors::{NetworkError, RPCError};
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::PollSender;
use tonic::{Status, Streaming};

use super::links::Links;
use super::pace::Pace;
use crate::entry::Payload;
use crate::proto::{self, append_reply::Outcome};
use crate::types::Types;

/// So long a request that only says what is final waits for entries that it can go with. Under load there are always some, and
/// every node has half as many requests to serve.
const COMPANY_WAIT: Duration = Duration::from_millis(2);

/// Of requests without a reply, unless one alone has more. Enough for any network between nodes of a group.
const BYTES_IN_FLIGHT_MAX: usize = 2 << 20;

pub(super) struct Session<S> {
    pub input: Option<S>,
    pub ready: Option<proto::AppendRequest>,
    /// It has no entries, and waits for company.
    pub alone: Option<proto::AppendRequest>,
    /// Until when.
    pub departure: Pin<Box<Sleep>>,
    pub sender: PollSender<proto::AppendRequest>,
    pub replies: Streaming<proto::AppendReply>,
    /// The bytes of each request without a reply.
    pub pending: VecDeque<usize>,
    pub pace: Pace,
    /// When nothing is pending, nothing is sent before it has run.
    pub rest: Pin<Box<Sleep>>,
    pub patience: Duration,
    /// Runs while a reply is due.
    pub deadline: Pin<Box<Sleep>>,
    pub links: Arc<Links>,
    pub peer: String,
    pub is_over: bool,
}

type Item = Result<StreamAppendResult<Types>, RPCError<Types>>;

impl<S> Session<S>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Unpin,
{
    pub fn new(
        input: S,
        sender: PollSender<proto::AppendRequest>,
        replies: Streaming<proto::AppendReply>,
        patience: Duration,
        (links, peer): (Arc<Links>, String),
    ) -> Self {
        let deadline = Box::pin(sleep(patience));
        Self {
            input: Some(input),
            ready: None,
            alone: None,
            departure: Box::pin(sleep(Duration::ZERO)),
            sender,
            replies,
            pending: VecDeque::new(),
            pace: Pace::default(),
            rest: Box::pin(sleep(Duration::ZERO)),
            patience,
            deadline,
            links,
            peer,
            is_over: false,
        }
    }

    /// Sends as many requests as there are and as fit.
    fn push(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        loop {
            if self.ready.is_none() && self.next_ready(cx)?.is_pending() || !self.has_room(cx) {
                return Ok(());
            }
            match self.sender.poll_reserve(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(_)) => return Ok(()),
                Poll::Ready(Ok(())) => {}
            }
            let Some(request) = self.ready.take() else { return Ok(()) };
            let bytes = bytes_of(&request);
            let start = end_behind(request.previous);
            let entries = start..start + request.frames.len() as u64;
            self.pace.sent(&entries, bytes, end_behind(request.leader_commit), Instant::now());
            if self.sender.send_item(request).is_err() {
                return Ok(());
            }
            if self.pending.is_empty() {
                self.deadline.as_mut().reset(Instant::now() + self.patience);
            }
            self.pending.push_back(bytes);
        }
    }

    /// Whether the next request may be sent now.
    fn has_room(&mut self, cx: &mut Context<'_>) -> bool {
        if self.pending.is_empty() {
            return self.rest.as_mut().poll(cx).is_ready();
        }
        let next = self.ready.as_ref().map(bytes_of).unwrap_or_default();
        !self.pace.is_over() && self.pending.iter().sum::<usize>() + next <= BYTES_IN_FLIGHT_MAX
    }

    /// Finds the request that is to be sent next.
    fn next_ready(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, String> {
        loop {
            let Some(input) = &mut self.input else {
                self.ready = self.alone.take();
                if self.ready.is_none() {
                    self.sender.close();
                    return Ok(Poll::Pending);
                }
                return Ok(Poll::Ready(()));
            };
            match Pin::new(input).poll_next(cx) {
                Poll::Ready(Some(request)) if request.entries.is_empty() => {
                    if self.alone.is_none() {
                        self.departure.as_mut().reset(Instant::now() + COMPANY_WAIT);
                    }
                    // What an older one says is older.
                    self.alone = Some(encode(request)?);
                }
                Poll::Ready(Some(request)) => {
                    self.alone = None;
                    self.ready = Some(encode(request)?);
                    return Ok(Poll::Ready(()));
                }
                Poll::Ready(None) => self.input = None,
                Poll::Pending if self.alone.is_some() && self.departure.as_mut().poll(cx).is_ready() => {
                    self.ready = self.alone.take();
                    return Ok(Poll::Ready(()));
                }
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
    }

    fn end(&mut self, error: impl ToString) -> Poll<Option<Item>> {
        self.is_over = true;
        self.input = None;
        Poll::Ready(Some(Err(NetworkError::from_string(error).into())))
    }
}

impl<S> Stream for Session<S>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Unpin,
{
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if self.links.is_cut(&self.peer) {
            return self.end("the link is cut");
        }
        if let Err(error) = self.push(cx) {
            return self.end(error);
        }
        match Pin::new(&mut self.replies).poll_next(cx) {
            Poll::Ready(Some(Ok(reply))) => {
                self.pending.pop_front();
                let now = Instant::now();
                let deadline = now + self.patience;
                self.deadline.as_mut().reset(deadline);
                // A timer that is set runs for a moment, however short it is to be.
                if self.pending.is_empty()
                    && let Some(rest) = self.pace.rest(now)
                {
                    self.rest.as_mut().reset(now + rest);
                }
                match decode(reply) {
                    Some(result) => {
                        self.is_over = result.is_err();
                        Poll::Ready(Some(Ok(result)))
                    }
                    None => self.end("a reply without content"),
                }
            }
            Poll::Ready(Some(Err(status))) => self.end(describe(&status)),
            Poll::Ready(None) if !self.pending.is_empty() => self.end("the follower closed the stream"),
            Poll::Ready(None) => {
                self.is_over = true;
                self.input = None;
                Poll::Ready(None)
            }
            Poll::Pending if !self.pending.is_empty() && self.deadline.as_mut().poll(cx).is_ready() => {
                self.end("the follower does not reply")
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The index of the entry behind this one.
fn end_behind(id: Option<proto::LogId>) -> u64 {
    id.map_or(0, |id| id.index + 1)
}

fn bytes_of(request: &proto::AppendRequest) -> usize {
    request.frames.iter().map(Bytes::len).sum()
}

pub(super) fn encode(request: AppendEntriesRequest<Types>) -> Result<proto::AppendRequest, String> {
    let mut frames = VecDeque::new();
    for entry in request.entries {
        match entry.payload {
            Payload::Frame(frame) => frames.push_back(frame.bytes().clone()),
            other => return Err(format!("an entry without a place is to be sent: {other}")),
        }
    }
    Ok(proto::AppendRequest {
        vote: Some(request.vote.into()),
        previous: request.prev_log_id.map(Into::into),
        leader_commit: request.leader_commit.map(Into::into),
        frames: frames.into(),
    })
}

pub(super) fn decode(reply: proto::AppendReply) -> Option<StreamAppendResult<Types>> {
    Some(match reply.outcome? {
        Outcome::Matched(id) => Ok(Some(id.into())),
        Outcome::MatchedNothing(_) => Ok(None),
        Outcome::Conflict(id) => Err(StreamAppendError::Conflict(id.into())),
        Outcome::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote.into())),
    })
}

/// What a peer said, without what the library adds.
pub(super) fn describe(status: &Status) -> String {
    match status.message() {
        "" => format!("{:?}", status.code()),
        message => message.to_owned(),
    }
}
