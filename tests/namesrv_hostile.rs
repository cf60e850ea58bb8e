//! Peers that mean no good, or do not know better, against the real binary: each is answered or closed, memory stays bounded,
//! and a client that behaves never notices.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says with a panic that it failed")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ferrymq_proto::code::RequestCode;
use ferrymq_proto::command;
use ferrymq_proto::headers::{GetClusterInfo, GetRoute};
use ferrymq_proto::net::{CallError, Client};
use resources::connections;
use tempfile::TempDir;

mod resources;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A name server that ends with its owner.
struct NameServer {
    process: Child,
    address: String,
    _folder: TempDir,
}

impl NameServer {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let conf = folder.path().join("namesrv.conf");
        let kv = folder.path().join("kv.json");
        fs::write(&conf, format!("listenPort=0\nbindAddress=127.0.0.1\nkvConfigPath={}\n", kv.display()))
            .unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_ferrymq"))
            .args(["namesrv", "-c", conf.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let ready = output.lines().map(Result::unwrap).find(|line| line.contains("boot success")).unwrap();
        let address = ready.rsplit(' ').next().unwrap().to_owned();
        Self { process, address, _folder: folder }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    fn client(&self) -> Client {
        Client::new(&self.address, Duration::from_secs(30))
    }

    /// What the process holds in memory.
    fn resident(&self) -> usize {
        resources::resident(self.process.id())
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A lookup is answered: with "no such topic", since none is registered.
async fn behaves(client: &Client) {
    let lookup =
        GetRoute { topic: "T".into(), accept_standard_json_only: None, zone_mode: None, zone_name: None };
    let error = client.call(&lookup, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, CallError::Refused { .. }), "{error}");
}

fn request(code: RequestCode) -> BytesMut {
    let mut bytes = BytesMut::new();
    command::Command::request(code).encode(&mut bytes);
    bytes
}

/// The bytes that come before the server hangs up; it must do so.
fn read_to_end(stream: &mut TcpStream) -> usize {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => bytes.len(),
        Err(error) => panic!("the connection stayed open: {error}"),
    }
}

#[tokio::test]
async fn ten_thousand_idle_connections() {
    let server = NameServer::start();
    let good = server.client();
    behaves(&good).await;
    let count = connections(10_000);
    let before = server.resident();
    let ask = request(RequestCode::GET_BROKER_CLUSTER_INFO);
    let mut idle = Vec::new();
    for n in 0..count {
        let mut stream = server.connect();
        stream.write_all(&ask).unwrap();
        idle.push(stream);
        if n % 500 == 0 {
            behaves(&good).await;
        }
    }
    for stream in &mut idle {
        assert!(stream.read(&mut [0; 16]).unwrap() > 0, "each was served before it fell silent");
    }
    behaves(&good).await;
    let each = server.resident().saturating_sub(before) / count;
    assert!(each < 6 * KIB, "{each} bytes for each of {count} idle connections");
}

#[tokio::test]
async fn promised_frames_cost_what_arrived() {
    let server = NameServer::start();
    let good = server.client();
    behaves(&good).await;
    let before = server.resident();
    // Each promises 16 MiB and sends 1 KiB.
    let promise = [&[0x00, 0xff, 0xff, 0xff, 0, 0, 0, 2, b'{', b'}'][..], &[0; KIB]].concat();
    let mut streams: Vec<_> = (0..500).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(&promise).unwrap();
    }
    behaves(&good).await;
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 500 * 64 * KIB, "{grown} bytes for 500 KiB received");
}

#[tokio::test]
async fn clients_that_never_read_are_not_read_from() {
    let server = NameServer::start();
    let good = server.client();
    let before = server.resident();
    let ask = request(RequestCode::GET_NAMESRV_CONFIG).repeat(500);
    let mut streams: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut sent = 0;
        while stream.write_all(&ask).is_ok() {
            sent += ask.len();
            assert!(sent < 512 * MIB, "the server takes requests without end");
        }
    }
    behaves(&good).await;
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 8 * 16 * MIB, "{grown} bytes for 8 connections");
}

#[tokio::test]
async fn nonsense_is_answered_or_closed() {
    let server = NameServer::start();
    let good = server.client();
    let deep = format!("{{\"code\":105,\"extFields\":{}", "[".repeat(200_000));
    let closed: Vec<Vec<u8>> = vec![
        vec![0x7f, 0xff, 0xff, 0xff],
        vec![0xff; 64],
        vec![0, 0, 0, 0, 0, 0, 0, 0],
        vec![0, 0, 0, 8, 0, 0, 0, 200, 0, 0, 0, 0],
        framed(9, b"{}"),
        framed(0, b"not json"),
        framed(0, deep.as_bytes()),
        framed(0, &[b'"'; 100_000]),
        framed(1, &[0xff; 40]),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".to_vec(),
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n".to_vec(),
    ];
    for bytes in closed {
        let mut stream = server.connect();
        let _ = stream.write_all(&bytes);
        assert_eq!(read_to_end(&mut stream), 0, "{:?}", &bytes[..bytes.len().min(20)]);
        behaves(&good).await;
    }
    for code in [-1, 0, 10, 99_999, i32::MAX] {
        let answer = good.exchange(command::Command::request(RequestCode(code))).await.unwrap();
        assert_eq!(answer.code, 3, "{code}");
    }
    let _: (_, Bytes) = good.call(&GetClusterInfo {}, Bytes::new()).await.unwrap();
}

/// Every prefix of a request, cut off by the end of the stream: no answer, no harm.
#[tokio::test]
async fn half_requests_end_quietly() {
    let server = NameServer::start();
    let good = server.client();
    let whole = request(RequestCode::GET_BROKER_CLUSTER_INFO);
    for length in 0..whole.len() {
        let mut stream = server.connect();
        stream.write_all(&whole[..length]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&mut stream), 0);
    }
    behaves(&good).await;
}

fn framed(form: u8, header: &[u8]) -> Vec<u8> {
    let length = u32::try_from(header.len()).unwrap();
    [&(length + 4).to_be_bytes()[..], &(u32::from(form) << 24 | length).to_be_bytes(), header].concat()
}
