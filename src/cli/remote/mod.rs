//! What the commands that talk to servers have in common: whom they ask, how long they wait, and how they say what they heard.

mod failure;
mod messages;
mod moment;
mod output;
mod resending;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use ferrymq_proto::bodies::{ClusterInfo, QueueData, TopicRoute};
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::header::Request;
use ferrymq_proto::headers::{GetClusterInfo, GetRoute};
use ferrymq_proto::json::{self, FromJson};
use ferrymq_proto::net::{CallError, Client};

use crate::config::shown;
use crate::state::permission;
pub use failure::Failure;
pub use messages::{COLUMNS, Found, Pulled, row, show, shown_body, unreadable};
pub use moment::Moment;
pub use output::{Cell, Format, Table};
pub use resending::{Located, locate, with_unique_id};

const TIMEOUT_SECONDS: u64 = 5;
const DEFAULT_NAME_SERVER: &str = "127.0.0.1:9876";
/// The broker id of a leader.
pub const LEADER: i64 = 0;
/// How long a command waits for a group that changes its leader.
const LEADER_CHANGE_MAX: Duration = Duration::from_secs(5);
const LEADER_CHANGE_PAUSE: Duration = Duration::from_millis(200);

#[derive(Clone, Debug, Args)]
pub struct Reach {
    /// Name servers, `;` between them. Unless given: NAMESRV_ADDR, or else 127.0.0.1:9876.
    #[arg(short = 'n', long = "namesrv", value_name = "HOST:PORT")]
    name_servers: Option<String>,

    /// How long to wait for each answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT_SECONDS)]
    timeout: u64,

    /// How to print.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

impl Reach {
    /// As if nothing but the name servers had been given.
    pub fn naming(name_servers: Option<&str>) -> Self {
        Self {
            name_servers: name_servers.map(str::to_owned),
            timeout: TIMEOUT_SECONDS,
            format: Format::Table,
        }
    }
}

/// Does what a command asks of the servers, and says how it ended.
pub fn run(reach: &Reach, work: impl AsyncFnOnce(Remote) -> Result<(), Failure>) -> ExitCode {
    run_with(Remote::new(reach), work)
}

/// The same with one server that is named.
pub fn run_at(address: &str, work: impl AsyncFnOnce(Remote) -> Result<(), Failure>) -> ExitCode {
    run_with(Remote::at(address), work)
}

fn run_with(remote: Remote, work: impl AsyncFnOnce(Remote) -> Result<(), Failure>) -> ExitCode {
    // One thread is enough, and starts faster than several.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(work(remote)),
        Err(error) => Err(Failure::operation(format!("the system refused: {error}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

/// The servers of one cluster.
#[derive(Debug)]
pub struct Remote {
    name_servers: Vec<String>,
    timeout: Duration,
    format: Format,
    clients: Mutex<BTreeMap<String, Arc<Client>>>,
}

/// A broker node as the name servers know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    pub group: String,
    pub id: i64,
    pub address: String,
}

impl Remote {
    /// The cluster that one name server knows.
    pub fn at(name_server: &str) -> Self {
        Self {
            name_servers: vec![name_server.to_owned()],
            timeout: Duration::from_secs(1),
            format: Format::Table,
            clients: Mutex::default(),
        }
    }

    fn new(reach: &Reach) -> Self {
        let given = reach.name_servers.clone().or_else(|| std::env::var("NAMESRV_ADDR").ok());
        let given = given.filter(|addresses| !addresses.trim().is_empty());
        let addresses = given.unwrap_or_else(|| DEFAULT_NAME_SERVER.to_owned());
        let name_servers = addresses.split([';', ',']).map(str::trim).filter(|address| !address.is_empty());
        Self {
            name_servers: name_servers.map(str::to_owned).collect(),
            timeout: Duration::from_secs(reach.timeout.max(1)),
            format: reach.format,
            clients: Mutex::default(),
        }
    }

    pub fn name_servers(&self) -> &[String] {
        &self.name_servers
    }

    pub fn print(&self, schema: &str, table: &Table) {
        super::print(&table.written(schema, self.format));
    }

    /// What there is to say of one thing: for people a line each, for programs one row.
    pub fn print_one(&self, schema: &str, facts: &[(&'static str, Cell)]) {
        let mut table = match self.format {
            Format::Table => Table::new(&["fact", "value"]),
            Format::Json => Table::new(&facts.iter().map(|(name, _)| *name).collect::<Vec<_>>()),
        };
        match self.format {
            Format::Table => {
                facts.iter().for_each(|(name, value)| table.row([(*name).into(), value.clone()]));
            }
            Format::Json => table.row(facts.iter().map(|(_, value)| value.clone())),
        }
        self.print(schema, &table);
    }

    /// A sentence for people. Who reads JSON has no use for it.
    pub fn say(&self, sentence: &str) {
        if self.format == Format::Table {
            super::print(&format!("{sentence}\n"));
        }
    }

    fn client(&self, address: &str) -> Arc<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = || Arc::new(Client::new(address, self.timeout));
        Arc::clone(clients.entry(address.to_owned()).or_insert_with(client))
    }

    /// Asks one name server after the other until one can be reached.
    pub async fn ask_name_server<R: Request>(&self, request: &R) -> Result<(R::Reply, Bytes), Failure> {
        let mut last = None;
        for address in &self.name_servers {
            match self.client(address).call(request, Bytes::new()).await {
                Ok(answer) => return Ok(answer),
                Err(error @ (CallError::Refused { .. } | CallError::BadAnswer(_))) => {
                    return Err(Failure::answer(address, error));
                }
                Err(error) => last = Some(error),
            }
        }
        Err(Failure::no_name_server(&self.name_servers, last.as_ref()))
    }

    /// All of them: each keeps its own routes.
    pub async fn tell_name_servers<R: Request>(&self, request: &R) -> Result<(), Failure> {
        for address in &self.name_servers {
            self.client(address)
                .call(request, Bytes::new())
                .await
                .map_err(|error| Failure::answer(address, error))?;
        }
        Ok(())
    }

    pub async fn ask<R: Request>(
        &self,
        address: &str,
        request: &R,
        body: Bytes,
    ) -> Result<(R::Reply, Bytes), Failure> {
        let answer = self.client(address).call(request, body).await;
        answer.map_err(|error| Failure::answer(address, error))
    }

    /// Asks for something whose answer is a JSON body.
    pub async fn ask_for<R: Request, B: FromJson>(&self, address: &str, request: &R) -> Result<B, Failure> {
        let (_, body) = self.ask(address, request, Bytes::new()).await?;
        parsed(address, &body)
    }

    /// The answer, whatever its code.
    pub async fn exchange<R: Request>(
        &self,
        address: &str,
        request: &R,
    ) -> Result<ferrymq_proto::command::Command, Failure> {
        let mut command = ferrymq_proto::command::Command::request(R::CODE);
        command.fields = request.to_fields();
        let answer = self.client(address).exchange(command).await;
        answer.map_err(|error| Failure::answer(address, error))
    }

    /// Tries again while the leader changes. Each try must look anew who leads.
    pub async fn patiently<T>(&self, attempt: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
        let until = Instant::now() + LEADER_CHANGE_MAX;
        loop {
            match attempt().await {
                Err(failure) if failure.passes() && Instant::now() < until => {
                    tokio::time::sleep(LEADER_CHANGE_PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    pub async fn cluster(&self) -> Result<ClusterInfo, Failure> {
        let (_, body) = self.ask_name_server(&GetClusterInfo {}).await?;
        parsed("the name server", &body)
    }

    /// All nodes, by group and id.
    pub async fn nodes(&self) -> Result<Vec<Node>, Failure> {
        let cluster = self.cluster().await?;
        let mut nodes: Vec<Node> = cluster
            .broker_addr_table
            .into_iter()
            .flat_map(|(group, data)| {
                let node = move |(id, address): (i64, String)| Node {
                    group: shown(&group),
                    id,
                    address: shown(&address),
                };
                data.broker_addrs.into_iter().map(node)
            })
            .collect();
        nodes.sort();
        Ok(nodes)
    }

    /// The leader of each group that has one; of `group` alone, if it is given.
    pub async fn leaders(&self, group: Option<&str>) -> Result<Vec<Node>, Failure> {
        let mut nodes = self.nodes().await?;
        nodes.retain(|node| node.id == LEADER && group.is_none_or(|group| group == node.group));
        if nodes.is_empty() {
            return Err(Failure::no_leader(group));
        }
        Ok(nodes)
    }

    /// `None`: no name server knows the topic.
    pub async fn find_route(&self, topic: &str) -> Result<Option<TopicRoute>, Failure> {
        let request =
            GetRoute { topic: topic.into(), accept_standard_json_only: Some(true), ..GetRoute::default() };
        match self.ask_name_server(&request).await {
            Ok((_, body)) => parsed("the name server", &body).map(Some),
            Err(failure) if failure.is(ResponseCode::TOPIC_NOT_EXIST) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub async fn route(&self, topic: &str) -> Result<TopicRoute, Failure> {
        self.find_route(topic).await?.ok_or_else(|| Failure::no_topic(topic))
    }

    /// The queues of a topic that can be read, and where their leaders are.
    pub async fn readable(&self, topic: &str) -> Result<Vec<(Node, i32)>, Failure> {
        self.queues(topic, |queues| queues.read_queue_nums).await
    }

    pub async fn writable(&self, topic: &str) -> Result<Vec<(Node, i32)>, Failure> {
        // It is up to clients to keep to a topic's permission.
        let may_write = |queues: &QueueData| queues.perm & permission::WRITE != 0;
        self.queues(topic, |queues| if may_write(queues) { queues.write_queue_nums } else { 0 }).await
    }

    async fn queues(
        &self,
        topic: &str,
        count: impl Fn(&QueueData) -> i32,
    ) -> Result<Vec<(Node, i32)>, Failure> {
        let route = self.route(topic).await?;
        let mut found = Vec::new();
        for queues in &route.queue_datas {
            let data = route.broker_datas.iter().find(|data| data.broker_name == queues.broker_name);
            // Where there is no leader, a follower can still be read.
            let member = data.and_then(|data| data.broker_addrs.iter().next());
            if let Some((id, address)) = member {
                let node = Node { group: shown(&queues.broker_name), id: *id, address: shown(address) };
                found.push((node, count(queues)));
            }
        }
        Ok(found)
    }
}

pub fn parsed<B: FromJson>(address: &str, body: &[u8]) -> Result<B, Failure> {
    json::from_slice(body)
        .map_err(|error| Failure::operation(format!("the answer of {address} cannot be read: {error}")))
}
