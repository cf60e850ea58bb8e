//! Connections that cost a broker something and ask for nothing: they are cheap, and nobody who behaves waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ferrymq_proto::net::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::broker::{Broker, send};
use crate::mixing::Dice;
use crate::resources::connections;

const KIB: usize = 1024;
const IDLE: usize = 10_000;
const SLOW: usize = 1_000;
/// What one may cost the broker: more than it does by a third.
const IDLE_BYTES: usize = 6 * KIB;
/// The first bytes of a request are in a buffer that has room for more of them.
const SLOW_BYTES: usize = 16 * KIB;
/// What those cost who behave.
const OTHERS_BYTES: usize = 32 * KIB * KIB;
const SENDS: usize = 2_000;
/// Between two bytes of a slow writer, at most.
const PAUSE_MS: u64 = 1_000;

pub async fn those_who_behave_do_not_notice() {
    let all = connections(IDLE + SLOW);
    let (idle, slow) = (all - SLOW, SLOW);
    let broker = Broker::start(&[]);
    let healthy = broker.client();
    // Twice, for the first ones make what later ones find there.
    patience(&healthy).await;
    let without = patience(&healthy).await;
    let before = broker.resident();

    let mut silent = Vec::new();
    for number in 0..idle {
        let mut stream = TcpStream::connect(&broker.address).await.unwrap();
        match number % 4 {
            // Who never says a word is closed after a while; who has spoken once, much later.
            0 => {}
            // Half of a length.
            1 => stream.write_all(&[0, 0]).await.unwrap(),
            _ => stream.write_all(&whole()).await.unwrap(),
        }
        silent.push(stream);
    }
    let written = Arc::new(AtomicUsize::new(0));
    let slow: Vec<_> = (0..slow)
        .map(|number| {
            tokio::spawn(write_slowly(broker.address.clone(), Dice(number as u64), Arc::clone(&written)))
        })
        .collect();
    // Each of them holds the beginning of a request there.
    while written.load(Ordering::Relaxed) < 2 * slow.len() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let with = patience(&healthy).await;
    let grown = broker.resident().saturating_sub(before);
    println!(
        "{idle} idle and {} slow connections: {} MiB more; sends of others took {without} without them, {with} with them",
        slow.len(),
        grown / KIB / KIB
    );
    let allowed = idle * IDLE_BYTES + slow.len() * SLOW_BYTES + OTHERS_BYTES;
    assert!(grown < allowed, "{grown} bytes, and {allowed} are allowed");
    for stream in silent.iter_mut().skip(2).step_by(4) {
        assert!(stream.read(&mut [0; 16]).await.unwrap() > 0, "each that asked was answered");
    }
    slow.iter().for_each(tokio::task::JoinHandle::abort);
}

/// A request whole enough to be answered.
fn whole() -> BytesMut {
    let mut bytes = BytesMut::new();
    send("flood", 0, "", 0, vec![7; 100]).encode(&mut bytes);
    bytes
}

/// A byte now and then.
async fn write_slowly(address: String, mut dice: Dice, written: Arc<AtomicUsize>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    for byte in whole() {
        // It is too slow: one day the broker hangs up.
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
        written.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(dice.roll(PAUSE_MS) as u64)).await;
    }
}

/// Sends one message after the other, each of which must be stored. Gives the median and the 99th percentile.
async fn patience(client: &Client) -> String {
    let mut times = Vec::new();
    for _ in 0..SENDS {
        let began = Instant::now();
        let answer = client.exchange(send("healthy", 0, "", 0, vec![7; 100])).await.unwrap();
        times.push(began.elapsed());
        assert_eq!(answer.code, 0, "{answer:?}");
    }
    times.sort_unstable();
    format!("p50 {:?}, p99 {:?}", times[SENDS / 2], times[SENDS * 99 / 100])
}
