//! Typed calls over one connection, which is opened when it is needed and opened again after it was lost.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use super::connection::{Call, Connection, Service};
use super::limits::Limits;
use super::session;
use crate::code::ResponseCode;
use crate::command::{Command, HeaderForm};
use crate::header::{Header, HeaderError, Request};
use crate::text::Text;

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    /// The request may have been carried out.
    #[error("{address} did not answer within {after:?}")]
    Timeout { address: String, after: Duration },
    /// The request may have been carried out.
    #[error("{address} closed the connection before it answered")]
    Closed { address: String },
    #[error("{code}: {remark}")]
    Refused { code: ResponseCode, remark: Text },
    #[error("the answer cannot be read: {0}")]
    BadAnswer(#[from] HeaderError),
}

/// A peer that we call. It answers requests of its own through the service it was given.
pub struct Client {
    address: String,
    form: HeaderForm,
    timeout: Duration,
    service: Arc<dyn Service>,
    /// The newest connection; it may have been closed since.
    connection: Mutex<Option<Connection>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.address)
    }
}

/// Refuses whatever a peer asks.
struct NoService;

impl Service for NoService {
    fn serve(&self, call: Call) {
        let remark = format!(" request type {} not supported", call.request.code);
        let answer = call.request.answer(ResponseCode::REQUEST_CODE_NOT_SUPPORTED).with_remark(remark);
        call.answer(answer);
    }
}

impl Client {
    /// A client for `host:port`. Connecting and each call may take `timeout`.
    pub fn new(address: impl Into<String>, timeout: Duration) -> Self {
        let address = address.into();
        Self {
            address,
            form: HeaderForm::Json,
            timeout,
            service: Arc::new(NoService),
            connection: Mutex::new(None),
        }
    }

    /// Writes headers in this form.
    pub fn with_form(mut self, form: HeaderForm) -> Self {
        self.form = form;
        self
    }

    /// Serves what the peer asks of us.
    pub fn with_service(mut self, service: Arc<dyn Service>) -> Self {
        self.service = service;
        self
    }

    /// Makes a typed call. Any code but SUCCESS is an error; [`Self::exchange`] shows them all.
    pub async fn call<R: Request>(&self, request: &R, body: Bytes) -> Result<(R::Reply, Bytes), CallError> {
        let answer = self.exchange(typed(request, body)).await?;
        if answer.code != ResponseCode::SUCCESS.0 {
            let remark = answer.remark.unwrap_or_default();
            return Err(CallError::Refused { code: ResponseCode(answer.code), remark });
        }
        Ok((R::Reply::decode(&answer.fields)?, answer.body))
    }

    /// Sends a typed request that nobody answers. Returns whether it was taken.
    pub async fn push<R: Request>(&self, request: &R, body: Bytes) -> Result<bool, CallError> {
        let mut command = typed(request, body);
        command.form = self.form;
        Ok(self.connected().await?.push(command))
    }

    /// Sends any request and returns its answer.
    pub async fn exchange(&self, mut request: Command) -> Result<Command, CallError> {
        request.form = self.form;
        let connection = self.connected().await?;
        let (opaque, answer) = connection.request(request);
        match timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(CallError::Closed { address: self.address.clone() }),
            Err(_) => {
                connection.forget(opaque);
                Err(CallError::Timeout { address: self.address.clone(), after: self.timeout })
            }
        }
    }

    /// The open connection, or a new one.
    pub async fn connected(&self) -> Result<Connection, CallError> {
        let mut newest = self.connection.lock().await;
        if let Some(connection) = newest.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let failed = |source| CallError::Connect { address: self.address.clone(), source };
        let connecting = timeout(self.timeout, TcpStream::connect(&self.address)).await;
        let stream = connecting.map_err(|_| failed(io::ErrorKind::TimedOut.into()))?.map_err(failed)?;
        let (started, connection) = oneshot::channel();
        let service = Arc::clone(&self.service);
        let limits = Arc::new(Limits { first_byte: Limits::default().idle, ..Limits::default() });
        tokio::spawn(session::run(stream, service, limits, Arc::default(), |connection| {
            drop(started.send(connection));
        }));
        let connection = connection.await.map_err(|_| failed(io::ErrorKind::NotConnected.into()))?;
        *newest = Some(connection.clone());
        Ok(connection)
    }

    /// Ends the connection, if there is one, after what waits is written. The next call opens another.
    pub async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            connection.finish();
        }
    }
}

fn typed<R: Request>(request: &R, body: Bytes) -> Command {
    let mut command = Command::request(R::CODE).with_body(body);
    command.fields = request.to_fields();
    command
}
