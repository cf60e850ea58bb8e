mod disk;
mod disks;
mod groups;
mod hostile;
mod members;
mod rig;
mod suite;
