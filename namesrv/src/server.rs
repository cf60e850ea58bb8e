//! The running name server: sockets on one side, tables on the other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use ferrymq_proto::net::{self, Call, Connection, Limits, Service};
use tokio::sync::watch;

use crate::changes::Changes;
use crate::kv::{KvError, KvTable};
use crate::notices::Notices;
use crate::office::Office;
use crate::refusal::Refusal;
use crate::requests::{self, Lane};
use crate::settings::{ConfigDesk, Settings};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("{0}")]
    Kv(#[from] KvError),
    #[error("cannot start the thread for changes: {0}")]
    Thread(io::Error),
}

/// A name server that listens. It serves once it is [`run`](Self::run).
pub struct Server {
    sockets: net::Server,
    address: SocketAddr,
    desk: Arc<Desk>,
    changes_thread: JoinHandle<()>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.address)
    }
}

impl Server {
    /// Loads the key-value table and starts to listen. Must be called on the runtime that shall serve.
    pub fn bind(
        listen: SocketAddr,
        settings: Settings,
        limits: Limits,
        desk: Arc<dyn ConfigDesk>,
    ) -> Result<Self, StartError> {
        let kv = KvTable::load(&settings.kv_config_path)?;
        let failed = |source| StartError::Listen { address: listen, source };
        let sockets = net::Server::bind(listen, limits).map_err(failed)?;
        let address = sockets.local_addr().map_err(failed)?;
        let office = Arc::new(Office::new(settings, kv, desk, Notices::new()));
        let (changes, changes_thread) = Changes::start(Arc::clone(&office)).map_err(StartError::Thread)?;
        Ok(Self { sockets, address, desk: Arc::new(Desk { office, changes }), changes_thread })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` turns true. Returns when every connection is closed and every change made.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let desk = Arc::clone(&self.desk);
        self.sockets.run(desk, stop).await;
        self.desk.changes.stop();
        if self.changes_thread.join().is_err() {
            tracing::error!("the thread for changes ended with a panic");
        }
    }
}

/// Where requests are handed in.
struct Desk {
    office: Arc<Office>,
    changes: Changes,
}

impl Service for Desk {
    fn serve(&self, call: Call) {
        match requests::lane(call.request.code) {
            Some(Lane::Read(handler)) => {
                let answer = requests::serve(handler, &self.office, &call.request, &call.connection);
                call.answer(answer);
            }
            Some(Lane::Change(handler)) => self.changes.request(call, handler),
            Some(Lane::Departure) => {
                self.changes.departure(call, self.office.settings().unregister_broker_queue_capacity);
            }
            None => {
                let answer = requests::refused(&call.request, &Refusal::NotSupported(call.request.code));
                call.answer(answer);
            }
        }
    }

    fn closed(&self, connection: &Connection) {
        // Also of a connection whose registration still waits: it is told in its turn.
        self.changes.lost(connection);
    }
}
