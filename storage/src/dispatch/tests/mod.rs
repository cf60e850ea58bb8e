//! What is derived as a whole, on a simulated disk.

mod crashes;
mod flips;
mod model;
mod rig;
mod scripts;
mod threads;
