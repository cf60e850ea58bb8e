//! The faults: one row each. What they do, to whom, and what they need.
//!
//! Every fault proves that it took effect before it counts as installed; one that cannot is `indeterminate`, and one that finds
//! nobody to harm is `skipped`.

mod corruption;
mod install;
mod nemesis;

pub use install::{Installed, install, not_started};
pub use nemesis::{Nemesis, heal_everything};

use crate::dice::Dice;
use crate::history::NodeId;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// SIGKILL; started again when it ends.
    Kill,
    /// Each node in turn, one at a time.
    KillRolling,
    /// SIGSTOP until it ends.
    Pause,
    /// Nothing passes between the targets and all other nodes.
    Cut,
    /// Nothing passes from the targets to the others; the other way all does.
    CutOneWay,
    /// Like `Cut`, on and off again.
    Flap,
    /// Nothing passes between clients and the targets.
    CutClients,
    /// Nothing passes to and from the name server.
    CutNameServer,
    /// All links are slow.
    Slow,
    /// Clients hear no answer from the targets.
    DropReplies,
    /// Connections of clients end within a frame.
    CutFrames,
    /// All connections of the targets are reset, over and over.
    Reset,
    /// What had not reached the disk is gone.
    PowerCut,
    /// Pause B, cut the power of A, resume B, pause C: the three-node form of a known way to lose a quorum's memory.
    PowerDance,
    /// C hears nothing while A and B elect one of themselves; the one that only voted loses power, and elects with C. Had its vote
    /// not been on its disk, one term would have two leaders.
    VoteDance,
    DiskFull,
    /// Some bits of a file of a stopped node.
    FlipBits,
    /// The end of a file of a stopped node.
    Truncate,
    /// A stopped node forgets everything.
    Wipe,
    /// C misses what A and B take; then B is damaged, A ends, and only B and C are left to elect: nobody may lead who has not all.
    FlipDance,
    /// The same, and B forgets everything.
    WipeDance,
    /// Clients forget all they know and come back as others.
    ClientCrash,
    /// The master ends and its slave takes its place; when the fault ends, the old master comes back as a slave.
    Promote,
    /// The same after a cut of the master's power.
    PromoteDark,
    /// The same, and the slave hears nothing of what the master takes before it ends.
    PromoteApart,
}

/// Who it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Nobody,
    One,
    Minority,
    Majority,
    Primary,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub name: &'static str,
    /// The name under which several are asked for together.
    pub package: &'static str,
    pub means: Means,
    pub target: Target,
}

/// Declares the faults.
macro_rules! faults {
    ($($name:literal in $package:literal: $means:ident $target:ident;)*) => {
        pub const FAULTS: &[Fault] = &[
            $(Fault { name: $name, package: $package, means: Means::$means, target: Target::$target },)*
        ];
    };
}

faults! {
    "kill-one" in "kill": Kill One;
    "kill-minority" in "kill": Kill Minority;
    "kill-majority" in "kill": Kill Majority;
    "kill-primary" in "kill": Kill Primary;
    "kill-all" in "kill": Kill All;
    "kill-rolling" in "kill": KillRolling All;
    "pause-one" in "pause": Pause One;
    "pause-minority" in "pause": Pause Minority;
    "pause-majority" in "pause": Pause Majority;
    "pause-primary" in "pause": Pause Primary;
    "pause-all" in "pause": Pause All;
    "partition-one" in "partition": Cut One;
    "partition-halves" in "partition": Cut Minority;
    "partition-primary" in "partition": Cut Primary;
    "partition-one-way" in "partition": CutOneWay One;
    "partition-primary-one-way" in "partition": CutOneWay Primary;
    "partition-flapping" in "partition": Flap One;
    "partition-clients" in "partition": CutClients Primary;
    "partition-namesrv" in "partition": CutNameServer Nobody;
    "slow-net" in "slow": Slow Nobody;
    "drop-replies" in "replies": DropReplies Primary;
    "cut-frames" in "replies": CutFrames Primary;
    "reset" in "replies": Reset One;
    "powercut-one" in "powercut": PowerCut One;
    "powercut-minority" in "powercut": PowerCut Minority;
    "powercut-primary" in "powercut": PowerCut Primary;
    "powercut-all" in "powercut": PowerCut All;
    "powercut-dance" in "powercut": PowerDance Primary;
    "powercut-voter" in "powercut": VoteDance Primary;
    "disk-full-one" in "disk": DiskFull One;
    "disk-full-primary" in "disk": DiskFull Primary;
    "corrupt-flip" in "corrupt": FlipBits One;
    "corrupt-truncate" in "corrupt": Truncate One;
    "corrupt-dance" in "corrupt": FlipDance Primary;
    "wipe-one" in "wipe": Wipe One;
    "wipe-dance" in "wipe": WipeDance Primary;
    "client-crash" in "client": ClientCrash Nobody;
    "promote-kill" in "promote": Promote Primary;
    "promote-powercut" in "promote": PromoteDark Primary;
    "promote-cut" in "promote": PromoteApart Primary;
}

impl Fault {
    pub fn find(name: &str) -> Option<&'static Self> {
        FAULTS.iter().find(|fault| fault.name == name)
    }

    /// All faults of a package, or the one of that name.
    pub fn named(name: &str) -> Vec<&'static Self> {
        FAULTS.iter().filter(|fault| fault.name == name || fault.package == name).collect()
    }

    /// It needs disks whose power can be cut or that can be filled.
    pub fn needs_images(&self) -> bool {
        use Means::{DiskFull, PowerCut, PowerDance, PromoteDark, VoteDance};
        matches!(self.means, PowerCut | PowerDance | VoteDance | DiskFull | PromoteDark)
    }

    /// It makes sense only among nodes that elect a leader.
    pub fn needs_raft(&self) -> bool {
        use Means::{FlipDance, PowerDance, VoteDance, Wipe, WipeDance};
        matches!(self.means, PowerDance | VoteDance | FlipDance | Wipe | WipeDance)
    }

    /// It gives the place of a master to its slave.
    pub fn promotes(&self) -> bool {
        matches!(self.means, Means::Promote | Means::PromoteDark | Means::PromoteApart)
    }

    /// The nodes that it ends, pauses or cuts off at some time.
    pub fn strikes(&self, nodes: u8, targets: &[NodeId]) -> Vec<NodeId> {
        use Means::{
            ClientCrash, CutClients, CutFrames, CutNameServer, DiskFull, DropReplies, FlipDance, PowerDance,
            Promote, PromoteApart, PromoteDark, Reset, Slow, VoteDance, WipeDance,
        };
        match self.means {
            Slow | DropReplies | CutFrames | Reset | CutClients | CutNameServer | ClientCrash | DiskFull => {
                Vec::new()
            }
            PowerDance | VoteDance | FlipDance | WipeDance | Promote | PromoteDark | PromoteApart => {
                (0..nodes).map(NodeId).collect()
            }
            _ => targets.to_vec(),
        }
    }

    /// Docker can do it.
    pub fn fits_containers(&self) -> bool {
        use Means::{ClientCrash, Cut, Kill, KillRolling, Pause};
        matches!(self.means, Kill | KillRolling | Pause | Cut | ClientCrash)
    }

    /// It stands between nodes.
    pub fn needs_peers(&self) -> bool {
        matches!(self.means, Means::Cut | Means::CutOneWay | Means::Flap)
    }
}

impl Target {
    /// Chooses nodes. `pick` is of the plan, so the same leader gives the same choice.
    pub fn choose(self, nodes: u8, leader: Option<NodeId>, pick: u64) -> Vec<NodeId> {
        let mut dice = Dice::new(pick);
        let mut all: Vec<NodeId> = (0..nodes).map(NodeId).collect();
        dice.shuffle(&mut all);
        let majority = usize::from(nodes) / 2 + 1;
        match self {
            Self::Nobody => all.clear(),
            Self::One => all.truncate(1),
            Self::Minority => all.truncate(usize::from(nodes) - majority),
            Self::Majority => all.truncate(majority),
            Self::Primary => all = leader.into_iter().collect(),
            Self::All => all.sort_unstable(),
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let leader = Some(NodeId(1));
        let sizes = |nodes| {
            [Target::Nobody, Target::One, Target::Minority, Target::Majority, Target::Primary, Target::All]
                .map(|target| target.choose(nodes, leader, 7).len())
        };
        assert_eq!(sizes(3), [0, 1, 1, 2, 1, 3]);
        assert_eq!(sizes(5), [0, 1, 2, 3, 1, 5]);
        assert_eq!(Target::Primary.choose(3, leader, 7), [NodeId(1)]);
        assert_eq!(Target::Primary.choose(3, None, 7), []);
        assert_eq!(Target::One.choose(3, None, 7), Target::One.choose(3, leader, 7));
    }

    #[test]
    fn names_and_packages() {
        assert_eq!(Fault::named("kill").len(), 6);
        assert_eq!(Fault::named("pause-primary").len(), 1);
        assert_eq!(Fault::named("earthquake").len(), 0);
    }
}
