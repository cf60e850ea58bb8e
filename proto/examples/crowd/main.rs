//! Very many clients of one broker: producers, and consumers of which each is a member of several groups. They come, share the
//! queues, are sent messages, die in part, and come back. Each behaves as Apache's: it speaks up with heartbeats, asks who else
//! is in its groups whenever it is told that this has changed, and holds a pull for each of its queues.
//!
//! ```text
//! crowd ADDRESS PROCESS [CLIENTS] [GROUPS] [TOPICS] [QUEUES]
//! ```
//! Prints a line for each step: how long it took until all was as it must be, and what the broker's process had taken by then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

mod crowd;
mod member;
mod plan;
#[path = "../requests/mod.rs"]
mod requests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crowd::Crowd;
use plan::Plan;

const IDLE_LOOKS: usize = 4;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let plan = Arc::new(Plan {
        address: arguments[0].clone(),
        process: number(1, 0),
        clients: number(2, 1_000),
        groups: number(3, 2_000),
        topics: number(4, 500),
        queues: number(5, 100),
    });
    let crowd = Crowd::new(Arc::clone(&plan));
    plan.report("at first", Duration::ZERO);
    let began = Instant::now();
    plan.create_topics().await;
    plan.report(&format!("{} topics of {} queues created", plan.topics, plan.queues), began.elapsed());

    let began = Instant::now();
    let producers = plan.producers().await;
    plan.report(&format!("{} producers connected", producers.len()), began.elapsed());

    let began = Instant::now();
    let mut consumers: Vec<_> = (0..plan.clients).map(|number| crowd.enter(number)).collect();
    crowd.settled(plan.clients).await;
    let what =
        format!("{} consumers in {} groups share {} queues", plan.clients, plan.groups, crowd.places());
    plan.report(&what, began.elapsed());

    crowd.deliver(&producers, "delivered").await;

    let began = Instant::now();
    let dying = plan.clients / 10;
    for consumer in consumers.split_off(plan.clients - dying) {
        consumer.die().await;
    }
    crowd.settled(plan.clients - dying).await;
    plan.report(&format!("{dying} consumers died: the others have their queues"), began.elapsed());

    crowd.deliver(&producers, "delivered to the others").await;

    let began = Instant::now();
    consumers.extend((plan.clients - dying..plan.clients).map(|number| crowd.enter(number)));
    crowd.settled(plan.clients).await;
    plan.report(&format!("{dying} consumers came back"), began.elapsed());

    // More than once, to see whether what it costs grows.
    for _ in 0..IDLE_LOOKS {
        let began = (Instant::now(), plan.cpu_seconds());
        sleep(Duration::from_secs(30)).await;
        let idle = (plan.cpu_seconds() - began.1) / began.0.elapsed().as_secs_f64();
        plan.report(&format!("nothing to do, {:.1} % of a core", idle * 100.0), began.0.elapsed());
    }
    drop(consumers);
    drop(producers);
    sleep(Duration::from_secs(5)).await;
    plan.report("all gone", Duration::from_secs(5));
}
