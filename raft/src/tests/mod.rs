mod disk;
mod disks;
mod groups;
mod members;
mod rig;
mod suite;
