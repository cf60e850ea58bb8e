use super::*;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(5);

/// A server that repeats what it hears, and a link to it.
async fn echo() -> Link {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reads, mut writes) = stream.split();
                let _ = tokio::io::copy(&mut reads, &mut writes).await;
            });
        }
    });
    Link::open("127.0.0.1:0".parse().expect("an address"), target, 1).await.expect("a link")
}

async fn repeats(stream: &mut TcpStream, text: &[u8]) -> io::Result<()> {
    stream.write_all(text).await?;
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).await?;
    assert_eq!(heard, text);
    Ok(())
}

async fn connect(link: &Link) -> TcpStream {
    TcpStream::connect(link.listens).await.expect("a connection")
}

#[tokio::test]
async fn carries_both_ways() {
    let link = echo().await;
    repeats(&mut connect(&link).await, b"hello").await.expect("an echo");
    let traffic = link.traffic();
    assert_eq!((traffic.passed_forth, traffic.passed_back, traffic.disturbed), (5, 5, 0));
}

/// Nothing passes a cut, in either direction alone; what waited arrives afterwards.
#[tokio::test]
async fn a_cut_holds_back_and_a_healed_one_delivers() {
    let cuts: [fn(&mut Behaviour); 2] = [|now| now.forth.cut = true, |now| now.back.cut = true];
    for cut in cuts {
        let link = echo().await;
        let mut stream = connect(&link).await;
        repeats(&mut stream, b"before").await.expect("an echo");
        link.change(cut);
        stream.write_all(b"during").await.expect("taken");
        let mut heard = [0; 6];
        let early = tokio::time::timeout(SHORT, stream.read_exact(&mut heard)).await;
        assert!(early.is_err(), "something passed the cut");
        assert!(link.traffic().disturbed > 0);
        let mut late = connect(&link).await;
        late.write_all(b"anew").await.expect("taken");
        link.change(|now| *now = Behaviour { generation: now.generation, ..Behaviour::default() });
        tokio::time::timeout(LONG, stream.read_exact(&mut heard)).await.expect("in time").expect("an echo");
        assert_eq!(&heard, b"during");
        let mut heard = [0; 4];
        tokio::time::timeout(LONG, late.read_exact(&mut heard)).await.expect("in time").expect("an echo");
        assert_eq!(&heard, b"anew");
    }
}

#[tokio::test]
async fn a_reset_ends_what_is_open_and_a_refusal_what_comes() {
    let link = echo().await;
    let mut stream = connect(&link).await;
    repeats(&mut stream, b"before").await.expect("an echo");
    link.reset();
    let ended = tokio::time::timeout(LONG, stream.read(&mut [0; 8])).await.expect("in time");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    repeats(&mut connect(&link).await, b"after").await.expect("a new connection");
    link.change(|now| now.refuse = true);
    let mut refused = connect(&link).await;
    let ended = tokio::time::timeout(LONG, refused.read(&mut [0; 8])).await.expect("in time");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn replies_are_dropped() {
    let link = echo().await;
    let mut stream = connect(&link).await;
    link.change(|now| now.back.discard = true);
    stream.write_all(b"asked").await.expect("taken");
    assert!(tokio::time::timeout(SHORT, stream.read(&mut [0; 8])).await.is_err(), "an answer came through");
    let traffic = link.traffic();
    assert_eq!((traffic.passed_forth, traffic.passed_back), (5, 0));
    assert!(traffic.disturbed > 0);
}

#[tokio::test]
async fn a_connection_ends_within_a_frame() {
    let link = echo().await;
    link.change(|now| now.forth.reset_after = Some(3));
    let mut stream = connect(&link).await;
    stream.write_all(b"a frame").await.expect("taken");
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(LONG, stream.read_to_end(&mut heard)).await.expect("in time");
    assert!(ended.is_err() || heard == b"a f", "{ended:?} {heard:?}");
    assert_eq!(link.traffic().passed_forth, 3);
}

/// A target that is not there is told by the end of the connection, not by silence.
#[tokio::test]
async fn a_dead_target() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("an address");
    drop(listener);
    let link = Link::open("127.0.0.1:0".parse().expect("an address"), target, 1).await.expect("a link");
    let ended = tokio::time::timeout(LONG, connect(&link).await.read(&mut [0; 8])).await.expect("in time");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn an_alias_stands_in_the_place_of_an_address() {
    let target = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    assert!(Alias::new(address("127.0.0.1:9"), address("127.0.0.1:10")).is_none());
    let alias = Alias::new(address("127.0.0.1:20001"), address("127.0.0.1:40002")).expect("as long");
    let at = target.local_addr().expect("an address");
    let link = Link::open_with_alias(address("127.0.0.1:0"), at, 1, alias).await.expect("a link");
    let mut client = connect(&link).await;
    client.write_all(b"ha=127.0.0.1:20001,127.0.0.1:20001").await.expect("written");
    let (mut server, _) = target.accept().await.expect("a connection");
    let mut heard = [0; 34];
    server.read_exact(&mut heard).await.expect("as many bytes");
    assert_eq!(&heard, b"ha=127.0.0.1:40002,127.0.0.1:40002");
    // What comes back is left as it is.
    server.write_all(b"127.0.0.1:20001").await.expect("written");
    let mut answer = [0; 15];
    client.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"127.0.0.1:20001");
}

/// Otherwise a slave would get what its master sent before it died although nothing reached it in time.
#[tokio::test]
async fn a_reset_loses_what_a_cut_held_back() {
    for _ in 0..20 {
        let link = echo().await;
        let mut stream = connect(&link).await;
        repeats(&mut stream, b"before").await.expect("an echo");
        link.change(|now| now.forth.cut = true);
        stream.write_all(b"held back").await.expect("taken");
        while link.traffic().disturbed == 0 {
            tokio::task::yield_now().await;
        }
        link.reset();
        link.change(|now| now.forth.cut = false);
        let ended = tokio::time::timeout(LONG, stream.read(&mut [0; 16])).await.expect("in time");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        assert_eq!(link.traffic().passed_forth, 6);
    }
}
