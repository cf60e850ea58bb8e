//! Damage to what is final: a disk has spoiled what this node has promised to keep. The good bytes come from another node, which
//! has the same at the same place.
//!
//! A store that does not open is mended [before](mend) the node takes part in anything. What shows later is mended by the
//! [`Mender`] of the running node, which takes no part in elections meanwhile; the [`inspection`] looks for it.

pub(crate) mod inspection;
mod mender;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::disk::Disk;
use ferrymq_storage::mend::{ClosedLog, MendError};
use tokio::time::sleep;

use crate::group::meta_path;
use crate::meta::{MetaFile, NodeMetaError};
use crate::settings::GroupSettings;
use crate::transport::Links;
use crate::transport::client::Peers;
use crate::transport::passport::Identity;
use crate::types::Member;

pub(crate) use mender::{Injury, Mender};

/// Between two rounds through the peers.
const RETRY: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a damaged store stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum NotMended {
    #[error("this node has no peer that could have the same")]
    Alone,
    #[error("{path} is missing: nobody knows who this node was")]
    NobodyKnown { path: PathBuf },
    #[error(transparent)]
    Meta(#[from] NodeMetaError),
    #[error(transparent)]
    Store(#[from] MendError),
}

/// Where the damage is, and how to speak to those who may have better bytes.
struct Wound<'a> {
    peers: Peers,
    others: Vec<Member>,
    offset: LogOffset,
    log: ClosedLog<'a>,
    /// In which this node has voted last.
    own_term: u64,
}

/// Mends a store that does not open, because what was final or durable is damaged at an offset. Waits until a peer answers that
/// has it, or that knows it not to be final: then it may be forgotten. The store must be opened anew behind it: there may be more.
pub async fn mend(
    settings: &GroupSettings,
    disk: &Arc<dyn Disk>,
    offset: LogOffset,
) -> Result<(), NotMended> {
    let others = settings.others();
    if others.is_empty() {
        return Err(NotMended::Alone);
    }
    let path = meta_path(settings);
    let meta = MetaFile::open(&**disk, &path)?.ok_or(NotMended::NobodyKnown { path })?.current();
    let host = Identity { cluster: meta.cluster, group: meta.group, name: meta.name, node: meta.node };
    let mut wound = Wound {
        peers: Peers::new(host, Arc::new(Links::default()), ANSWER_TIMEOUT),
        others,
        offset,
        log: ClosedLog::take(&**disk, &settings.folder)?,
        own_term: meta.vote.map(|vote| vote.leader_id.term).unwrap_or_default(),
    };
    let mut told = None;
    loop {
        let reasons = match wound.ask_all().await? {
            Healing::Done => return Ok(()),
            Healing::Waiting(reasons) => reasons,
        };
        if told.as_ref() != Some(&reasons) {
            tracing::warn!(%offset, reasons, "no other node gives what is damaged here; this one waits for it");
            told = Some(reasons);
        }
        sleep(RETRY).await;
    }
}

enum Healing {
    Done,
    Waiting(String),
}

impl Wound<'_> {
    async fn ask_all(&mut self) -> Result<Healing, NotMended> {
        let mut reasons = Vec::new();
        for peer in self.others.clone() {
            match self.ask(&peer).await? {
                Healing::Done => return Ok(Healing::Done),
                Healing::Waiting(reason) => reasons.push(format!("{}: {reason}", peer.name)),
            }
        }
        Ok(Healing::Waiting(reasons.join("; ")))
    }

    async fn ask(&mut self, peer: &Member) -> Result<Healing, NotMended> {
        let mut at = self.offset;
        loop {
            let part = match self.peers.read_log(peer, at, ANSWER_TIMEOUT).await {
                Ok(part) if !part.units.is_empty() => part,
                // It has given all that it has.
                _ if at > self.offset => return Ok(Healing::Done),
                // What lies here was never final, and never will be: that leader does not have it.
                Ok(part) if part.serves_in_term > self.own_term => {
                    tracing::warn!(offset = %self.offset, "what is damaged was never final: it is forgotten");
                    self.log.forget_behind(self.offset)?;
                    return Ok(Healing::Done);
                }
                Ok(_) => return Ok(Healing::Waiting("it is not final there".into())),
                Err(error) => return Ok(Healing::Waiting(error)),
            };
            let is_changed = match self.log.mend(at, &part.units) {
                Err(error @ MendError::Foreign(_)) => return Ok(Healing::Waiting(error.to_string())),
                other => other?,
            };
            if !is_changed && at > self.offset {
                return Ok(Healing::Done);
            }
            tracing::info!(offset = %at, bytes = part.units.len(), peer = peer.name, "took the log of another node");
            at = LogOffset(at.0.saturating_add_unsigned(part.units.len() as u64));
        }
    }
}
