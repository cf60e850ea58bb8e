mod rig;
mod suite;
