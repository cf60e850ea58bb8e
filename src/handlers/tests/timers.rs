//! How far ahead a moment may be, and taking it back.

use super::{Running, said};

const SETTINGS: [&str; 3] = ["timerMaxDelaySec=3456000", "timerPrecisionMs=100", "recallMessageEnable=true"];
const HEAD: &str = "a=p b=t c=TBW102 d=4 e=0 f=0 g=1700000000000 h=0 j=0 k=false m=false";
const TOO_FAR: &str =
    "timer message illegal, the delay time should not be bigger than the max delay 3456000000ms";

#[tokio::test(flavor = "multi_thread")]
async fn forty_days_ahead_and_not_a_millisecond_more() {
    let broker = Running::start_with(&SETTINGS, std::sync::Arc::new(super::NoService)).await;
    let delayed =
        |name: &str, value: i64| format!("310 {HEAD} i=UNIQ_KEY\u{1}K{value}\u{2}{name}\u{1}{value}");
    for (name, most) in [("TIMER_DELAY_MS", 3_456_000_000), ("TIMER_DELAY_SEC", 3_456_000)] {
        let (taken, refused) = (delayed(name, most), delayed(name, most + 1));
        broker.play(&format!("{refused} | x -> 13 {TOO_FAR}\n{taken} | x -> 0 recallHandle=")).await;
    }
    let fields = delayed("TIMER_DELAY_MS", 3_455_999_000);
    let answer = broker.ask(310, fields.strip_prefix("310 ").expect("a code"), "x").await;
    let mut handle = String::new();
    answer.fields.for_each(|name, value| {
        if name == "recallHandle" {
            handle = value.to_string();
        }
    });
    assert!(!handle.is_empty(), "{}", said(&answer));
    broker
        .play(&format!(
            r#"
            370 producerGroup=p topic=t recallHandle={handle} -> 0 msgId=K3455999000
            370 producerGroup=p topic=u recallHandle={handle} -> 17
            370 producerGroup=p topic=TBW102 recallHandle={handle} -> 604 topic not match
            370 producerGroup=p topic=t recallHandle=x{handle} -> 604 invalid
            30 topic=t queueId=0 -> 0 offset=0
            "#
        ))
        .await;
    broker.stop().await;
}
