//! From the wire to the tables and back: one function a request. No state.

pub(crate) mod brokers;
pub(crate) mod clusters;
pub(crate) mod configuration;
pub(crate) mod kv;
pub(crate) mod lists;
pub(crate) mod topics;

use ferrymq_proto::json::{self, Dialect, ToJson};

/// A body as Apache writes it.
fn fastjson(body: &impl ToJson) -> String {
    json::to_string(body, Dialect::Fastjson)
}
