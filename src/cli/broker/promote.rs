//! `ferrymq broker promote`: makes a master of a slave, from its next start on, unless something acknowledged would be lost.
//!
//! What can be known is asked of the two: the master while it is there, else the slave, which remembers how long the master's log was
//! and whether it waited for its slaves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use ferrymq_namesrv::stored_file;
use ferrymq_proto::bodies::{HaStatus, KvTable};
use ferrymq_proto::headers::{GetHaStatus, GetRuntimeInfo};

use crate::cli::remote::{Failure, LEADER, Reach, Remote, run as with_remote};
use crate::cli::server::Options;
use crate::config::broker::{BROKER, BrokerConfig, Mode};
use crate::config::properties;
use crate::config::sources::load;

/// Make a master of a slave that runs, from its next start on. Refused where a message that was acknowledged may be missing.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The slave's file, which is changed.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    file: PathBuf,

    /// What it is to be.
    #[arg(long, value_enum, default_value_t = Role::AsyncMaster)]
    role: Role,

    /// Also when messages are lost by it.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    reach: Reach,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    AsyncMaster,
    SyncMaster,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::AsyncMaster => "ASYNC_MASTER",
            Self::SyncMaster => "SYNC_MASTER",
        }
    }
}

pub fn run(arguments: &Arguments) -> ExitCode {
    with_remote(&arguments.reach, async |remote| promote(&remote, arguments).await)
}

async fn promote(remote: &Remote, arguments: &Arguments) -> Result<(), Failure> {
    let file = &arguments.file;
    let loaded = load(&BROKER, &Options::of_file(file));
    let config = loaded.written.config();
    if loaded.report.errors() > 0 || !matches!(config.mode, Mode::Slave { .. }) {
        let file = file.display();
        return Err(Failure::usage(&format!(
            "{file} is not the file of a slave: only a slave can be promoted"
        )));
    }
    let slave = slave_of(remote, config).await?;
    let loss = match master(remote, config, &slave.address).await {
        Some((address, end)) => Some(with_master(&slave, &address, end)),
        None => without_master(&slave),
    };
    match loss {
        Some(loss) if !arguments.force => {
            return Err(Failure::safety(&format!("{loss} Nothing was changed; --force does it all the same.")));
        }
        Some(loss) => remote.say(&format!("Forced, although: {loss}")),
        None => remote.say(&format!(
            "The master waited for its slaves, and this slave had all of its log ({} bytes): nothing acknowledged is missing.",
            slave.end
        )),
    }
    rewrite(file, arguments.role)?;
    remote.say(&format!(
        "{} says brokerRole={} and brokerId=0 now. Restart this node, and never start the old master as a master again: \
         move its store away and let it follow as a slave.",
        file.display(),
        arguments.role.name()
    ));
    Ok(())
}

/// What a slave says of itself, and of its master.
struct Slave {
    address: String,
    end: i64,
    master_end: Option<i64>,
    /// How many copies of a message the master demanded before it acknowledged it, and how many nodes there were for them.
    master_copies: Option<(i64, i64)>,
}

async fn slave_of(remote: &Remote, config: &BrokerConfig) -> Result<Slave, Failure> {
    let address = format!("{}:{}", config.identity.host, config.network.listen_port);
    let info: KvTable = remote.ask_for(&address, &GetRuntimeInfo {}).await?;
    let number = |key: &str| info.table.get(key).and_then(|text| text.parse::<i64>().ok());
    let end = number("commitLogMaxOffset");
    let end = end.ok_or_else(|| Failure::operation(format!("{address} does not say how long its log is")))?;
    Ok(Slave {
        address,
        end,
        master_end: number("haMasterLogMaxOffset"),
        master_copies: number("haMasterInSyncReplicas").zip(number("haMasterTotalReplicas")),
    })
}

/// The master that the name servers know, and how long its log is, if it answers.
async fn master(remote: &Remote, config: &BrokerConfig, slave: &str) -> Option<(String, i64)> {
    let nodes = remote.nodes().await.ok()?;
    let group = config.identity.name.as_str();
    let is_it = |id: i64, of: &str, address: &str| id == LEADER && of == group && address != slave;
    let node = nodes.into_iter().find(|node| is_it(node.id, &node.group, &node.address))?;
    let status: HaStatus = remote.ask_for(&node.address, &GetHaStatus {}).await.ok()?;
    status.master.then_some((node.address, status.master_log_max_offset.0))
}

fn with_master(slave: &Slave, address: &str, end: i64) -> String {
    let missing = end.saturating_sub(slave.end);
    let lacks = if missing > 0 {
        format!("this slave lacks the last {missing} bytes of its log")
    } else {
        "this slave has all of its log up to now".to_owned()
    };
    format!(
        "{address} is the master and takes messages; {lacks}. Two masters would give two messages one offset: stop the master \
         first, which lets its slaves have the rest."
    )
}

/// What would be lost, if that is so or cannot be told.
fn without_master(slave: &Slave) -> Option<String> {
    let Some(master_end) = slave.master_end else {
        return Some(
            "this slave has not spoken to a master since its start, so nobody knows what it lacks."
                .to_owned(),
        );
    };
    let missing = master_end.saturating_sub(slave.end);
    if missing > 0 {
        return Some(format!(
            "the master's log had {master_end} bytes, and this slave has {}: {missing} bytes of acknowledged messages would be lost.",
            slave.end
        ));
    }
    match slave.master_copies {
        Some((copies, all)) if copies > 1 && copies >= all => None,
        Some((copies, all)) if copies > 1 => Some(format!(
            "the master waited for {} of its {} slaves, and what it took after this slave last asked it, within its last seconds, \
             another one may have. Promote the one with the longest log.",
            copies - 1,
            all - 1
        )),
        _ => Some(
            "the master did not wait for its slaves: what it took after this slave last asked it, within its last seconds, \
             would be lost."
                .to_owned(),
        ),
    }
}

/// The old file stays beside it.
fn rewrite(file: &Path, role: Role) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::operation(format!("{}: {error}", file.display()));
    let text = std::fs::read(file).map_err(failed)?;
    let mut copy = file.as_os_str().to_owned();
    copy.push(".before-promotion");
    stored_file::replace(Path::new(&copy), &text).map_err(failed)?;
    let set = |text: Vec<u8>, name: &str, value: &str| {
        properties::set(&text, name, |key| BROKER.keys.find(key).is_some_and(|key| key.name == name), value)
    };
    let text = set(text, "brokerRole", role.name());
    let text = set(text, "brokerId", "0");
    stored_file::replace(file, &text).map_err(failed)
}
