//! Speaking to peers.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, Snapshot};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::PollSender;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::unsafe_modes::{UnsafeMode, is_on};

use super::links::Links;
use super::passport::{Identity, Passport};
use super::session::{Session, decode, describe, encode};
use super::{
    CONNECTION_WINDOW_BYTES, HTTP_FRAME_BYTES, LOG_PART_BYTES_MAX, MESSAGE_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX,
    STREAM_WINDOW_BYTES,
};
use crate::proto;
use crate::proto::raft_client::RaftClient;
use crate::types::{Member, NodeId, Types, Vote};

/// Of a checkpoint, in one message.
const SNAPSHOT_PART_BYTES: usize = 1 << 20;
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// To one peer. One that owes so many is heard again with the next reply.
const HEARTBEATS_IN_FLIGHT_MAX: usize = 16;

/// What a connection is for. Each has its own, so that none waits behind another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Purpose {
    Frames,
    Control,
    Snapshot,
}

/// All connections of a node to others. A handle: clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    host: Identity,
    links: Arc<Links>,
    /// How long a follower may owe a reply.
    patience: Duration,
    /// By address and purpose. They connect when they are used.
    channels: Mutex<HashMap<(String, Purpose), Channel>>,
}

impl Peers {
    pub fn new(host: Identity, links: Arc<Links>, patience: Duration) -> Self {
        Self { inner: Arc::new(Inner { host, links, patience, channels: Mutex::default() }) }
    }

    fn channel(&self, address: &str, purpose: Purpose) -> Result<Channel, String> {
        let mut channels = self.inner.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (address.to_owned(), purpose);
        if let Some(channel) = channels.get(&key) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        let endpoint = endpoint.map_err(|error| format!("{address} is no address: {error}"))?;
        let channel = endpoint
            .connect_timeout(self.inner.patience)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(HTTP_FRAME_BYTES)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .connect_lazy();
        channels.insert(key, channel.clone());
        Ok(channel)
    }

    fn peer(&self, target: NodeId, member: &Member, purpose: Purpose) -> Peer {
        let heartbeats = Arc::new(Semaphore::new(HEARTBEATS_IN_FLIGHT_MAX));
        Peer { peers: self.clone(), target, member: member.clone(), purpose, heartbeats }
    }

    fn client(&self, address: &str, purpose: Purpose) -> Result<RaftClient<Channel>, String> {
        let client = RaftClient::new(self.channel(address, purpose)?);
        Ok(client.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Asks whoever is at a peer's address who it is.
    pub async fn introduce(
        &self,
        peer: &Member,
        own: proto::Introduction,
        within: Duration,
    ) -> Result<proto::Introduction, String> {
        if self.inner.links.is_cut(&peer.name) {
            return Err("the link is cut".into());
        }
        let mut client = self.client(&peer.address, Purpose::Control)?;
        let passport = Passport { from: self.inner.host.clone(), to: None };
        settle(timeout(within, client.introduce(passport.stamp(own))).await)
    }
}

impl Peers {
    /// What a peer has that is final, from an offset on.
    pub async fn read_log(
        &self,
        peer: &Member,
        offset: LogOffset,
        within: Duration,
    ) -> Result<proto::LogPart, String> {
        if self.inner.links.is_cut(&peer.name) {
            return Err("the link is cut".into());
        }
        let mut client = self.client(&peer.address, Purpose::Snapshot)?;
        let passport = Passport { from: self.inner.host.clone(), to: None };
        let range = proto::LogRange { offset: offset.0, bytes_max: LOG_PART_BYTES_MAX as u32 };
        settle(timeout(within, client.read_log(passport.stamp(range))).await)
    }
}

/// What came of a call.
fn settle<T>(outcome: Result<Result<Response<T>, Status>, tokio::time::error::Elapsed>) -> Result<T, String> {
    match outcome {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(describe(&status)),
        Err(_) => Err("no answer".into()),
    }
}

fn unreachable(error: impl ToString) -> RPCError<Types> {
    Unreachable::from_string(error).into()
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: NodeId, member: &Member) -> Peer {
        self.peer(target, member, Purpose::Frames)
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, member: &Member) -> Peer {
        self.peer(target, member, Purpose::Control)
    }
}

/// One peer.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    peers: Peers,
    target: NodeId,
    member: Member,
    /// Of the connection on which frames go.
    purpose: Purpose,
    /// Room for those on their way.
    heartbeats: Arc<Semaphore>,
}

impl Peer {
    fn passport(&self) -> Passport {
        Passport { from: self.peers.inner.host.clone(), to: Some(self.target) }
    }

    fn client(&self, purpose: Purpose) -> Result<RaftClient<Channel>, String> {
        if self.peers.inner.links.is_cut(&self.member.name) {
            return Err("the link is cut".into());
        }
        self.peers.client(&self.member.address, purpose)
    }

    async fn ask(
        &self,
        request: VoteRequest<Types>,
        is_rehearsal: bool,
        within: Duration,
    ) -> Result<VoteResponse<Types>, String> {
        let mut client = self.client(Purpose::Control)?;
        let message = proto::VoteRequest {
            vote: Some(request.vote.into()),
            last: request.last_log_id.map(Into::into),
            is_transfer: request.leadership_transfer,
            is_rehearsal,
        };
        let reply = settle(timeout(within, client.vote(self.passport().stamp(message))).await)?;
        let vote: Vote = reply.vote.ok_or("a reply without a vote")?.into();
        Ok(VoteResponse::new(vote, reply.last.map(Into::into), reply.is_granted))
    }

    async fn open_session<S>(&self, input: S) -> Result<Session<S>, String>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let mut client = self.client(self.purpose)?;
        let (sender, requests) = mpsc::channel(REQUESTS_IN_FLIGHT_MAX);
        let patience = self.peers.inner.patience;
        let opening = client.append(self.passport().stamp(ReceiverStream::new(requests)));
        let replies = settle(timeout(patience, opening).await)?;
        let link = (Arc::clone(&self.peers.inner.links), self.member.name.clone());
        Ok(Session::new(input, PollSender::new(sender), replies, patience, link))
    }
}

impl Peer {
    /// Says once that this leader is there. Whoever gives up waiting for the reply leaves the call on its way: also a late one
    /// tells the follower what it must know.
    async fn heartbeat<S>(&self, mut input: S) -> Result<StreamAppendResult<Types>, String>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Unpin,
    {
        let request = input.next().await.ok_or("a heartbeat without a request")?;
        let place = Arc::clone(&self.heartbeats).try_acquire_owned();
        let place = place.map_err(|_| "it does not reply to those before")?;
        let mut client = self.client(self.purpose)?;
        let message = self.passport().stamp(encode(request)?);
        let patience = self.peers.inner.patience;
        let call = tokio::spawn(async move {
            let reply = settle(timeout(patience, client.heartbeat(message)).await);
            drop(place);
            reply
        });
        let reply = call.await.map_err(|error| error.to_string())??;
        decode(reply).ok_or_else(|| "a reply without content".into())
    }
}

/// Requests that may wait for a follower whose replies nobody waits for.
const BELIEVED_MAX: usize = 64;

impl Peer {
    /// Wrong on purpose: what is sent counts as arrived.
    fn believe<S>(
        &self,
        input: S,
    ) -> impl Stream<Item = Result<StreamAppendResult<Types>, RPCError<Types>>> + Send + 'static
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let (sender, requests) = mpsc::channel(BELIEVED_MAX);
        let peer = self.clone();
        tokio::spawn(async move {
            if let Ok(mut session) = peer.open_session(ReceiverStream::new(requests)).await {
                while session.next().await.is_some() {}
            }
        });
        input.map(move |request| {
            let last = request.entries.last().map(openraft::entry::RaftEntry::log_id);
            let last = last.or(request.prev_log_id);
            // Whoever does not keep up has none of it.
            let _ = sender.try_send(request);
            Ok(Ok(last))
        })
    }
}

impl NetBackoff<Types> for Peer {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

impl NetVote<Types> for Peer {
    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask(request, false, option.soft_ttl()).await.map_err(unreachable)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask(request, true, option.soft_ttl()).await.map_err(unreachable)
    }
}

impl NetStreamAppend<Types> for Peer {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            if is_on(UnsafeMode::AckBeforeQuorum) {
                let believed: BoxStream<'s, _> = Box::pin(self.believe(input));
                return Ok(believed);
            }
            if self.purpose == Purpose::Control {
                let reply = self.heartbeat(input).await.map_err(unreachable);
                let replies: BoxStream<'s, _> = Box::pin(stream::iter([reply]));
                return Ok(replies);
            }
            let session = self.open_session(input).await.map_err(unreachable)?;
            let session: BoxStream<'s, _> = Box::pin(session);
            Ok(session)
        })
    }
}

impl NetTransferLeader<Types> for Peer {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let mut client = self.client(Purpose::Control).map_err(unreachable)?;
        let message = proto::TransferRequest {
            from: Some((*request.from_leader()).into()),
            to: request.to_node_id().0,
            last: request.last_log_id().map(|last| (*last).into()),
        };
        let reply = timeout(option.soft_ttl(), client.transfer_leader(self.passport().stamp(message))).await;
        match settle(reply).map_err(unreachable)?.refusal {
            none if none.is_empty() => Ok(Ok(())),
            refusal => Err(NetworkError::from_string(refusal).into()),
        }
    }
}

impl NetSnapshot<Types> for Peer {
    type SnapshotData = Bytes;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<openraft::vote::leader_id_std::CommittedLeaderId<u64>, NodeId, Member, Bytes>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let failed = |error: String| StreamingError::Unreachable(Unreachable::from_string(error));
        let mut client = self.client(Purpose::Snapshot).map_err(failed)?;
        let call = client.install_snapshot(self.passport().stamp(parts(vote, snapshot.snapshot)));
        let reply = tokio::select! {
            closed = cancel => return Err(StreamingError::Closed(closed)),
            reply = timeout(option.soft_ttl(), call) => settle(reply).map_err(failed)?,
        };
        let vote = reply.vote.ok_or_else(|| failed("a reply without a vote".into()))?;
        Ok(SnapshotResponse::new(vote.into()))
    }
}

/// A checkpoint in parts, of which there is always one.
fn parts(vote: Vote, checkpoint: Bytes) -> impl Stream<Item = proto::SnapshotPart> + Send + 'static {
    let next = move |(mut rest, vote): (Bytes, Option<Vote>)| {
        if rest.is_empty() && vote.is_none() {
            return None;
        }
        let part = rest.split_to(rest.len().min(SNAPSHOT_PART_BYTES));
        Some((proto::SnapshotPart { vote: vote.map(Into::into), checkpoint: part }, (rest, None)))
    };
    let mut state = Some((checkpoint, Some(vote)));
    stream::iter(std::iter::from_fn(move || {
        let (part, rest) = next(state.take()?)?;
        state = Some(rest);
        Some(part)
    }))
}
