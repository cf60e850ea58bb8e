//! What is derived as a whole, on a simulated disk.

mod crashes;
mod model;
mod rig;
mod scripts;
mod threads;
