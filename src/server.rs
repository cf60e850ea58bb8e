//! A command in: its row is found, role and limits are checked, and it is served.

use std::sync::Arc;

use ferrymq_proto::net::{Call, Connection, Service};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::replication::NotStored;
use crate::requests::{self, Lane, Role, answered};

/// Rare requests that run beside each other. The next ones hear that the broker is busy.
const TASKS_MAX: usize = 256;

/// Where requests are handed in.
pub struct Counter {
    broker: Arc<Broker>,
    runtime: Handle,
    tasks: Arc<Semaphore>,
}

impl Counter {
    /// Tasks run on the runtime that calls this.
    pub fn new(broker: Arc<Broker>) -> Self {
        Self { broker, runtime: Handle::current(), tasks: Arc::new(Semaphore::new(TASKS_MAX)) }
    }

    fn spawn(
        &self,
        call: Call,
        lane: fn(Arc<Broker>, ferrymq_proto::command::Command, Connection) -> requests::Task,
    ) {
        let Ok(permit) = Arc::clone(&self.tasks).try_acquire_owned() else {
            return refuse(call, Refusal::Overloaded);
        };
        let task = lane(Arc::clone(&self.broker), call.request.clone(), call.connection.clone());
        self.runtime.spawn(async move {
            let answer = answered(&call.request, task.await);
            call.answer(answer);
            drop(permit);
        });
    }
}

impl Service for Counter {
    fn serve(&self, call: Call) {
        let Some(row) = requests::find(call.request.code) else {
            let code = call.request.code;
            return refuse(call, Refusal::NotSupported(code));
        };
        let may_serve = match row.role {
            Role::Leader | Role::Carried => self.broker.writer.is_leader(),
            Role::Current => self.broker.writer.is_current(),
            Role::Any => true,
        };
        if !may_serve {
            if let (Role::Carried, Some(courier)) = (row.role, &self.broker.courier) {
                return courier.carry(call);
            }
            return refuse(call, Refusal::NotStored(NotStored::NotLeader));
        }
        match row.lane {
            Lane::Now(handler) => {
                let answer = answered(&call.request, handler(&self.broker, &call.request, &call.connection));
                call.answer(answer);
            }
            Lane::Kept(handler) => handler(&self.broker, call),
            Lane::Task(handler) => self.spawn(call, handler),
        }
    }

    fn closed(&self, connection: &Connection) {
        self.broker.connection_closed(connection);
    }
}

/// Answers a call with a refusal.
pub fn refuse(call: Call, refusal: Refusal) {
    let answer = answered(&call.request, Err(refusal));
    call.answer(answer);
}
