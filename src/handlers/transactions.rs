//! The end of transactions.

use std::sync::Arc;

use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{EndTransaction, ResumeCheck};
use ferrymq_proto::net::{Call, Connection};

use crate::broker::Broker;
use crate::requests::{Answer, Reply, answered};
use crate::server::refuse;
use crate::services::transactions::{Ending, Outcome};

/// As Java writes them into `commitOrRollback`.
const COMMIT: i32 = 8;
const ROLL_BACK: i32 = 12;

/// 37. Nobody waits for its answer; Java has none for who does not know the outcome.
pub fn end(broker: &Arc<Broker>, call: Call) {
    let header = match EndTransaction::decode(&call.request.fields) {
        Ok(header) => header,
        Err(error) => return refuse(call, error.into()),
    };
    let outcome = match header.commit_or_rollback {
        COMMIT => Outcome::Commit,
        ROLL_BACK => Outcome::RollBack,
        _ => {
            let (half, remark) =
                (header.commit_log_offset, call.request.remark.as_deref().unwrap_or_default());
            tracing::debug!(%half, remark, "a producer does not know the outcome of its transaction");
            let answer = answered(&call.request, Ok(Reply::empty()));
            return call.answer(answer);
        }
    };
    let ending = Ending {
        half: header.commit_log_offset,
        queue_offset: header.transaction_table_offset,
        group: header.producer_group.to_string(),
        outcome,
        answers: header.from_transaction_check,
    };
    let (broker, runtime) = (Arc::clone(broker), broker.runtime.clone());
    runtime.spawn(async move {
        let half = ending.half;
        let ended = broker.transactions.end(ending).await;
        if let Err(refusal) = &ended {
            tracing::warn!(%half, peer = %call.connection.peer(), %refusal, "a transaction was not ended");
        }
        let answer = answered(&call.request, ended.map(|()| Reply::empty()));
        call.answer(answer);
    });
}

/// 323.
pub async fn resume(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let header = ResumeCheck::decode(&request.fields)?;
    let id = header.message_id.unwrap_or_default();
    broker.transactions.resume(&id).await?;
    Ok(Reply::empty())
}
