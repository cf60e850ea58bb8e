//! What the broker tells clients and asks of them.

use std::time::Duration;

use bytes::Bytes;
use ferrymq_proto::code::RequestCode;
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Request;
use ferrymq_proto::net::Connection;
use tokio::time::timeout;

use super::Clients;
use super::table::Member;
use crate::refusal::Refusal;

/// Questions to clients that wait for their answers. The next ones are refused.
pub const QUESTIONS_MAX: usize = 128;

/// A request to a client.
pub fn request<R: Request>(header: &R, body: impl Into<Bytes>) -> Command {
    let mut command = Command::request(R::CODE).with_body(body);
    command.fields = header.to_fields();
    command
}

/// A question that was sent. Whoever stops waiting is forgotten by the connection as well.
struct Question<'c> {
    connection: &'c Connection,
    opaque: i32,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.connection.forget(self.opaque);
    }
}

/// Why a client has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    Gone,
    Late,
}

/// Asks whoever is behind the connection, and waits for its answer so long.
pub async fn ask_over(
    connection: &Connection,
    request: Command,
    wait: Duration,
) -> Result<Command, Unanswered> {
    let (opaque, answer) = connection.request(request);
    let question = Question { connection, opaque };
    let answer = timeout(wait, answer).await;
    drop(question);
    answer.map_err(|_| Unanswered::Late)?.map_err(|_| Unanswered::Gone)
}

impl Clients {
    /// Sends a request that nobody answers. Whether it was taken.
    pub fn tell(&self, member: &Member, request: Command) -> bool {
        self.connection(member.caller.connection).is_some_and(|connection| connection.push(request))
    }

    /// Asks a member of a group, and waits for its answer so long.
    pub async fn ask(
        &self,
        group: &str,
        member: &Member,
        request: Command,
        wait: Duration,
    ) -> Result<Command, Refusal> {
        let client = &member.caller.client;
        let gone = || Refusal::NotOnline { group: group.to_owned(), client: client.to_string() };
        let Ok(_permit) = self.questions.try_acquire() else { return Err(Refusal::Overloaded) };
        let connection = self.connection(member.caller.connection).ok_or_else(gone)?;
        let code = RequestCode(request.code);
        match ask_over(&connection, request, wait).await {
            Ok(answer) => Ok(answer),
            Err(Unanswered::Gone) => Err(gone()),
            Err(Unanswered::Late) => {
                tracing::info!(group, %client, ?code, "a client did not answer");
                Err(Refusal::ClientTimeout {
                    group: group.to_owned(),
                    client: client.to_string(),
                    after: wait,
                })
            }
        }
    }
}
