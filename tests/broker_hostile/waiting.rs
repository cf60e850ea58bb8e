//! Pulls that wait for a message cost memory only, and little of it, however they arrived.

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::broker::{Broker, pull, request, send};

const CONNECTIONS: usize = 100;
const PULLS_OF_EACH: i32 = 200;
/// What one may cost the broker: less than the smallest buffer into which it reads.
const PULL_BYTES: usize = 2048;
const OTHERS_BYTES: usize = 8 << 20;
const MAX_OFFSET: i32 = 30;
/// What comes with each of them, and fills the buffer into which both are read.
const BESIDE_BYTES: usize = 16 << 10;

pub async fn pulls_that_wait_are_cheap() {
    let broker = Broker::start(&[]);
    let sent = broker.client().exchange(send("quiet", 0, "", 0, "first")).await.unwrap();
    assert_eq!(sent.code, 0, "{sent:?}");
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        streams.push(TcpStream::connect(&broker.address).await.unwrap());
    }
    let before = broker.resident();
    // One after the other, so that no two are read together.
    for number in 0..PULLS_OF_EACH {
        for stream in &mut streams {
            let mut bytes = BytesMut::new();
            pull("quiet", "0", "1", ("TAG", "*")).with_opaque(number).encode(&mut bytes);
            request(MAX_OFFSET, &[("topic", "quiet"), ("queueId", "0")], vec![0; BESIDE_BYTES])
                .encode(&mut bytes);
            stream.write_all(&bytes).await.unwrap();
            // It was read: so the pull before it waits.
            let bytes = stream.read_u32().await.unwrap();
            stream.read_exact(&mut vec![0; bytes as usize]).await.unwrap();
        }
    }
    let grown = broker.resident().saturating_sub(before);
    let pulls = CONNECTIONS * PULLS_OF_EACH as usize;
    println!("{pulls} pulls wait: {} KiB more", grown / 1024);
    let allowed = pulls * PULL_BYTES + OTHERS_BYTES;
    assert!(grown < allowed, "{grown} bytes, and {allowed} are allowed");
    let sent = broker.client().exchange(send("quiet", 0, "", 0, "second")).await.unwrap();
    assert_eq!(sent.code, 0, "{sent:?}");
    for stream in &mut streams {
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0, "the message has come");
    }
}
