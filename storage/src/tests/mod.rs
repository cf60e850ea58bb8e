//! The log as a whole, on a simulated disk.

mod apaches;
mod bad_days;
mod copies;
mod crashes;
mod cuts;
mod flips;
mod full_disk;
mod model;
pub mod nightly;
mod resets;
pub mod rig;
mod scripts;
mod threads;
