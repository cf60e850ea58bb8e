//! Masters that are none: whatever they send to a slave, its log stays as it was, and it says why it takes nothing.

use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::nodes::{PATIENCE, Pair, eventually};

/// A slave may wait for the rest of what begins like a record; a liar does not.
const LIAR_WAITS: Duration = Duration::from_secs(1);

/// A part of a log, as a master sends it.
fn part(offset: i64, length: i32, bytes: &[u8]) -> Vec<u8> {
    [&offset.to_be_bytes()[..], &length.to_be_bytes(), bytes].concat()
}

/// Serves one slave: asks the lie what to answer to its report.
async fn lie_to(listener: &TcpListener, lie: impl Fn(i64) -> Vec<u8>) {
    let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let mut report = [0; 8];
    stream.read_exact(&mut report).await.unwrap();
    stream.write_all(&lie(i64::from_be_bytes(report))).await.unwrap();
    let _ = timeout(LIAR_WAITS, read_on(&mut stream)).await;
}

async fn read_on(stream: &mut TcpStream) {
    let mut reports = [0; 64];
    while stream.read(&mut reports).await.is_ok_and(|bytes| bytes > 0) {}
}

pub async fn slaves_take_nothing_from_liars() {
    let mut pair = Pair::started("", "").await;
    pair.master.send_many(20).await;
    pair.is_level().await;
    let end = pair.master.end_of_log().await;
    let log = pair.master.log_files().remove(0).1;
    let true_part = |from: i64| &log[from as usize..end as usize];
    // The last record once more, and once more with another length.
    let record = {
        let bytes = end as usize / 20;
        &log[end as usize - bytes..end as usize]
    };
    let length = |wanted: i32| [&wanted.to_be_bytes()[..], &record[4..]].concat();
    let after = |from: i64, lie: &[u8]| {
        let all = [true_part(from), lie].concat();
        part(from, all.len() as i32, &all)
    };
    type Lie<'a> = Box<dyn Fn(i64) -> Vec<u8> + 'a>;
    let lies: [(&str, Lie); 9] = [
        ("no part of a log", Box::new(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())),
        ("of less than nothing", Box::new(|from| part(from, -1, b""))),
        ("of two gigabytes, which do not come", Box::new(|from| part(from, i32::MAX, &record[..50]))),
        ("of another place", Box::new(|from| part(from + 4096, 100, &record[..100]))),
        ("of another log", Box::new(|from| part(from, 100, &[7; 100]))),
        ("with something else behind", Box::new(|from| after(from, &[7; 300]))),
        ("with the last record once more", Box::new(|from| after(from, record))),
        ("with a record of two gigabytes", Box::new(|from| after(from, &length(i32::MAX)))),
        ("with a record of less than nothing", Box::new(|from| after(from, &length(-5)))),
    ];
    pair.slave.end(Signal::TERM);
    pair.master.end(Signal::TERM);
    let before = pair.slave.log_files();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    pair.slave.set(&format!("haMasterAddress={}", listener.local_addr().unwrap()));
    for (what, lie) in &lies {
        let said = pair.slave.said().len();
        pair.slave.start();
        lie_to(&listener, lie).await;
        eventually("the slave says something", async || pair.slave.said()[said..].contains("master")).await;
        assert_eq!(pair.slave.end_of_log().await, end, "{what}: {}", &pair.slave.said()[said..]);
        pair.slave.end(Signal::TERM);
        assert!(pair.slave.log_files() == before, "{what}: its files have changed");
    }
    pair.master.start();
    pair.slave.set(&format!("haMasterAddress={}", pair.master.ha_address()));
    pair.slave.start();
    pair.follows().await;
    pair.master.send_many(5).await;
    pair.is_level().await;
}
