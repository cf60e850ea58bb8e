//! A message that reached a node that does not lead is carried to the one that does, and the answer back.
//!
//! Clients learn only every 30 seconds who leads, and repeat a refused send at the same address. With a courier they need not
//! know: a node that has handed its leadership over serves as a door until they have heard. What is carried once is not
//! carried again: whoever gets it and does not lead says so, and it is carried to another one. What may have been stored already is
//! not repeated here, but by the client if it likes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrymq_proto::bodies::MemberGroupReply;
use ferrymq_proto::command::Command;
use ferrymq_proto::headers::GetMemberGroup;
use ferrymq_proto::json;
use ferrymq_proto::net::{Call, CallError, Client};
use ferrymq_proto::text::Text;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{sleep, timeout_at};

use crate::refusal::Refusal;
use crate::replication::NotStored;
use crate::requests::answered;
use crate::server::refuse;

/// Marks a request as carried.
const CARRIED: &str = "ferrymqCarried";
/// Marks the answer of a node that got a carried request and does not lead: nothing was stored.
const LEADS_NOT: &str = "ferrymqLeadsNot";
/// Requests that are under way to the leader. The next ones hear that this node does not lead.
const CARRIED_MAX: usize = 1024;
/// How long a request may wait for a leader: clients wait three seconds for their answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the leader is taken for the one it was.
const KNOWN_LIFE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// The leader of a group.
const LEADER: i64 = 0;

pub struct Courier {
    question: GetMemberGroup,
    own_address: String,
    name_servers: Vec<Arc<Client>>,
    /// Who led when it was asked last. Who waits for the lock waits for the answer.
    leader: Mutex<Option<(String, Arc<Client>, Instant)>>,
    under_way: Arc<Semaphore>,
    runtime: Handle,
}

impl Courier {
    pub fn new(cluster: Text, broker: Text, own_address: String, name_servers: Vec<Arc<Client>>) -> Self {
        Self {
            question: GetMemberGroup { cluster_name: cluster, broker_name: broker },
            own_address,
            name_servers,
            leader: Mutex::default(),
            under_way: Arc::new(Semaphore::new(CARRIED_MAX)),
            runtime: Handle::current(),
        }
    }

    /// Has the leader answer a call.
    pub fn carry(self: &Arc<Self>, mut call: Call) {
        let refusal = Refusal::NotStored(NotStored::NotLeader);
        if call.request.fields.get(CARRIED).is_some() {
            let mut answer = answered(&call.request, Err(refusal));
            answer.fields.push(LEADS_NOT, Text::from_static("1"));
            return call.answer(answer);
        }
        let permit = Arc::clone(&self.under_way).try_acquire_owned();
        let (Ok(permit), true) = (permit, call.set_aside()) else { return refuse(call, refusal) };
        let courier = Arc::clone(self);
        self.runtime.spawn(async move {
            match courier.ask_leader(&call.request).await {
                Ok(answer) => {
                    let answer = Command { opaque: call.request.opaque, form: call.request.form, ..answer };
                    call.answer(answer);
                }
                Err(reason) => refuse(call, Refusal::NotStored(reason)),
            }
            drop(permit);
        });
    }

    async fn ask_leader(&self, request: &Command) -> Result<Command, NotStored> {
        let mut carried = request.clone();
        // Whether it wants an answer or not: this node wants to know.
        carried.flag = 0;
        carried.fields.push(CARRIED, Text::from_static("1"));
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let leader = timeout_at(until, self.leader()).await.map_err(|_| NotStored::NotLeader)?;
            match leader.exchange(carried.clone()).await {
                Ok(answer) if answer.fields.get(LEADS_NOT).is_none() => return Ok(answer),
                // Nothing was sent, or nothing stored: it is gone, or leads no longer, and another one will lead.
                Ok(_) | Err(CallError::Connect { .. }) => {
                    self.forget(&leader).await;
                    sleep(PAUSE).await;
                }
                // Nobody knows what the leader did.
                Err(error) => {
                    tracing::debug!(%error, "a request did not come back from the leader");
                    return Err(NotStored::LeaderChanged);
                }
            }
        }
    }

    async fn forget(&self, gone: &Arc<Client>) {
        let mut leader = self.leader.lock().await;
        leader.take_if(|(_, client, _)| Arc::ptr_eq(client, gone));
    }

    /// Waits until the name servers know one that is not this node.
    async fn leader(&self) -> Arc<Client> {
        let mut known = self.leader.lock().await;
        loop {
            if let Some((_, client, since)) = &*known
                && since.elapsed() < KNOWN_LIFE
            {
                return Arc::clone(client);
            }
            match self.look_up().await {
                Some(address) => {
                    let client = match known.take() {
                        Some((same, client, _)) if same == address => client,
                        _ => Arc::new(Client::new(address.clone(), PATIENCE)),
                    };
                    *known = Some((address, client, Instant::now()));
                }
                None => sleep(PAUSE).await,
            }
        }
    }

    async fn look_up(&self) -> Option<String> {
        for name_server in &self.name_servers {
            let Ok((_, body)) = name_server.call(&self.question, Bytes::new()).await else { continue };
            let Ok(reply) = json::from_slice::<MemberGroupReply>(&body) else { continue };
            let members = reply.broker_member_group.map(|group| group.broker_addrs).unwrap_or_default();
            match members.get(&LEADER) {
                Some(address) if *address != self.own_address => return Some(address.clone()),
                _ => {}
            }
        }
        None
    }
}
