//! A server and clients over loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::*;
use crate::code::{RequestCode, ResponseCode};
use crate::command::{Command, HeaderForm};
use crate::header::NoFields;
use crate::text::Text;

crate::header! {
    struct Echo: 105 => EchoReply { text: Text = "text", }
    struct EchoReply { text: Text = "text", }
    struct Hold: 106 => NoFields {}
    struct Forget: 100 => NoFields {}
}

/// Echoes 105, keeps 106 for the test to answer, drops 100, panics at 101, refuses the rest.
struct Echoing {
    held: mpsc::UnboundedSender<Call>,
    closed: AtomicUsize,
}

impl Service for Echoing {
    fn serve(&self, call: Call) {
        match RequestCode(call.request.code) {
            RequestCode::GET_ROUTEINFO_BY_TOPIC => {
                let mut answer =
                    call.request.answer(ResponseCode::SUCCESS).with_body(call.request.body.clone());
                answer.fields = call.request.fields.clone();
                call.answer(answer);
            }
            RequestCode::GET_BROKER_CLUSTER_INFO => drop(self.held.send(call)),
            RequestCode::PUT_KV_CONFIG => drop(call),
            RequestCode::GET_KV_CONFIG => panic!("a bug in a service"),
            _ => call.answer_with(ResponseCode::REQUEST_CODE_NOT_SUPPORTED),
        }
    }

    fn closed(&self, _connection: &Connection) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
}

impl Call {
    fn answer_with(self, code: ResponseCode) {
        let answer = self.request.answer(code).with_remark("no");
        self.answer(answer);
    }
}

struct Fixture {
    address: String,
    service: Arc<Echoing>,
    held: mpsc::UnboundedReceiver<Call>,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

fn start(limits: Limits) -> Fixture {
    let (stop, stopped) = watch::channel(false);
    let (sender, held) = mpsc::unbounded_channel();
    let service = Arc::new(Echoing { held: sender, closed: AtomicUsize::new(0) });
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let address = server.local_addr().unwrap().to_string();
    let server = tokio::spawn(server.run(service.clone(), stopped));
    Fixture { address, service, held, stop, server }
}

impl Fixture {
    fn client(&self) -> Client {
        Client::new(&self.address, Duration::from_secs(10))
    }

    async fn raw(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }
}

fn echo(text: &str) -> Echo {
    Echo { text: text.into() }
}

fn frame_of(command: &Command) -> BytesMut {
    let mut bytes = BytesMut::new();
    command.encode(&mut bytes);
    bytes
}

/// Reads until the server closes, and returns how many bytes came. Hangs when it does not close.
async fn bytes_until_close(stream: &mut TcpStream) -> usize {
    let mut total = 0;
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        total += count;
    }
    total
}

#[tokio::test]
async fn typed_calls_in_both_forms() {
    let fixture = start(Limits::default());
    for form in [HeaderForm::Json, HeaderForm::Binary] {
        let client = fixture.client().with_form(form);
        for body in [Bytes::new(), Bytes::from(vec![7; 100]), Bytes::from(vec![8; 1_000_000])] {
            let (reply, returned) = client.call(&echo("héllo\u{1}"), body.clone()).await.unwrap();
            assert_eq!(reply.text, "héllo\u{1}");
            assert_eq!(returned, body);
        }
    }
}

#[tokio::test]
async fn calls_on_one_connection_may_be_answered_in_any_order() {
    let mut fixture = start(Limits::default());
    let client = Arc::new(fixture.client());
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.call(&Hold {}, Bytes::new()).await }
    });
    let call = fixture.held.recv().await.unwrap();
    assert_eq!(client.call(&echo("fast"), Bytes::new()).await.unwrap().0.text, "fast");
    call.answer_with(ResponseCode::TOPIC_NOT_EXIST);
    let refused = slow.await.unwrap().unwrap_err();
    assert!(matches!(refused, CallError::Refused { code: ResponseCode::TOPIC_NOT_EXIST, .. }), "{refused}");
}

#[tokio::test]
async fn a_forgotten_call_is_answered_all_the_same() {
    let fixture = start(Limits::default());
    let error = fixture.client().call(&Forget {}, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, CallError::Refused { code: ResponseCode::SYSTEM_ERROR, .. }), "{error}");
}

#[tokio::test]
async fn a_panic_in_a_service_costs_only_its_own_connection() {
    let fixture = start(Limits::default());
    let (good, bad) = (fixture.client(), fixture.client());
    good.call(&echo("a"), Bytes::new()).await.unwrap();
    let error = bad.exchange(Command::request(RequestCode::GET_KV_CONFIG)).await.unwrap_err();
    assert!(matches!(error, CallError::Closed { .. }), "{error}");
    good.call(&echo("b"), Bytes::new()).await.unwrap();
    // The client opens a new connection by itself.
    bad.call(&echo("c"), Bytes::new()).await.unwrap();
    assert_eq!(fixture.service.closed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn one_way_requests_get_no_answer() {
    let fixture = start(Limits::default());
    let mut stream = fixture.raw().await;
    let one_way = Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC).one_way();
    let two_way = Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC).with_opaque(9);
    stream.write_all(&[frame_of(&one_way), frame_of(&two_way)].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answers = BytesMut::new();
    while stream.read_buf(&mut answers).await.unwrap() > 0 {}
    let frame = crate::frame::take(&mut answers, 1000).unwrap().unwrap();
    assert_eq!(Command::decode(frame).unwrap().opaque, 9);
    assert!(answers.is_empty(), "one answer for two requests");
}

#[tokio::test]
async fn a_server_can_ask_its_client() {
    let mut fixture = start(Limits::default());
    let (sender, mut asked) = mpsc::unbounded_channel();
    let service = Arc::new(Echoing { held: sender, closed: AtomicUsize::new(0) });
    let client = fixture.client().with_service(service);
    let connection = client.connected().await.unwrap();
    connection.push(Command::request(RequestCode::GET_BROKER_CLUSTER_INFO));
    let call = fixture.held.recv().await.unwrap();
    let (_, answer) = call.connection.request(Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC));
    assert_eq!(answer.await.unwrap().code, 0);
    assert!(call.connection.push(Command::request(RequestCode::GET_BROKER_CLUSTER_INFO)));
    assert!(asked.recv().await.unwrap().request.is_one_way());
}

#[tokio::test]
async fn false_frames_close_their_connection_alone() {
    let fixture = start(Limits::default());
    let good = fixture.client();
    let wrong: [&[u8]; 6] = [
        &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 3],
        &[0, 0, 0, 8, 0, 0, 0, 9],
        &[0, 0, 0, 6, 7, 0, 0, 2, b'{', b'}'],
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for bytes in wrong {
        let mut stream = fixture.raw().await;
        stream.write_all(bytes).await.unwrap();
        assert_eq!(bytes_until_close(&mut stream).await, 0, "{bytes:?}");
        good.call(&echo("still here"), Bytes::new()).await.unwrap();
    }
}

#[tokio::test]
async fn half_a_frame_and_silence_is_closed() {
    let limits = Limits { frame_completion: Duration::from_millis(100), ..Limits::default() };
    let fixture = start(limits);
    let mut stream = fixture.raw().await;
    stream.write_all(&[0, 0, 0, 100, 0]).await.unwrap();
    assert_eq!(bytes_until_close(&mut stream).await, 0);
}

#[tokio::test]
async fn silence_is_closed() {
    let short = Duration::from_millis(100);
    let fixture = start(Limits { first_byte: short, ..Limits::default() });
    assert_eq!(bytes_until_close(&mut fixture.raw().await).await, 0);

    let fixture = start(Limits { idle: short, ..Limits::default() });
    let mut stream = fixture.raw().await;
    stream.write_all(&frame_of(&Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC))).await.unwrap();
    assert!(bytes_until_close(&mut stream).await > 0, "the answer comes before the end");
}

#[tokio::test]
async fn a_client_that_never_reads_stops_being_read_and_is_closed() {
    let limits = Limits { outbox_bytes_max: 100_000, idle: Duration::from_millis(300), ..Limits::default() };
    let fixture = start(limits);
    let mut stream = fixture.raw().await;
    let body = vec![1; 50_000];
    let request = frame_of(&Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC).with_body(body));
    let mut sent = 0_usize;
    // The server takes what fits its outbox and the sockets' buffers, then nothing more, then hangs up.
    while stream.write_all(&request).await.is_ok() {
        sent += request.len();
        assert!(sent < 100_000_000, "the server takes requests without end");
    }
    fixture.client().call(&echo("others do not notice"), Bytes::new()).await.unwrap();
}

#[tokio::test]
async fn unanswered_requests_are_bounded_and_resume() {
    let mut fixture = start(Limits { unanswered_max: 4, ..Limits::default() });
    let mut stream = fixture.raw().await;
    let frames: Vec<_> = (0..10)
        .flat_map(|n| frame_of(&Command::request(RequestCode::GET_BROKER_CLUSTER_INFO).with_opaque(n)))
        .collect();
    stream.write_all(&frames).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(fixture.held.recv().await.unwrap());
    }
    // A full round trip on another connection: the fifth request had every chance to come.
    fixture.client().call(&echo("x"), Bytes::new()).await.unwrap();
    assert!(fixture.held.try_recv().is_err(), "a fifth request came past the limit");
    for call in held {
        call.answer_with(ResponseCode::SUCCESS);
    }
    for _ in 4..10 {
        fixture.held.recv().await.unwrap().answer_with(ResponseCode::SUCCESS);
    }
}

#[tokio::test]
async fn answers_that_are_given_together_all_come() {
    let mut fixture = start(Limits::default());
    let mut stream = fixture.raw().await;
    let request = Command::request(RequestCode::GET_BROKER_CLUSTER_INFO);
    let frames: Vec<_> = (0..6).flat_map(|number| frame_of(&request.clone().with_opaque(number))).collect();
    stream.write_all(&frames).await.unwrap();
    let mut calls = Vec::new();
    for _ in 0..6 {
        calls.push(fixture.held.recv().await.unwrap());
    }
    let one = frame_of(&calls[0].request.answer(ResponseCode::SUCCESS)).len();
    let mut answers = vec![0; one * 6];
    let later = calls.split_off(3);
    together(|| {
        calls.into_iter().for_each(|call| call.answer_with(ResponseCode::SUCCESS));
        assert!(stream.try_read(&mut answers).is_err(), "nothing is written before all are given");
        together(|| later.into_iter().for_each(|call| call.answer_with(ResponseCode::SUCCESS)));
    });
    stream.read_exact(&mut answers).await.unwrap();
    // And the next one on its own, after a panic as well.
    let spoilt = std::thread::spawn(|| together(|| panic!("of this test"))).join();
    assert!(spoilt.is_err());
    fixture.client().call(&echo("x"), Bytes::new()).await.unwrap();
}

#[tokio::test]
async fn what_is_set_aside_holds_nothing_back_and_is_bounded_too() {
    let mut fixture = start(Limits { unanswered_max: 2, set_aside_max: 5, ..Limits::default() });
    let mut stream = fixture.raw().await;
    let frames: Vec<_> = (0..8)
        .flat_map(|n| frame_of(&Command::request(RequestCode::GET_BROKER_CLUSTER_INFO).with_opaque(n)))
        .collect();
    stream.write_all(&frames).await.unwrap();
    let mut aside = Vec::new();
    for _ in 0..5 {
        let mut call = fixture.held.recv().await.unwrap();
        assert!(call.set_aside());
        assert!(call.set_aside(), "it is already");
        aside.push(call);
    }
    let mut refused = fixture.held.recv().await.unwrap();
    assert!(!refused.set_aside(), "there are as many as may be");
    aside.pop().unwrap().answer_with(ResponseCode::SUCCESS);
    assert!(refused.set_aside(), "one is gone");
    // What is not set aside still counts.
    let last = [fixture.held.recv().await.unwrap(), fixture.held.recv().await.unwrap()];
    stream.write_all(&frames).await.unwrap();
    fixture.client().call(&echo("x"), Bytes::new()).await.unwrap();
    assert!(fixture.held.try_recv().is_err(), "a third request came past the limit");
    drop(last);
    fixture.held.recv().await.unwrap().answer_with(ResponseCode::SUCCESS);
}

#[tokio::test]
async fn what_all_connections_hold_is_bounded_and_others_go_on() {
    let limits =
        Limits { held_bytes_max: 100_000, frame_completion: Duration::from_secs(1), ..Limits::default() };
    let fixture = start(limits);
    let request =
        frame_of(&Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC).with_body(vec![1; 1_000_000]));
    let mut hoarders = Vec::new();
    for _ in 0..3 {
        let mut stream = fixture.raw().await;
        let half = request.len() / 2;
        let request = request.clone();
        // Half of a long frame: it is read as far as there is room, and closed when it does not end.
        hoarders.push(tokio::spawn(async move {
            let _ = stream.write_all(&request[..half]).await;
            bytes_until_close(&mut stream).await
        }));
    }
    // One that holds nothing is served meanwhile, and a long one when the others are gone.
    fixture.client().call(&echo("small"), Bytes::new()).await.unwrap();
    for hoarder in hoarders {
        assert_eq!(hoarder.await.unwrap(), 0);
    }
    let (_, body) = fixture.client().call(&echo("long"), Bytes::from(vec![2; 50_000])).await.unwrap();
    assert_eq!(body.len(), 50_000);
}

#[tokio::test]
async fn connections_are_bounded_and_make_room() {
    let fixture = start(Limits { connections_max: 2, ..Limits::default() });
    let (a, b) = (fixture.client(), fixture.client());
    a.call(&echo("a"), Bytes::new()).await.unwrap();
    b.call(&echo("b"), Bytes::new()).await.unwrap();
    assert_eq!(bytes_until_close(&mut fixture.raw().await).await, 0, "the third is closed at once");
    a.close().await;
    while fixture.client().call(&echo("c"), Bytes::new()).await.is_err() {}
}

#[tokio::test]
async fn stopping_closes_connections_that_have_only_just_come() {
    for _ in 0..50 {
        let fixture = start(Limits::default());
        let mut streams = Vec::new();
        for _ in 0..8 {
            streams.push(fixture.raw().await);
        }
        fixture.stop.send(true).unwrap();
        // Nobody has said a word: a connection that was missed would hold the stop up until its first byte is overdue.
        tokio::time::timeout(Limits::default().first_byte / 2, fixture.server).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn stopping_closes_every_connection() {
    let fixture = start(Limits::default());
    let client = fixture.client();
    client.call(&echo("a"), Bytes::new()).await.unwrap();
    fixture.stop.send(true).unwrap();
    fixture.server.await.unwrap();
    let error = client.call(&echo("b"), Bytes::new()).await.unwrap_err();
    assert!(matches!(error, CallError::Connect { .. } | CallError::Closed { .. }), "{error}");
}
