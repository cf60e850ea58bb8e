//! What the broker does, in words of its own: no wire types, no sockets.

pub mod announcements;
pub mod archive;
pub mod arrivals;
pub mod assignment;
pub mod clients;
pub mod consumption;
pub mod courier;
pub mod delays;
pub mod filters;
pub mod groups;
pub mod keeping;
pub mod message;
pub mod offsets;
pub mod order_locks;
pub mod posting;
pub mod produce;
pub mod pull;
pub mod query;
pub mod recall;
pub mod registration;
pub mod replies;
pub mod retries;
pub mod stats;
pub mod topics;
pub mod transactions;
pub mod vitals;
