mod groups;
mod members;
mod rig;
mod suite;
