//! Every request a name server serves: one row per code.
//!
//! The lane says who serves it. Reads are served where they arrive, beside each other; changes go through one thread, in the
//! order of their arrival.

use ferrymq_proto::code::{RequestCode, ResponseCode};
use ferrymq_proto::command::Command;
use ferrymq_proto::net::Connection;

use crate::handlers::{brokers, clusters, configuration, kv, lists, topics};
use crate::office::{Office, Reply};
use crate::refusal::Refusal;

pub(crate) type Handler = fn(&Office, &Command, &Connection) -> Result<Reply, Refusal>;

#[derive(Clone, Copy)]
pub(crate) enum Lane {
    Read(Handler),
    Change(Handler),
    /// A change that is made together with others of its kind; only so many may wait.
    Departure,
}

macro_rules! requests {
    ($($code:ident => $lane:expr;)*) => {
        /// The most frequent request stands first: rows are searched in order.
        const ROWS: &[(RequestCode, Lane)] = &[$((RequestCode::$code, $lane),)*];
    };
}

requests! {
    GET_ROUTEINFO_BY_TOPIC              => Lane::Read(topics::route);
    BROKER_HEARTBEAT                    => Lane::Change(brokers::heartbeat);
    QUERY_DATA_VERSION                  => Lane::Change(brokers::query_version);
    REGISTER_BROKER                     => Lane::Change(brokers::register);
    UNREGISTER_BROKER                  => Lane::Departure;
    GET_BROKER_MEMBER_GROUP             => Lane::Read(clusters::members);
    GET_BROKER_CLUSTER_INFO             => Lane::Read(clusters::info);
    WIPE_WRITE_PERM_OF_BROKER           => Lane::Change(brokers::wipe_write_permission);
    ADD_WRITE_PERM_OF_BROKER            => Lane::Change(brokers::add_write_permission);
    REGISTER_TOPIC_IN_NAMESRV           => Lane::Change(topics::register);
    DELETE_TOPIC_IN_NAMESRV             => Lane::Change(topics::delete);
    GET_ALL_TOPIC_LIST_FROM_NAMESERVER  => Lane::Read(lists::all);
    GET_TOPICS_BY_CLUSTER               => Lane::Read(lists::of_cluster);
    GET_SYSTEM_TOPIC_LIST_FROM_NS       => Lane::Read(lists::system);
    GET_UNIT_TOPIC_LIST                 => Lane::Read(lists::unit);
    GET_HAS_UNIT_SUB_TOPIC_LIST         => Lane::Read(lists::unit_subscribed);
    GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST  => Lane::Read(lists::unit_subscribed_plain);
    PUT_KV_CONFIG                       => Lane::Change(kv::put);
    GET_KV_CONFIG                       => Lane::Read(kv::get);
    DELETE_KV_CONFIG                    => Lane::Change(kv::delete);
    GET_KVLIST_BY_NAMESPACE             => Lane::Read(kv::namespace);
    UPDATE_NAMESRV_CONFIG               => Lane::Change(configuration::update);
    GET_NAMESRV_CONFIG                  => Lane::Read(configuration::text);
}

/// The codes that are served, most frequent first.
pub fn served() -> impl Iterator<Item = RequestCode> {
    ROWS.iter().map(|(code, _)| *code)
}

pub(crate) fn lane(code: i32) -> Option<Lane> {
    ROWS.iter().find(|(served, _)| served.0 == code).map(|(_, lane)| *lane)
}

/// Serves one request.
pub(crate) fn serve(
    handler: Handler,
    office: &Office,
    request: &Command,
    connection: &Connection,
) -> Command {
    match handler(office, request, connection) {
        Ok(reply) => {
            let mut answer = request.answer(ResponseCode::SUCCESS).with_body(reply.body);
            if let Some(fields) = reply.fields {
                answer.fields = fields;
            }
            answer
        }
        Err(refusal) => refused(request, &refusal),
    }
}

pub(crate) fn refused(request: &Command, refusal: &Refusal) -> Command {
    request.answer(refusal.code()).with_remark(refusal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_one_row() {
        let mut codes: Vec<_> = served().collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ROWS.len());
    }
}
