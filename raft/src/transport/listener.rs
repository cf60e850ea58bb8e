//! The connections that come in: not too many, and none for long that does not show a passport.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::server::Connected;

/// Three of each peer, and room for those that were not noticed to be dead yet. Others wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 128;
/// Until a connection must have carried a call that was let in.
const PROBATION: Duration = Duration::from_secs(3);

/// Set by the first call that is let in.
#[derive(Clone, Debug, Default)]
pub(super) struct Admission(Arc<AtomicBool>);

impl Admission {
    pub fn grant(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) struct Connection {
    stream: TcpStream,
    admission: Admission,
    probation: Option<Pin<Box<Sleep>>>,
    _place: Option<OwnedSemaphorePermit>,
}

pub(super) fn connections(listener: TcpListener) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    TcpListenerStream::new(listener).then(move |accepted| {
        let places = Arc::clone(&places);
        async move {
            let stream = accepted?;
            let _place = places.acquire_owned().await.ok();
            stream.set_nodelay(true)?;
            let probation = Some(Box::pin(sleep(PROBATION)));
            Ok(Connection { stream, admission: Admission::default(), probation, _place })
        }
    })
}

impl Connected for Connection {
    type ConnectInfo = Admission;

    fn connect_info(&self) -> Admission {
        self.admission.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(probation) = &mut self.probation {
            let is_over = probation.as_mut().poll(cx).is_ready();
            if self.admission.0.load(Ordering::Relaxed) {
                self.probation = None;
            } else if is_over {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
