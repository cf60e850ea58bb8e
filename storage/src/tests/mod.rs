//! The log as a whole, on a simulated disk.

mod crashes;
mod rig;
mod scripts;
