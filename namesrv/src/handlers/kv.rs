//! The key-value table.

use ferrymq_proto::bodies;
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{DeleteKv, GetKv, GetKvReply, GetKvTable, PutKv};
use ferrymq_proto::net::Connection;

use super::fastjson;
use crate::office::{Office, Reply};
use crate::refusal::Refusal;

pub(crate) fn put(office: &Office, request: &Command, _: &Connection) -> Result<Reply, Refusal> {
    let header = PutKv::decode(&request.fields)?;
    let changed = office.kv().with(&header.namespace, &header.key, &header.value)?;
    changed.save()?;
    *office.kv_mut() = changed;
    Ok(Reply::default())
}

pub(crate) fn get(office: &Office, request: &Command, _: &Connection) -> Result<Reply, Refusal> {
    let header = GetKv::decode(&request.fields)?;
    match office.kv().get(&header.namespace, &header.key) {
        Some(value) => Ok(Reply::header(&GetKvReply { value: Some(value.into()) })),
        None => {
            Err(Refusal::NoValue { namespace: header.namespace.to_string(), key: header.key.to_string() })
        }
    }
}

/// What is not there is deleted already.
pub(crate) fn delete(office: &Office, request: &Command, _: &Connection) -> Result<Reply, Refusal> {
    let header = DeleteKv::decode(&request.fields)?;
    let changed = office.kv().without(&header.namespace, &header.key);
    if let Some(changed) = changed {
        changed.save()?;
        *office.kv_mut() = changed;
    }
    Ok(Reply::default())
}

pub(crate) fn namespace(office: &Office, request: &Command, _: &Connection) -> Result<Reply, Refusal> {
    let header = GetKvTable::decode(&request.fields)?;
    match office.kv().namespace(&header.namespace) {
        Some(table) => Ok(Reply::body(fastjson(&bodies::KvTable { table: table.clone() }))),
        None => Err(Refusal::NoNamespace(header.namespace.to_string())),
    }
}
