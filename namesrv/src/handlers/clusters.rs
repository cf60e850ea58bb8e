//! Who is there.

use ferrymq_proto::bodies::{MemberGroup, MemberGroupReply};
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::GetMemberGroup;
use ferrymq_proto::net::Connection;

use super::fastjson;
use crate::office::{Office, Reply};
use crate::refusal::Refusal;

/// An unknown group has no members.
pub(crate) fn members(office: &Office, request: &Command, _: &Connection) -> Result<Reply, Refusal> {
    let header = GetMemberGroup::decode(&request.fields)?;
    let members = MemberGroup {
        broker_addrs: office.routes().members(&header.broker_name).cloned().unwrap_or_default(),
        broker_name: header.broker_name.to_string(),
        cluster: header.cluster_name.to_string(),
    };
    Ok(Reply::body(fastjson(&MemberGroupReply { broker_member_group: Some(members) })))
}

pub(crate) fn info(office: &Office, _: &Command, _: &Connection) -> Result<Reply, Refusal> {
    Ok(Reply::body(fastjson(&office.routes().cluster_info())))
}
