//! Finds the programs to start: our own binary, and Apache's jars by their Maven coordinates.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::systems::{Maker, Programs, System};
use super::{Backend, containers};

/// Asks the harness of the official clients, which has the one list of coordinates and the one cache.
const ASK_FOR_JARS: &str = "import sys; sys.path.insert(0, sys.argv[1]); from harness import install; \
                            print(f\"{install.jars('servers', install.APACHE, 'servers')}/*\")";
const ASK_FOR_CLIENT: &str = "import sys; sys.path.insert(0, sys.argv[1]); from harness import install; \
                              print(install.fault_driver())";

#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error("there is no {0}: build it, or name it with --ferrymq")]
    NoBinary(PathBuf),
    #[error("Apache's jars cannot be resolved: {0}")]
    NoJars(String),
    #[error("the containers cannot be started: {0}")]
    NoContainers(String),
    #[error("{0} is not installed")]
    NoCommand(&'static str),
}

/// Resolves what the system needs. `ferrymq` stands beside this program unless it is named.
pub fn find(
    system: &System,
    backend: Backend,
    ferrymq: Option<&Path>,
    java_clients: bool,
) -> Result<Programs, ProgramError> {
    need("setpriv")?;
    let mut programs = Programs::default();
    match system.maker {
        Maker::Ferrymq if backend == Backend::Containers => {
            containers::are_possible().map_err(ProgramError::NoContainers)?;
        }
        Maker::Ferrymq => {
            let beside = || std::env::current_exe().unwrap_or_default().with_file_name("ferrymq");
            programs.ferrymq = ferrymq.map_or_else(beside, Path::to_owned);
            if !programs.ferrymq.is_file() {
                return Err(ProgramError::NoBinary(programs.ferrymq));
            }
        }
        Maker::Apache => {
            programs.apache_class_path = class_path(ASK_FOR_JARS)?;
        }
    }
    if java_clients {
        programs.java_client_class_path = class_path(ASK_FOR_CLIENT)?;
    }
    Ok(programs)
}

fn need(command: &'static str) -> Result<(), ProgramError> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).any(|folder| folder.join(command).is_file());
    if found { Ok(()) } else { Err(ProgramError::NoCommand(command)) }
}

fn class_path(question: &str) -> Result<String, ProgramError> {
    for command in ["java", "python3", "mvn"] {
        need(command)?;
    }
    let interop = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tests").join("interop");
    let asked = Command::new("python3").args(["-c", question]).arg(&interop).output();
    let answer = asked.map_err(|error| ProgramError::NoJars(error.to_string()))?;
    let said = String::from_utf8_lossy(&answer.stdout);
    let path = said.lines().last().filter(|_| answer.status.success()).map(str::to_owned);
    path.ok_or_else(|| ProgramError::NoJars(String::from_utf8_lossy(&answer.stderr).trim().to_owned()))
}
