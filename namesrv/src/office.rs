//! The tables and what stands around them, shared by all who serve requests.
//!
//! Anybody may read. Only the thread of `changes` writes, one change after the other, so that what it read a moment ago is
//! still true when it writes.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use ferrymq_proto::net::{Connection, ConnectionId};

use crate::kv::KvTable;
use crate::notices::Notices;
use crate::routes::Routes;
use crate::settings::{ConfigDesk, Settings};

pub(crate) struct Office {
    routes: RwLock<Routes>,
    kv: RwLock<KvTable>,
    settings: RwLock<Arc<Settings>>,
    /// Brokers' connections, to be closed when they fall silent. Each stays as long as it is open.
    broker_connections: RwLock<std::collections::HashMap<ConnectionId, Connection>>,
    pub(crate) desk: Arc<dyn ConfigDesk>,
    pub(crate) notices: Notices,
    pub(crate) started: Instant,
}

/// A table is never left half-changed by a panic: changes are checked before they are made.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Office {
    pub(crate) fn new(settings: Settings, kv: KvTable, desk: Arc<dyn ConfigDesk>, notices: Notices) -> Self {
        Self {
            routes: RwLock::default(),
            kv: RwLock::new(kv),
            settings: RwLock::new(Arc::new(settings)),
            broker_connections: RwLock::default(),
            desk,
            notices,
            started: Instant::now(),
        }
    }

    pub(crate) fn routes(&self) -> RwLockReadGuard<'_, Routes> {
        read(&self.routes)
    }

    pub(crate) fn routes_mut(&self) -> RwLockWriteGuard<'_, Routes> {
        write(&self.routes)
    }

    pub(crate) fn kv(&self) -> RwLockReadGuard<'_, KvTable> {
        read(&self.kv)
    }

    pub(crate) fn kv_mut(&self) -> RwLockWriteGuard<'_, KvTable> {
        write(&self.kv)
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&read(&self.settings))
    }

    pub(crate) fn set_settings(&self, settings: Settings) {
        *write(&self.settings) = Arc::new(settings);
    }

    pub(crate) fn note_broker(&self, connection: &Connection) {
        write(&self.broker_connections).insert(connection.id(), connection.clone());
    }

    pub(crate) fn broker_connection(&self, id: ConnectionId) -> Option<Connection> {
        read(&self.broker_connections).get(&id).cloned()
    }

    pub(crate) fn forget_broker(&self, connection: &Connection) {
        write(&self.broker_connections).remove(&connection.id());
    }
}

/// What a client hears when all went well.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) fields: Option<ferrymq_proto::fields::Fields>,
    pub(crate) body: bytes::Bytes,
}

impl Reply {
    pub(crate) fn header(header: &impl ferrymq_proto::header::Header) -> Self {
        Self { fields: Some(header.to_fields()), ..Self::default() }
    }

    pub(crate) fn body(body: impl Into<bytes::Bytes>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    pub(crate) fn with_body(mut self, body: impl Into<bytes::Bytes>) -> Self {
        self.body = body.into();
        self
    }
}
