//! A master and its slave, as real processes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says with a panic that it failed")]

use std::net::SocketAddr;
use std::time::Instant;

use ferrymq_proto::code::RequestCode;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use nodes::{PATIENCE, Pair, TOPIC, eventually};

#[allow(dead_code, reason = "other tests need the rest")]
mod alone;
#[path = "pair/liars.rs"]
mod liars;
#[path = "pair/nodes.rs"]
mod nodes;
#[path = "pair/routes.rs"]
mod routes;

const SYNC: &str = "brokerRole=SYNC_MASTER\ntotalReplicas=2\ninSyncReplicas=2";
const STORED: i32 = 0;
const SLAVE_TIMEOUT: i32 = 12;
const NO_SLAVE: i32 = 11;

fn fields_of_pull(queue: i32, offset: i64) -> String {
    format!(
        "consumerGroup=readers topic={TOPIC} queueId={queue} queueOffset={offset} maxMsgNums=32 sysFlag=4 commitOffset=0 \
         suspendTimeoutMillis=0 subscription=* subVersion=0"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn both_have_the_same_files() {
    for mode in ["", "flushDiskType=SYNC_FLUSH"] {
        let mut pair = Pair::started(mode, SYNC).await;
        assert!(pair.master.send_many(1500).await.iter().all(|code| *code == STORED));
        // It is killed in the middle, comes back, and lacks nothing.
        pair.slave.end(Signal::KILL);
        assert!(pair.master.send_many(700).await.iter().all(|code| [NO_SLAVE, SLAVE_TIMEOUT].contains(code)));
        pair.slave.start();
        pair.follows().await;
        assert!(pair.master.send_many(300).await.iter().all(|code| *code == STORED));
        pair.is_level().await;
        pair.master.end(Signal::TERM);
        pair.slave.end(Signal::TERM);
        assert!(pair.master.log_files().len() > 2);
        assert!(pair.master.log_files() == pair.slave.log_files());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_waits_for_slaves_no_longer_than_it_is_told() {
    let pair = Pair::started("", &format!("{SYNC}\nslaveTimeout=300")).await;
    assert_eq!(pair.master.send_many(2).await, [STORED, STORED]);
    pair.slave.freeze();
    assert_eq!(pair.master.send_many(2).await, [SLAVE_TIMEOUT; 2]);
    pair.slave.thaw();
    eventually("the slave is back", async || pair.master.send_many(1).await == [STORED]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_as_are_near_may_suffice() {
    let adapts = "brokerRole=SYNC_MASTER\ntotalReplicas=2\ninSyncReplicas=2\nenableAutoInSyncReplicas=true";
    let mut pair = Pair::started("", adapts).await;
    assert_eq!(pair.master.send_many(1).await, [STORED]);
    pair.slave.end(Signal::TERM);
    eventually("the master is alone", async || pair.master.status().await.connections.is_empty()).await;
    assert_eq!(pair.master.send_many(1).await, [STORED]);
}

/// As before a master is taken down: from then on nothing is acknowledged that its slave has not.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_demanded_changes_while_the_master_runs() {
    let adapts = "brokerRole=SYNC_MASTER\ntotalReplicas=2\ninSyncReplicas=2\nenableAutoInSyncReplicas=true";
    let mut pair = Pair::started("", &format!("{adapts}\nslaveTimeout=300")).await;
    pair.slave.end(Signal::KILL);
    eventually("the master is alone", async || pair.master.status().await.connections.is_empty()).await;
    assert_eq!(pair.master.send_many(1).await, [STORED]);
    let changed =
        pair.master.ask(RequestCode::UPDATE_BROKER_CONFIG, "", "minInSyncReplicas=2\n").await.unwrap();
    assert_eq!(changed.code, STORED, "{:?}", changed.remark);
    assert_eq!(pair.master.send_many(1).await, [NO_SLAVE]);
    pair.slave.start();
    pair.follows().await;
    pair.is_level().await;
    eventually("the slave knows that it is waited for", async || {
        let info = pair.slave.ask(RequestCode::GET_BROKER_RUNTIME_INFO, "", "").await.unwrap();
        String::from_utf8_lossy(&info.body).contains("\"haMasterInSyncReplicas\":\"2\"")
    })
    .await;
    assert_eq!(pair.master.send_many(1).await, [STORED]);
}

/// Consumers go on at the slave, and their master comes back to the same log.
#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_while_the_master_is_away() {
    let mut pair = Pair::started("slaveReadEnable=true", SYNC).await;
    pair.master.send_many(40).await;
    let commit = format!("consumerGroup=readers topic={TOPIC} queueId=1 commitOffset=7");
    let query = format!("consumerGroup=readers topic={TOPIC} queueId=1");
    // A group comes with its first pull.
    pair.master.ask(RequestCode::PULL_MESSAGE, &fields_of_pull(1, 0), "").await.unwrap();
    pair.master.ask(RequestCode::UPDATE_CONSUMER_OFFSET, &commit, "").await.unwrap();
    eventually("the slave knows how far its groups are", async || {
        let answer = pair.slave.ask(RequestCode::QUERY_CONSUMER_OFFSET, &query, "").await.unwrap();
        answer.code == 0 && answer.fields.get("offset").is_some_and(|offset| offset == "7")
    })
    .await;
    let home = pair.slave.ask(RequestCode::PULL_MESSAGE, &fields_of_pull(1, 10), "").await.unwrap();
    assert_eq!((home.code, home.fields.get("suggestWhichBrokerId").as_deref()), (20, Some("0")));

    pair.master.end(Signal::KILL);
    eventually("the slave serves", async || {
        let pulled = pair.slave.ask(RequestCode::PULL_MESSAGE, &fields_of_pull(1, 0), "").await.unwrap();
        pulled.code == 0 && pulled.body.len() > 10 * 1024
    })
    .await;
    assert_eq!(pair.slave.send_many(1).await, [14], "it takes no messages");
    let nothing = pair.slave.ask(RequestCode::PULL_MESSAGE, &fields_of_pull(1, 10), "").await.unwrap();
    assert_eq!(nothing.code, 19);

    pair.master.start();
    pair.follows().await;
    assert!(pair.master.send_many(10).await.iter().all(|code| *code == STORED));
    pair.is_level().await;
    assert!(pair.master.log_files() == pair.slave.log_files());
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_from_a_slave_must_be_wanted() {
    let pair = Pair::started("", "").await;
    let refused = pair.slave.ask(RequestCode::PULL_MESSAGE, &fields_of_pull(0, 0), "").await.unwrap();
    assert_eq!(refused.code, 2);
    assert!(refused.remark.unwrap().contains("slaveReadEnable"));
}

/// Neither a master that lost its log, nor one that has filled up another one since, is followed.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_does_not_follow_a_master_with_another_log() {
    let mut pair = Pair::started("", "").await;
    pair.master.send_many(300).await;
    pair.is_level().await;
    pair.master.end(Signal::KILL);
    std::fs::remove_dir_all(pair.master.folder.join("store")).unwrap();
    let before = pair.slave.log_files();
    pair.master.start();
    pair.master.send_many(10).await;
    eventually("the slave says why", async || {
        pair.slave.said().contains("the master has lost what this slave has")
    })
    .await;
    // As long as before, and longer: records of the same size at the same places.
    pair.master.send_many(400).await;
    eventually("the slave says why", async || pair.slave.said().contains("the master's log is another one"))
        .await;
    assert_eq!(pair.slave.status().await.client.activated, Some(false));
    pair.slave.end(Signal::TERM);
    assert!(pair.slave.log_files() == before, "nothing was cut off");
}

/// What is left of the log is copied, wherever it begins now, and not only its last segment: also where the settings say by which
/// way the log comes, and only the name server where to ask for its beginning.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_slave_gets_all_there_is() {
    for by_another_way in [false, true] {
        let mut pair = Pair::new("", "");
        pair.master.start();
        pair.master.send_many(3000).await;
        if by_another_way {
            let way = way_to(pair.master.ha_address()).await;
            pair.slave.set(&format!("haMasterAddress={way}"));
        }
        pair.slave.start();
        pair.follows().await;
        pair.is_level().await;
        assert!(pair.master.log_files().len() > 3);
        assert!(pair.master.log_files() == pair.slave.log_files());
    }
}

/// Carries connections to an address. Nothing serves requests on the port before its own.
async fn way_to(address: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let way = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(&address).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    way
}

/// Apache's slave says 0 and takes what it is sent.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_nothing_is_sent_the_log_from_its_beginning() {
    let mut pair = Pair::new("", "");
    pair.master.start();
    pair.master.send_many(3000).await;
    let log: Vec<u8> = pair.master.log_files().into_iter().flat_map(|(_, bytes)| bytes).collect();
    let mut slave = TcpStream::connect(pair.master.ha_address()).await.unwrap();
    slave.write_all(&0_i64.to_be_bytes()).await.unwrap();
    let mut at = 0;
    while at < pair.master.end_of_log().await {
        assert_eq!(slave.read_i64().await.unwrap(), at);
        let bytes = usize::try_from(slave.read_i32().await.unwrap()).unwrap();
        let mut part = vec![0; bytes];
        slave.read_exact(&mut part).await.unwrap();
        let begin = usize::try_from(at).unwrap();
        assert!(log[begin..begin + bytes] == part);
        at += i64::try_from(bytes).unwrap();
    }
}

/// How much it misses: `FERRYMQ_AWAY_MIB`. With `--nocapture` it says how fast that comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_that_was_away_gets_what_it_missed() {
    let mebibytes: usize =
        std::env::var("FERRYMQ_AWAY_MIB").map_or(8, |text| text.parse().expect("a number of MiB"));
    let mut pair = Pair::started("", "").await;
    pair.master.send_many(100).await;
    pair.is_level().await;
    pair.slave.end(Signal::KILL);
    let has = pair.master.end_of_log().await;
    let client = pair.master.client();
    // Four fill a segment.
    let body = "x".repeat(260_000);
    for number in 0..4 * mebibytes {
        assert_eq!(pair.master.send(&client, number % 4, &body).await, Some(STORED));
    }
    let began = Instant::now();
    pair.slave.start();
    pair.is_level_within(PATIENCE * 10).await;
    let (took, missed) = (began.elapsed().as_secs_f64(), pair.slave.end_of_log().await - has);
    println!("{} MiB came in {took:.1} s: {:.0} MB/s", missed >> 20, missed as f64 / 1e6 / took);
    assert!(missed >= (i64::try_from(mebibytes).unwrap() - 1) << 20);
    pair.master.end(Signal::TERM);
    pair.slave.end(Signal::TERM);
    assert!(pair.master.log_files() == pair.slave.log_files());
}

/// Its queues begin anew at the slave as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_and_made_again() {
    let pair = Pair::started("slaveReadEnable=true", SYNC).await;
    let pulled = async || pair.slave.ask(RequestCode::PULL_MESSAGE, &fields_of_pull(1, 0), "").await.unwrap();
    pair.master.send_many(40).await;
    pair.master.ask(RequestCode::PULL_MESSAGE, &fields_of_pull(1, 0), "").await.unwrap();
    let old = pulled().await.body;
    eventually("the slave has the topic", async || pulled().await.code == 0).await;
    pair.master.ask(RequestCode::DELETE_TOPIC_IN_BROKER, &format!("topic={TOPIC}"), "").await.unwrap();
    eventually("the slave has it no more", async || pulled().await.code == 17).await;
    pair.master.send_many(20).await;
    pair.master.ask(RequestCode::PULL_MESSAGE, &fields_of_pull(1, 0), "").await.unwrap();
    eventually("the slave has the new one", async || {
        let pulled = pulled().await;
        pulled.code == 0 && pulled.fields.get("maxOffset").is_some_and(|end| end == "5") && pulled.body != old
    })
    .await;
}

/// It answers what Apache's slaves and ordered consumers ask of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_locks_queues_for_ordered_consumers() {
    let mut pair = Pair::started("slaveReadEnable=true\nenableSlaveActingMaster=true", SYNC).await;
    pair.master.send_many(4).await;
    pair.master.ask(RequestCode::PULL_MESSAGE, &fields_of_pull(1, 0), "").await.unwrap();
    eventually("the slave has the topic", async || {
        pair.slave.ask(RequestCode::PULL_MESSAGE, &fields_of_pull(1, 0), "").await.unwrap().code == 0
    })
    .await;
    let info = pair.master.ask(RequestCode::EXCHANGE_BROKER_HA_INFO, "", "").await.unwrap();
    assert_eq!(info.fields.get("masterHaAddress").unwrap().to_string(), pair.master.ha_address());
    assert_eq!(pair.master.ask(RequestCode::GET_TIMER_METRICS, "", "").await.unwrap().code, 0);
    pair.master.end(Signal::KILL);
    let queue = format!("{{\"brokerName\":\"g\",\"queueId\":1,\"topic\":\"{TOPIC}\"}}");
    let asks = |client: &str| {
        format!("{{\"consumerGroup\":\"readers\",\"clientId\":\"{client}\",\"mqSet\":[{queue}]}}")
    };
    let locks = async |client: &str| {
        let answer = pair.slave.ask(RequestCode::LOCK_BATCH_MQ, "", &asks(client)).await.unwrap();
        assert_eq!(answer.code, 0, "{:?}", answer.remark);
        String::from_utf8_lossy(&answer.body).contains("queueId")
    };
    assert!(locks("one").await);
    assert!(!locks("another").await);
    assert_eq!(pair.slave.ask(RequestCode::UNLOCK_BATCH_MQ, "", &asks("one")).await.unwrap().code, 0);
    assert!(locks("another").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_of_another_cluster_is_not_filled() {
    let mut pair = Pair::new("", "");
    pair.master.start();
    pair.master.send_many(10).await;
    let master = pair.master.ha_address();
    pair.slave.set(&format!("brokerClusterName=other\nhaMasterAddress={master}"));
    pair.slave.start();
    eventually("the slave says why", async || {
        pair.slave.said().contains("g of c, but this slave belongs to g of other")
    })
    .await;
    assert_eq!(pair.slave.end_of_log().await, 0);
}

/// Whoever connects to the port for slaves is believed nothing, and disturbs nobody.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_the_port_for_slaves() {
    let mut pair = Pair::new("", &format!("{SYNC}\nslaveTimeout=300"));
    pair.master.start();
    pair.master.send_many(5).await;
    let end = pair.master.end_of_log().await;
    let is_closed = async |reports: &[i64]| {
        let mut stranger = TcpStream::connect(pair.master.ha_address()).await.unwrap();
        for report in reports {
            stranger.write_all(&report.to_be_bytes()).await.unwrap();
        }
        let mut rest = Vec::new();
        let _ = stranger.read_to_end(&mut rest).await;
        rest.len() < 12
    };
    assert!(is_closed(&[-1]).await);
    assert!(is_closed(&[end + 1]).await);
    assert!(is_closed(&[i64::MAX]).await);
    assert!(is_closed(&[i64::from_be_bytes(*b"GET / HT")]).await);
    // One that was let in says that it has what it was never sent.
    assert!(is_closed(&[end, end + 4000]).await);
    let mut silent = Vec::new();
    for _ in 0..256 {
        silent.push(TcpStream::connect(pair.master.ha_address()).await.unwrap());
    }
    assert!(is_closed(&[]).await, "there are enough who say nothing");
    drop(silent);
    eventually("there is room again", async || {
        let mut stranger = TcpStream::connect(pair.master.ha_address()).await.unwrap();
        let _ = stranger.write_all(&(end - 1).to_be_bytes()).await;
        stranger.read_i64().await.is_ok()
    })
    .await;
    eventually("no stranger is left", async || pair.master.status().await.connections.is_empty()).await;
    let mut liar = TcpStream::connect(pair.master.ha_address()).await.unwrap();
    liar.write_all(&end.to_be_bytes()).await.unwrap();
    eventually("the liar is let in", async || pair.master.status().await.connections.len() == 1).await;
    assert_eq!(pair.master.send_many(1).await, [SLAVE_TIMEOUT], "it has said nothing yet");
    pair.slave.start();
    eventually("the slave follows", async || pair.slave.status().await.client.activated == Some(true)).await;
    assert_eq!(pair.master.send_many(1).await, [STORED]);
}

#[tokio::test(flavor = "multi_thread")]
async fn slaves_take_nothing_from_liars() {
    liars::slaves_take_nothing_from_liars().await;
}

/// A slave that has everything becomes the master, and the old master's data are all there.
#[tokio::test(flavor = "multi_thread")]
async fn a_slave_is_promoted_unless_something_would_be_lost() {
    let mut pair = Pair::started("", SYNC).await;
    pair.master.send_many(50).await;
    let alive = pair.promote_slave(&[]).unwrap_err();
    assert!(alive.contains("is the master and takes messages"), "{alive}");
    pair.is_level().await;
    let end = pair.master.end_of_log().await;
    eventually("the slave has asked how long the log is", async || {
        let info = pair.slave.ask(RequestCode::GET_BROKER_RUNTIME_INFO, "", "").await.unwrap();
        String::from_utf8_lossy(&info.body).contains(&format!("\"haMasterLogMaxOffset\":\"{end}\""))
    })
    .await;
    pair.master.end(Signal::KILL);
    let done = pair.promote_slave(&[]).unwrap();
    assert!(done.contains("nothing acknowledged is missing"), "{done}");
    pair.slave.end(Signal::TERM);
    pair.slave.restart_with_its_file();
    eventually("it takes messages", async || pair.slave.send_many(1).await == [STORED]).await;
    let kept = pair.slave.ask(RequestCode::PULL_MESSAGE, &fields_of_pull(1, 0), "").await.unwrap();
    assert!(kept.code == 0 && kept.body.len() > 10 * 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_lost_is_said_before_a_promotion() {
    let mut pair = Pair::started("", "").await;
    pair.master.send_many(20).await;
    pair.is_level().await;
    pair.master.end(Signal::KILL);
    let unknown = pair.promote_slave(&[]).unwrap_err();
    assert!(unknown.contains("would be lost"), "{unknown}");
    pair.slave.end(Signal::KILL);
    pair.slave.start();
    let nothing_known = pair.promote_slave(&[]).unwrap_err();
    assert!(nothing_known.contains("nobody knows what it lacks"), "{nothing_known}");
    let forced = pair.promote_slave(&["--force"]).unwrap();
    assert!(forced.contains("Forced, although"), "{forced}");
}

/// It was acknowledged when one of two slaves had it.
#[tokio::test(flavor = "multi_thread")]
async fn another_slave_may_have_what_this_one_lacks() {
    let mut pair = Pair::started("", "brokerRole=SYNC_MASTER\ntotalReplicas=3\ninSyncReplicas=2").await;
    pair.master.send_many(5).await;
    pair.is_level().await;
    pair.master.end(Signal::KILL);
    let unknown = pair.promote_slave(&[]).unwrap_err();
    assert!(unknown.contains("1 of its 2 slaves"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_slaves_with_one_id_are_told() {
    let pair = Pair::started("", "").await;
    let mut twin = pair.another_slave("twin");
    twin.start();
    eventually("the twin says it", async || twin.said().contains("has the same brokerId")).await;
    // Both have everything all the same.
    pair.master.send_many(20).await;
    let end = pair.master.end_of_log().await;
    eventually("all are level", async || {
        pair.slave.end_of_log().await == end && twin.end_of_log().await == end
    })
    .await;
}
