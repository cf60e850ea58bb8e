//! Listening to peers.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ferrymq_proto::position::LogOffset;
use ferrymq_storage::mend::UnitsError;
use ferrymq_storage::{Log, ReadError};
use futures_util::{Stream, StreamExt};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderRequest, VoteRequest,
};
use openraft::{Instant, ServerState, Snapshot};
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::links::Links;
use super::listener::{Admission, connections};
use super::passport::{Identity, Passport};
use super::{
    CONNECTION_WINDOW_BYTES, HTTP_FRAME_BYTES, LOG_PART_BYTES_MAX, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES,
};
use crate::abstention::Abstention;
use crate::alertness::Alertness;
use crate::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint};
use crate::entry::{Entry, Frame};
use crate::proposer::Proposer;
use crate::proto;
use crate::proto::append_reply::Outcome;
use crate::proto::raft_server::{Raft, RaftServer};
use crate::types::{NodeId, Types, Vote};

const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Of one connection: frames, a heartbeat, votes, and what is being given up.
const STREAMS_MAX: u32 = 64;
const HEADERS_BYTES_MAX: u32 = 16 << 10;
/// Whoever has slept has so many times the patience.
const WAKING_PATIENCES: u32 = 3;

pub(crate) type RaftHandle = openraft::Raft<Types, crate::state_machine::StateMachine>;

/// What a server needs of its node.
#[derive(Clone)]
pub(crate) struct Host {
    pub identity: Identity,
    pub raft: RaftHandle,
    pub links: Arc<Links>,
    pub abstention: Arc<Abstention>,
    pub alertness: Alertness,
    /// How long a leader may be without a majority until others may be elected.
    pub patience: Duration,
    pub log: Log,
    pub proposer: Proposer,
    /// What this node says of itself.
    pub introduction: Arc<dyn Fn() -> proto::Introduction + Send + Sync>,
}

/// Serves until `stop` is done.
pub(crate) async fn serve(
    host: Host,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let (identity, links) = (host.identity.clone(), Arc::clone(&host.links));
    let service = RaftServer::new(host)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let service = InterceptedService::new(service, move |request| admit(request, &identity, &links));
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(HTTP_FRAME_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADERS_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_service(service)
        .serve_with_incoming_shutdown(connections(listener), stop)
        .await
}

impl Host {
    /// Whether nobody should be elected now: a leader that a majority has answered lately is only slow, and whoever has just woken
    /// up could not hear it. Where processes always wake up late, somebody must be elected all the same.
    fn stands_by_its_leader(&self) -> bool {
        let is_waking = self.alertness.is_waking();
        let patience = if is_waking { self.patience * WAKING_PATIENCES } else { self.patience };
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.state == ServerState::Leader {
            return metrics.last_quorum_acked.as_ref().is_some_and(|acked| acked.elapsed() < patience);
        }
        is_waking && self.alertness.has_heard_within(patience)
    }
}

/// Lets a call in, or turns it away before anything of it is read.
fn admit(mut request: Request<()>, host: &Identity, links: &Links) -> Result<Request<()>, Status> {
    let passport = Passport::check(request.metadata(), host).inspect_err(|status| {
        tracing::warn!(reason = status.message(), "turned a caller away");
    })?;
    if links.is_cut(&passport.from.name) {
        return Err(Status::unavailable("the link is cut"));
    }
    if let Some(admission) = request.extensions().get::<Admission>() {
        admission.grant();
    }
    request.extensions_mut().insert(passport);
    Ok(request)
}

/// Whoever calls must know whom it calls.
fn caller<T>(request: &Request<T>) -> Result<Passport, Status> {
    let passport = request.extensions().get::<Passport>();
    let passport = passport.filter(|passport| passport.to.is_some());
    passport.cloned().ok_or_else(|| Status::unauthenticated("the call does not say for which node it is"))
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("the node has stopped: {error}"))
}

type ReplyStream = Pin<Box<dyn Stream<Item = Result<proto::AppendReply, Status>> + Send>>;

#[tonic::async_trait]
impl Raft for Host {
    type AppendStream = ReplyStream;

    async fn introduce(
        &self,
        request: Request<proto::Introduction>,
    ) -> Result<Response<proto::Introduction>, Status> {
        drop(request);
        Ok(Response::new((self.introduction)()))
    }

    async fn append(
        &self,
        request: Request<Streaming<proto::AppendRequest>>,
    ) -> Result<Response<ReplyStream>, Status> {
        let peer = caller(&request)?.from.name;
        let links = Arc::clone(&self.links);
        let messages = request.into_inner();
        // The first one that is wrong ends the stream: the leader hears that a reply is missing.
        let requests = futures_util::stream::unfold(messages, move |mut messages| {
            let (links, peer) = (Arc::clone(&links), peer.clone());
            async move {
                let message = messages.message().await.ok()??;
                if links.is_cut(&peer) {
                    return None;
                }
                let request = decode_append(message);
                let request =
                    request.inspect_err(|error| tracing::warn!(%peer, %error, "a request cannot be used"));
                Some((request.ok()?, messages))
            }
        });
        let replies =
            self.raft.stream_append(requests).map(|reply| reply.as_ref().map(encode_reply).map_err(stopped));
        Ok(Response::new(Box::pin(replies)))
    }

    async fn heartbeat(
        &self,
        request: Request<proto::AppendRequest>,
    ) -> Result<Response<proto::AppendReply>, Status> {
        caller(&request)?;
        self.alertness.hear();
        let request = decode_append(request.into_inner()).map_err(Status::invalid_argument)?;
        let requests = Box::pin(futures_util::stream::once(async { request }));
        let reply = self.raft.stream_append(requests).boxed().next().await;
        let reply = reply.ok_or_else(|| stopped("it does not reply"))?.map_err(stopped)?;
        Ok(Response::new(encode_reply(&reply)))
    }

    async fn vote(&self, request: Request<proto::VoteRequest>) -> Result<Response<proto::VoteReply>, Status> {
        caller(&request)?;
        if let Some(reason) = self.abstention.reason() {
            return Err(Status::failed_precondition(reason));
        }
        let message = request.into_inner();
        if message.is_rehearsal && !message.is_transfer && self.stands_by_its_leader() {
            return Err(Status::failed_precondition("the leader had no chance to be heard"));
        }
        let vote = message.vote.ok_or_else(|| Status::invalid_argument("a request without a vote"))?;
        let mut asked = VoteRequest::new(vote.into(), message.last.map(Into::into));
        asked.leadership_transfer = message.is_transfer;
        let answer = match message.is_rehearsal {
            true => self.raft.pre_vote(asked).await,
            false => self.raft.vote(asked).await,
        };
        let answer = answer.map_err(stopped)?;
        Ok(Response::new(proto::VoteReply {
            vote: Some(answer.vote.into()),
            is_granted: answer.vote_granted,
            last: answer.last_log_id.map(Into::into),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<proto::TransferRequest>,
    ) -> Result<Response<proto::TransferReply>, Status> {
        caller(&request)?;
        let message = request.into_inner();
        let from: Vote =
            message.from.ok_or_else(|| Status::invalid_argument("a request without a vote"))?.into();
        let asked = TransferLeaderRequest::new(from, NodeId(message.to), message.last.map(Into::into));
        let answer = self.raft.handle_transfer_leader(asked).await.map_err(stopped)?;
        let refusal = answer.err().map(|refusal| refusal.to_string()).unwrap_or_default();
        Ok(Response::new(proto::TransferReply { refusal }))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<proto::SnapshotPart>>,
    ) -> Result<Response<proto::SnapshotReply>, Status> {
        caller(&request)?;
        let mut messages = request.into_inner();
        let mut vote = None;
        let mut content = BytesMut::new();
        while let Some(part) = messages.message().await? {
            vote = vote.or(part.vote);
            if content.len() + part.checkpoint.len() > CHECKPOINT_BYTES_MAX {
                return Err(Status::out_of_range("the checkpoint is too long"));
            }
            content.extend_from_slice(&part.checkpoint);
        }
        let vote: Vote = vote.ok_or_else(|| Status::invalid_argument("a checkpoint without a vote"))?.into();
        let content = content.freeze();
        let checkpoint = Checkpoint::decode(content.clone());
        let checkpoint = checkpoint.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let snapshot = Snapshot { meta: checkpoint.meta(), snapshot: content };
        let answer = self.raft.install_full_snapshot(vote, snapshot).await.map_err(stopped)?;
        Ok(Response::new(proto::SnapshotReply { vote: Some(answer.vote.into()) }))
    }

    async fn read_log(&self, request: Request<proto::LogRange>) -> Result<Response<proto::LogPart>, Status> {
        let range = request.into_inner();
        let log = self.log.clone();
        let bytes_max = usize::try_from(range.bytes_max).unwrap_or(usize::MAX).min(LOG_PART_BYTES_MAX);
        // In this order: whoever serves has all that was final before.
        let serves_in_term = self.proposer.open_term().unwrap_or_default();
        let confirmed = log.confirmed().offset.0;
        let read = move || log.final_units(LogOffset(range.offset), bytes_max);
        let units = match tokio::task::spawn_blocking(read).await.map_err(stopped)? {
            Ok(units) => units,
            Err(UnitsError::Log(ReadError::PastEnd { .. })) => Bytes::new(),
            Err(error) => return Err(Status::data_loss(error.to_string())),
        };
        Ok(Response::new(proto::LogPart { units, confirmed, serves_in_term }))
    }
}

fn decode_append(message: proto::AppendRequest) -> Result<AppendEntriesRequest<Types>, String> {
    let frames = message.frames.into_iter().map(Frame::check);
    let entries = frames.map(|frame| frame.map(Entry::from)).collect::<Result<Vec<_>, _>>();
    Ok(AppendEntriesRequest {
        vote: message.vote.ok_or("a request without a vote")?.into(),
        prev_log_id: message.previous.map(Into::into),
        entries: entries.map_err(|error| format!("a frame that is not whole: {error}"))?,
        leader_commit: message.leader_commit.map(Into::into),
    })
}

fn encode_reply(result: &StreamAppendResult<Types>) -> proto::AppendReply {
    let outcome = match result {
        Ok(Some(id)) => Outcome::Matched((*id).into()),
        Ok(None) => Outcome::MatchedNothing(proto::Nothing {}),
        Err(StreamAppendError::Conflict(id)) => Outcome::Conflict((*id).into()),
        Err(StreamAppendError::HigherVote(vote)) => Outcome::HigherVote((*vote).into()),
    };
    proto::AppendReply { outcome: Some(outcome) }
}
