//! One run: a plan is carried out, and its history judged.

mod finale;
mod progress;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::net::CallError;
use ferrymq_proto::position::QueueId;
use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use crate::checkers::coverage;
use crate::checkers::{self, Findings};
use crate::client::{Java, observe};
use crate::cluster::{
    Backend, Blueprint, Cluster, ClusterError, Mode, Programs, Replication, StorageKind, System,
};
use crate::faults::{Nemesis, heal_everything};
use crate::history::{
    self, BeginValue, Event, EventType, HistoryError, LeadValue, NoticeValue, Op, Process, Recorder, Tally,
    phases,
};
use crate::plan::Plan;
use crate::workloads::{CALL_MAX, Cast, Part, Stage, Worker, Workload};
use finale::{Finale, Stuck};

/// The topic that a run is about.
const TOPIC: &str = "jepsen";
/// On small disks, so that a run does not fill them by itself.
const SMALL_BODY_BYTES: usize = 4 << 10;
const WATCH: Duration = Duration::from_millis(500);
/// Of the clock that shows whether the harness gets a processor when it wants one.
const BEAT: Duration = Duration::from_millis(50);
const DELAY_MAX: Duration = Duration::from_millis(300);
const HELD_UP: &str = "the harness was held up";
/// For the topic to be known everywhere.
const TOPIC_MAX: Duration = Duration::from_secs(40);
/// Wrong on purpose in the harness itself, for the controls of those names.
const COMMIT_AHEAD: &str = "commit-ahead";
const BLIND_RESEND: &str = "blind-resend";
pub const OWN_MODES: &[&str] = &[COMMIT_AHEAD, BLIND_RESEND];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    Invalid,
    /// Nothing wrong was seen, but too little was seen.
    Unknown(Vec<String>),
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub verdict: Verdict,
    pub findings: Findings,
    pub tally: Tally,
    /// How often each fault took effect.
    pub faults: BTreeMap<String, u64>,
    pub folder: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("the run cannot be written to {folder}: {source}")]
    Store { folder: PathBuf, source: io::Error },
    #[error("the brokers never took a topic or a group: {0}")]
    NeverServed(String),
    #[error("the Java client cannot be used: {0}")]
    NoJava(io::Error),
    #[error("interrupted")]
    Interrupted,
}

/// What a run needs besides its plan.
#[derive(Clone, Debug)]
pub struct Setup {
    pub plan: Plan,
    pub backend: Backend,
    pub system: &'static System,
    pub mode: Mode,
    pub workload: &'static Workload,
    pub programs: Programs,
    /// Of this run alone; it is empty.
    pub folder: PathBuf,
    /// Tell how it goes while it goes.
    pub progress: bool,
}

/// Carries out the plan, and leaves its history in its folder. All processes have ended when it returns.
pub async fn run(setup: &Setup) -> Result<Tally, RunError> {
    let failed = |source| RunError::Store { folder: setup.folder.clone(), source };
    fs::create_dir_all(&setup.folder).map_err(failed)?;
    fs::write(setup.folder.join("plan.json"), setup.plan.to_json() + "\n").map_err(failed)?;
    let recorder = Arc::new(Recorder::create(&history_path(&setup.folder)).map_err(failed)?);
    let blueprint = Blueprint {
        backend: setup.backend,
        system: setup.system,
        mode: setup.mode,
        nodes: u8::try_from(setup.plan.nodes).unwrap_or(3),
        sync_flush: setup.plan.sync_flush,
        storage: if setup.plan.images { StorageKind::Image } else { StorageKind::Plain },
        unsafe_modes: setup
            .plan
            .unsafe_modes
            .iter()
            .filter(|name| !OWN_MODES.contains(&name.as_str()))
            .cloned()
            .collect(),
        seed: setup.plan.seed.cast_unsigned(),
    };
    let cluster = Cluster::prepare(blueprint, setup.programs.clone(), &setup.folder).await?;
    let cluster = Arc::new(Mutex::new(cluster));
    let carried_out = tokio::select! {
        done = carry_out(setup, &cluster, &recorder) => done,
        _ = interrupted() => Err(RunError::Interrupted),
    };
    // Whatever happened: nothing goes on.
    let stopped = cluster.lock().await.stop().await;
    for (node, term) in cluster.lock().await.terms_led().unwrap_or_default() {
        recorder.record(Process::Observer, EventType::Info, Op::Lead(LeadValue { node, term }));
    }
    drop(cluster);
    recorder.finish().map_err(failed)?;
    carried_out?;
    stopped?;
    Ok(recorder.tally())
}

/// Where the history of a run lies.
pub fn history_path(folder: &Path) -> PathBuf {
    folder.join("history.jsonl")
}

/// Judges what a run has left in its folder.
pub fn judge(plan: &Plan, folder: &Path, history: &[Event], tally: Tally) -> Result<Outcome, HistoryError> {
    let findings = checkers::judge(history)?;
    let mut gaps = coverage::gaps(history, &plan.demands());
    if !gaps.is_empty() || !findings.is_empty() {
        gaps.extend(held_up(history));
    }
    let verdict = verdict(&findings, gaps);
    let faults = coverage::installed(history);
    Ok(Outcome { verdict, findings, tally, faults, folder: folder.to_owned() })
}

/// A group that did not become whole has not shown that it kept everything: that alone is no proof that it did not.
pub fn verdict(findings: &Findings, mut gaps: Vec<String>) -> Verdict {
    if findings.counts.keys().any(|name| *name != "stuck") {
        return Verdict::Invalid;
    }
    gaps.extend(findings.told.iter().map(|anomaly| anomaly.sentence.clone()));
    if gaps.is_empty() { Verdict::Valid } else { Verdict::Unknown(gaps) }
}

/// How long the harness itself did not run when it wanted to, if that was often: then much else did not either.
fn held_up(history: &[Event]) -> Option<String> {
    let is_delay =
        |event: &&Event| matches!(&event.op, Op::Notice(notice) if notice.notice.starts_with(HELD_UP));
    let times = history.iter().filter(is_delay).count();
    (times > 0).then(|| {
        format!(
            "the machine was too busy: {times} times {HELD_UP} for more than {} ms",
            DELAY_MAX.as_millis()
        )
    })
}

/// Tells when this process gets no processor although it has something to do.
async fn keep_time(recorder: Arc<Recorder>) {
    loop {
        let due = Instant::now() + BEAT;
        tokio::time::sleep_until(due).await;
        let late = due.elapsed();
        if late > DELAY_MAX {
            let notice = format!("{HELD_UP} for {} ms", late.as_millis());
            recorder.record(
                Process::Observer,
                EventType::Info,
                Op::Notice(NoticeValue { node: None, notice }),
            );
        }
    }
}

async fn interrupted() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// Ends a task when it goes out of scope.
struct Ends(Vec<AbortHandle>);

impl Drop for Ends {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

async fn carry_out(
    setup: &Setup,
    cluster: &Arc<Mutex<Cluster>>,
    recorder: &Arc<Recorder>,
) -> Result<(), RunError> {
    let plan = &setup.plan;
    let quorum = setup.system.quorum(setup.mode, u8::try_from(plan.nodes).unwrap_or(3));
    let begin = BeginValue {
        system: plan.system.clone(),
        workload: plan.workload.clone(),
        nodes: plan.nodes,
        queues: plan.queues,
        quorum,
        offsets_in_memory_ms: setup.system.offsets_in_memory_ms,
        seed: plan.seed,
    };
    recorder.record(Process::Observer, EventType::Info, Op::Begin(begin));
    let mut started = cluster.lock().await;
    started.start().await?;
    let doors = started.doors();
    drop(started);
    // The observer looks past the links; what clients know comes through them.
    let (seen, observer) = observe(doors.name_server, doors.brokers.clone(), Some(Arc::clone(recorder)));
    let (known, router) = observe(doors.name_server_for_clients, doors.brokers, None);
    let watchdog = tokio::spawn(watch_over(Arc::clone(cluster), Arc::clone(recorder))).abort_handle();
    let clock = tokio::spawn(keep_time(Arc::clone(recorder))).abort_handle();
    let mut ends = Ends(vec![observer, router, watchdog, clock]);

    let java = match plan.java_clients {
        true => Some(start_java(setup, doors.name_server_for_clients).await?),
        false => None,
    };
    let (part, parts) = watch::channel(Part::Load);
    let (crashes, crashed) = watch::channel(0);
    let stage = Stage::new(Cast {
        recorder: Arc::clone(recorder),
        directory: known,
        topic: TOPIC.into(),
        queues: i32::try_from(plan.queues).unwrap_or(8),
        workers: u32::try_from(plan.clients).unwrap_or(9),
        rate: plan.rate.cast_unsigned(),
        seed: plan.seed.cast_unsigned(),
        part: parts,
        crashes: crashed,
        body_bytes_max: if plan.images { SMALL_BODY_BYTES } else { usize::MAX },
        commits_ahead: plan.unsafe_modes.iter().any(|name| name == COMMIT_AHEAD),
        resends: plan.unsafe_modes.iter().any(|name| name == BLIND_RESEND),
        java,
    });
    make_topic(&stage, doors.name_server_for_clients).await?;
    make_groups(&stage, &(setup.workload.groups)(&stage)).await?;
    if setup.progress {
        ends.0
            .push(tokio::spawn(progress::tell(Arc::clone(recorder), stage.directory.clone())).abort_handle());
    }

    let finale =
        Finale { stage: &stage, cluster, limit: Duration::from_millis(plan.final_limit_ms.cast_unsigned()) };
    if setup.system.replication == Replication::MasterSlave && plan.nodes > 1 && setup.workload.sends {
        finale.copies_arrive().await.map_err(|Stuck(what)| RunError::NeverServed(what))?;
    }
    finale.phase(phases::LOAD, None);
    let began = Instant::now();
    let mut workers = setup.workload.start(&stage);
    let mut nemesis = Nemesis::new(Arc::clone(cluster), Arc::clone(recorder), seen, crashes);
    let load = began + Duration::from_millis(plan.time_limit_ms.cast_unsigned());
    nemesis.run(&plan.faults, began).await?;
    tokio::time::sleep_until(load).await;

    let refused = heal_everything(&mut *cluster.lock().await).await?;
    finale.notices(refused);
    finale.phase(phases::HEALED, None);
    let _ = part.send(Part::Quiet);
    sleep(Duration::from_secs(setup.workload.linger_seconds)).await;
    let whole = finale.become_whole(setup.workload.sends).await;
    // Readers go on until they have read what came last.
    let deadline = Instant::now() + finale.limit;
    let _ = part.send(if setup.workload.sends { Part::Drain } else { Part::Over });
    while tokio::time::timeout_at(deadline, workers.join_next()).await.is_ok_and(|joined| joined.is_some()) {}
    if !workers.is_empty() {
        finale.phase(phases::STUCK, Some(format!("consumers were not at the end after {:?}", finale.limit)));
    }
    let consumed = workers.is_empty();
    let _ = part.send(Part::Over);
    while workers.join_next().await.is_some() {}
    read_everything(setup, &finale, whole, consumed).await
}

async fn start_java(setup: &Setup, name_server: SocketAddr) -> Result<Java, RunError> {
    let java = Java::start(&setup.programs, &name_server.to_string(), TOPIC, CALL_MAX).await;
    java.map_err(RunError::NoJava)
}

async fn read_everything(
    setup: &Setup,
    finale: &Finale<'_>,
    whole: Result<history::NodeId, Stuck>,
    consumed: bool,
) -> Result<(), RunError> {
    let mut leader = match whole {
        Ok(leader) => leader,
        // What can be read is read all the same: it may show what went wrong.
        Err(_) => finale.stage.directory.leader().unwrap_or_default(),
    };
    if setup.workload.restarts {
        for _ in 0..2 {
            finale.restart().await?;
            if let Ok(again) = finale.become_whole(false).await {
                leader = again;
            }
            finale.scan(leader).await;
        }
    }
    if finale.scan(leader).await && consumed {
        finale.phase(phases::DRAINED, None);
    }
    Ok(())
}

async fn watch_over(cluster: Arc<Mutex<Cluster>>, recorder: Arc<Recorder>) {
    loop {
        sleep(WATCH).await;
        for (node, said) in cluster.lock().await.watch() {
            let notice = format!("ended by itself: {said}");
            let value = NoticeValue { node: Some(node), notice };
            recorder.record(Process::Observer, EventType::Info, Op::Notice(value));
        }
    }
}

/// Makes groups on whoever leads.
async fn make_groups(stage: &Arc<Stage>, groups: &[String]) -> Result<(), RunError> {
    let deadline = Instant::now() + TOPIC_MAX;
    let mut session = stage.session();
    for group in groups {
        loop {
            let made = match stage.directory.leader() {
                Some(leader) => {
                    session.create_group(leader, group).await.map_err(|error| crate::client::told(&error))
                }
                None => Err("nobody leads".to_owned()),
            };
            match made {
                Ok(()) => break,
                Err(said) if Instant::now() > deadline => return Err(RunError::NeverServed(said)),
                Err(_) => sleep(WATCH).await,
            }
        }
    }
    Ok(())
}

/// Makes the topic on whoever leads, and waits until all brokers and the name server know it.
async fn make_topic(stage: &Arc<Stage>, name_server: SocketAddr) -> Result<(), RunError> {
    let deadline = Instant::now() + TOPIC_MAX;
    let mut session = stage.session();
    let mut last = "nobody leads".to_owned();
    let mut made = false;
    while Instant::now() < deadline {
        if let Some(leader) = stage.directory.leader() {
            match session.create_topic(leader, TOPIC, stage.queues).await {
                Ok(()) if session.has_route(name_server).await => {
                    made = true;
                    break;
                }
                Ok(()) => "the name server does not know it".clone_into(&mut last),
                // Its first message makes it, where brokers allow that.
                Err(CallError::Refused { code: ResponseCode::REQUEST_CODE_NOT_SUPPORTED, .. }) => {
                    let mut worker = Worker::new(stage, u32::MAX, 1);
                    let message = worker.message();
                    worker.send(QueueId(0), &[message]).await;
                    if session.has_route(name_server).await {
                        return Ok(());
                    }
                }
                Err(error) => last = crate::client::told(&error),
            }
        }
        sleep(WATCH).await;
    }
    if !made {
        return Err(RunError::NeverServed(last));
    }
    // Some brokers copy topics every ten seconds, and refuse messages for what they have not heard of.
    let nodes: Vec<_> = stage.directory.nodes().collect();
    for node in nodes {
        while !matches!(session.find_topic(node, TOPIC).await, Ok(Some(_))) && Instant::now() < deadline {
            sleep(WATCH).await;
        }
    }
    Ok(())
}
