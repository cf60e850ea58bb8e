//! The port for whoever watches this node: whether it is alive and ready, how it is, and its metrics.
//!
//! It only reads. Connections are few, short and bounded in time: nothing here can cost clients anything.

mod metrics;
mod page;
mod readiness;
mod status;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::broker::Broker;

const CONNECTIONS_MAX: usize = 64;
const HEADER_WAIT: Duration = Duration::from_secs(5);
/// A connection may be used again and again for so long.
const CONNECTION_TIME: Duration = Duration::from_secs(120);
/// After an `accept` that failed.
const PAUSE: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const PATHS: &str = "/livez\n/readyz\n/readyz?verbose\n/metrics\n/api/v1/status\n";

/// A port that is bound, and not served yet.
#[derive(Debug)]
pub struct Port(TcpListener);

impl Port {
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self(TcpListener::bind(address).await?))
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves until it is dropped.
    pub async fn run(self, broker: Arc<Broker>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match self.0.accept().await {
                Ok((stream, peer)) => {
                    let broker = Arc::clone(&broker);
                    tokio::spawn(async move {
                        let served = tokio::time::timeout(CONNECTION_TIME, serve(stream, broker)).await;
                        if let Ok(Err(error)) = served {
                            tracing::debug!(%peer, %error, "an HTTP connection ended");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "no HTTP connection can be taken");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, broker: Arc<Broker>) -> Result<(), hyper::Error> {
    let answer = service_fn(move |request| {
        let broker = Arc::clone(&broker);
        async move { Ok::<_, Infallible>(answer(&broker, &request).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WAIT)
        .serve_connection(TokioIo::new(stream), answer)
        .await
}

async fn answer<B>(broker: &Arc<Broker>, request: &Request<B>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "this port only answers GET and HEAD\n");
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" | "/healthz" => ready(broker, request.uri().query()),
        "/metrics" => match metrics::page(broker).await {
            Ok(page) => response(StatusCode::OK, METRICS, page),
            Err(refusal) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{refusal}\n")),
        },
        "/api/v1/status" if !is_own_name(broker, request) => text(
            StatusCode::MISDIRECTED_REQUEST,
            "this node does not go by the name in Host; ask by its address, by its host name or as localhost\n",
        ),
        "/api/v1/status" => response(StatusCode::OK, JSON, status::json(broker)),
        "/" => text(StatusCode::OK, PATHS),
        _ => text(StatusCode::NOT_FOUND, format!("there is nothing here; what there is:\n{PATHS}")),
    }
}

fn ready(broker: &Broker, query: Option<&str>) -> Response<Full<Bytes>> {
    let checks = readiness::checks(broker);
    let is_ready = checks.iter().all(|check| check.is_met);
    let is_verbose = query.is_some_and(|query| query.split('&').any(|word| word.starts_with("verbose")));
    let lines = checks.iter().filter(|check| is_verbose || !check.is_met).map(|check| {
        let mark = if check.is_met { '+' } else { '-' };
        format!("[{mark}] {}: {}\n", check.name, check.says)
    });
    let verdict = if is_ready { "ready\n" } else { "not ready\n" };
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    text(code, lines.collect::<String>() + verdict)
}

/// Whether `Host` says an address, a name within the own network, or a name of this node. A page from elsewhere whose name was
/// pointed to this machine says its own.
fn is_own_name<B>(broker: &Broker, request: &Request<B>) -> bool {
    let Some(host) = request.headers().get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || name.eq_ignore_ascii_case(&broker.identity.host)
        || nix::unistd::gethostname().is_ok_and(|own| own.to_string_lossy().eq_ignore_ascii_case(name))
}

fn text(code: StatusCode, text: impl Into<String>) -> Response<Full<Bytes>> {
    response(code, TEXT, text.into())
}

fn response(code: StatusCode, form: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form));
    response
}
