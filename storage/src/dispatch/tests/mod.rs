//! What is derived as a whole, on a simulated disk.

mod bad_days;
mod crashes;
mod flips;
mod model;
mod rig;
mod scripts;
mod threads;
