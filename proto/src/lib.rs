//! The RocketMQ remoting protocol.
//!
//! Pure code, which knows no socket, clock or thread: [`frame`] cuts bytes into frames, [`command`] reads and writes one
//! frame's header in both of its forms, [`mod@header`] and [`headers`] give each code its typed fields, [`json`] and [`bodies`]
//! read and write the JSON dialect of the bodies, [`record`] is the stored message, [`filter`] says which messages a subscription
//! asks for. [`net`] carries commands over TCP.
//!
//! Whatever comes from outside is checked here: no bytes make this crate panic, and no length that a peer claims makes it
//! allocate more than the bytes that are present.
#![forbid(unsafe_code)]

pub mod bodies;
pub mod body;
pub mod code;
pub mod command;
pub mod fields;
pub mod filter;
pub mod frame;
pub mod header;
pub mod headers;
pub mod json;
pub mod language;
pub mod name;
pub mod net;
pub mod position;
pub mod record;
pub mod text;
pub mod version;
