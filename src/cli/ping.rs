//! `ferrymq ping`: does a server answer? For health checks of containers.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use ferrymq_proto::headers::GetClusterInfo;

use super::remote::{Failure, Remote};

/// Ask a name server or a broker for a sign of life: ends with 0 if it answers, 4 if not.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where it listens.
    #[arg(default_value = "127.0.0.1:9876", value_name = "HOST:PORT")]
    address: String,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let address = &arguments.address;
    let began = Instant::now();
    super::remote::run_at(address, async |remote: Remote| {
        // Whatever it says: that it does is the answer.
        match remote.exchange(address, &GetClusterInfo {}).await {
            Ok(_) => {
                super::print(&format!("{address} answers, {} ms\n", began.elapsed().as_millis()));
                Ok(())
            }
            Err(failure) => Err::<(), Failure>(failure),
        }
    })
}
