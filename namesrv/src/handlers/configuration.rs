//! The running configuration, as text.

use ferrymq_proto::command::Command;
use ferrymq_proto::net::Connection;

use crate::office::{Office, Reply};
use crate::refusal::Refusal;

pub(crate) fn text(office: &Office, _: &Command, _: &Connection) -> Result<Reply, Refusal> {
    Ok(Reply::body(office.desk.text()))
}

/// Without a body there is nothing to change.
pub(crate) fn update(office: &Office, request: &Command, connection: &Connection) -> Result<Reply, Refusal> {
    let text = std::str::from_utf8(&request.body).map_err(|_| Refusal::ConfigNotUtf8)?;
    if !text.is_empty() {
        let settings = office.desk.update(text).inspect_err(|refused| {
            tracing::warn!(peer = %connection.peer(), %refused, "a change of the configuration was refused");
        })?;
        office.set_settings(settings);
        tracing::info!(peer = %connection.peer(), "the configuration was changed");
    }
    Ok(Reply::default())
}
