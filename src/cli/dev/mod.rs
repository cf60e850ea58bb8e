//! `ferrymq dev`: a name server and a group of brokers with one command, for trying things out.
//!
//! Every server is a process of its own, as in production: so a node can be killed, and what is seen then is the real thing.
//! One that ended comes back by itself after a while.

mod children;
mod folder;
mod plan;
pub mod record;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::sleep;

use super::remote::{Failure, LEADER, Remote};
use super::signals::Signals;
use super::version::VERSION;
pub use children::ENDS_WITH_PARENT;
use children::{Child, Children};
use plan::Plan;

/// How long servers may take to be ready, and the group to have a leader.
const START_MAX: Duration = Duration::from_secs(30);
/// How long they may take to end.
const STOP_MAX: Duration = Duration::from_secs(20);
/// How often we look who leads.
const LOOK: Duration = Duration::from_millis(100);
/// How long a node that ended stays away, so that one can see how the others do without it.
const AWAY: Duration = Duration::from_secs(10);

/// Run a name server and a group of brokers for trying things out.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Nodes of the broker group: one alone, or a Raft group of three or more.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=7))]
    nodes: u16,

    /// Keep the data here. Unless given, it is in memory and gone at the end.
    #[arg(long, value_name = "FOLDER", conflicts_with = "memory")]
    dir: Option<PathBuf>,

    /// Keep the data in memory. That is what happens without --dir.
    #[arg(long)]
    memory: bool,

    /// Where the name server listens; the brokers listen on 10911, 10921 and so on.
    #[arg(long, value_name = "PORT", default_value_t = 9876)]
    namesrv_port: u16,

    /// Where the first broker listens; each further one ten ports higher.
    #[arg(long, value_name = "PORT", default_value_t = 10911)]
    broker_port: u16,

    /// Where the first broker tells its health and its metrics over HTTP; each further one a port higher.
    #[arg(long, value_name = "PORT", default_value_t = 8180)]
    http_port: u16,

    /// Let the system choose all ports.
    #[arg(long)]
    free_ports: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::operation(format!("the system refused: {error}")).tell(),
    };
    match runtime.block_on(serve(arguments, began)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

async fn serve(arguments: &Arguments, began: Instant) -> Result<(), Failure> {
    let plan = Plan::make(arguments)?;
    let refused = |error| Failure::operation(format!("the system refused: {error}"));
    let mut signals = Signals::listen().map_err(refused)?;
    let mut children = Children::default();
    let outcome = tokio::select! {
        outcome = play(&plan, &mut children, began) => outcome,
        _ = signals.next() => Ok(()),
    };
    super::print("ending\n");
    tokio::select! {
        () = children.end(STOP_MAX) => {}
        _ = signals.next() => {}
    }
    record::remove();
    plan.folder.clean_up();
    outcome
}

/// Starts everything, and then watches it. Returns only with a failure.
async fn play(plan: &Plan, children: &mut Children, began: Instant) -> Result<(), Failure> {
    let name_server =
        Child::start(children::NAME_SERVER, plan.name_server_arguments(), &plan.folder.path, START_MAX)
            .await?;
    children.add(name_server);
    for node in &plan.nodes {
        children.add_starting(&node.name, plan.node_arguments(node), &plan.folder.path)?;
    }
    children.all_ready(START_MAX).await?;
    let remote = Remote::at(&plan.name_server);
    let leader = first_leader(plan, &remote).await?;
    record::write(plan, children)?;
    super::print(&welcome(plan, &leader, began));
    watch(plan, children, &remote, leader).await
}

async fn first_leader(plan: &Plan, remote: &Remote) -> Result<String, Failure> {
    let until = Instant::now() + START_MAX;
    loop {
        if let Some(leader) = leader(plan, remote).await {
            return Ok(leader);
        }
        if Instant::now() > until {
            let folder = plan.folder.path.display();
            return Err(Failure::operation(format!(
                "no node came to lead within {START_MAX:?}; see the logs in {folder}"
            )));
        }
        sleep(LOOK / 10).await;
    }
}

/// The name of the node that the name server takes for the leader.
async fn leader(plan: &Plan, remote: &Remote) -> Option<String> {
    let nodes = remote.nodes().await.ok()?;
    let leader = nodes.into_iter().find(|node| node.id == LEADER)?;
    let node = plan.nodes.iter().find(|node| node.address() == leader.address)?;
    Some(node.name.clone())
}

/// Tells who leads and who ended, and starts again what ended.
async fn watch(plan: &Plan, children: &mut Children, remote: &Remote, first: String) -> Result<(), Failure> {
    let mut known = Some(first);
    let mut without_since = None;
    loop {
        sleep(LOOK).await;
        for (name, how) in children.ended() {
            if name == children::NAME_SERVER {
                return Err(Failure::operation(format!("the name server ended ({how})")));
            }
            super::print(&format!("{name} ended ({how}); it comes back in {} s\n", AWAY.as_secs()));
            if known.as_ref() == Some(&name) {
                (known, without_since) = (None, Some(Instant::now()));
            }
            children.away(name, Instant::now() + AWAY);
        }
        for name in children.due(Instant::now()) {
            let Some(node) = plan.nodes.iter().find(|node| node.name == name) else { continue };
            super::print(&format!("{name} starts again\n"));
            children.add_starting(&name, plan.node_arguments(node), &plan.folder.path)?;
            record::write(plan, children)?;
        }
        let now = leader(plan, remote).await.filter(|name| !children.is_away(name));
        if let Some(name) = now.filter(|name| known.as_ref() != Some(name)) {
            let after = without_since.take().map(|since: Instant| {
                format!(", {:.1} s after the last leader ended", since.elapsed().as_secs_f64())
            });
            super::print(&format!("{name} leads now{}\n", after.unwrap_or_default()));
            known = Some(name);
        }
    }
}

fn welcome(plan: &Plan, leader: &str, began: Instant) -> String {
    let seconds = began.elapsed().as_secs_f64();
    let place = if plan.folder.is_kept() {
        format!("data in {}", plan.folder.path.display())
    } else {
        "in memory, for development; the data is gone at the end".to_owned()
    };
    let nodes: Vec<String> = plan
        .nodes
        .iter()
        .map(|node| {
            let role = if node.name == leader { " LEADER" } else { "" };
            format!("{} {}{role}", node.name, node.address())
        })
        .collect();
    let (name_server, group) = (&plan.name_server, &plan.group);
    let http = plan.nodes.first().map_or(0, |node| node.http_port);
    // Commands that are typed with the default port need nothing more.
    let at = if name_server == "127.0.0.1:9876" { String::new() } else { format!(" -n {name_server}") };
    let kill = if plan.nodes.len() > 1 {
        format!(
            "break it:  ferrymq node kill {leader}      (another node leads at once; {leader} comes back by itself)\n"
        )
    } else {
        String::new()
    };
    format!(
        "ferrymq {VERSION} ready in {seconds:.1} s   ({place})\n\
         \x20 name server   {name_server}        export NAMESRV_ADDR={name_server}\n\
         \x20 brokers       {}   group {group}\n\
         \x20 metrics       http://127.0.0.1:{http}/metrics        health: /readyz?verbose\n\
         try:       ferrymq topic produce demo hello{at}\n\
         \x20          ferrymq topic consume demo --follow{at}\n\
         \x20          ferrymq cluster status{at}\n\
         {kill}end it:    Ctrl-C\n",
        nodes.join("   ")
    )
}
