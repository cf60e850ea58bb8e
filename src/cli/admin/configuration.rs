//! Verbs about settings.

use bytes::Bytes;
use ferrymq_proto::headers::{
    DeleteKv, GetBrokerConfig, GetNamesrvConfig, PutKv, UpdateBrokerConfig, UpdateNamesrvConfig,
};

use super::cluster::{self, Whom, addresses};
use super::options::Given;
use crate::cli::print;
use crate::cli::remote::{Failure, LEADER, Remote};
use crate::config::properties;

fn written(body: &[u8]) -> String {
    let entries = properties::read(body).entries.into_iter();
    entries.map(|entry| format!("{:<50}=  {}\n", entry.key, entry.value)).collect::<String>() + "\n"
}

/// -k and -v as a line of a properties file.
fn line(given: &Given) -> Bytes {
    let (key, value) = (properties::escape_key(given.text('k')), properties::escape_value(given.text('v')));
    Bytes::from(format!("{key}={value}\n"))
}

pub async fn get(remote: &Remote, given: &Given) -> Result<(), Failure> {
    if let Some(address) = given.get('b') {
        print(&format!("============{address}============\n"));
        return show(remote, address).await;
    }
    addresses(remote, given, Whom::Leaders).await?;
    let mut leader = String::new();
    for (_, node) in cluster::nodes(remote, given.get('c')).await? {
        print(&if node.id == LEADER {
            leader.clone_from(&node.address);
            format!("============Master: {leader}============\n")
        } else {
            format!("============My Master: {leader}=====Slave: {}============\n", node.address)
        });
        show(remote, &node.address).await?;
    }
    Ok(())
}

async fn show(remote: &Remote, address: &str) -> Result<(), Failure> {
    let (_, body) = remote.ask(address, &GetBrokerConfig {}, Bytes::new()).await?;
    print(&written(&body));
    Ok(())
}

pub async fn update(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let whom = if given.has('a') { Whom::All } else { Whom::Leaders };
    for address in addresses(remote, given, whom).await? {
        remote.ask(&address, &UpdateBrokerConfig {}, line(given)).await?;
        print(&format!("update broker config success, {address}\n"));
    }
    Ok(())
}

pub async fn get_of_name_servers(remote: &Remote, _given: &Given) -> Result<(), Failure> {
    for address in remote.name_servers() {
        let (_, body) = remote.ask(address, &GetNamesrvConfig {}, Bytes::new()).await?;
        print(&format!("============{address}============\n{}", written(&body)));
    }
    Ok(())
}

pub async fn update_name_servers(remote: &Remote, given: &Given) -> Result<(), Failure> {
    for address in remote.name_servers() {
        remote.ask(address, &UpdateNamesrvConfig {}, line(given)).await?;
    }
    let (key, value, all) = (given.text('k'), given.text('v'), remote.name_servers().join(", "));
    print(&format!("update name server config success![{all}]\n{key} : {value}\n"));
    Ok(())
}

pub async fn put_value(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let (namespace, key, value) = (given.text('s').into(), given.text('k').into(), given.text('v').into());
    remote.tell_name_servers(&PutKv { namespace, key, value }).await?;
    print("create or update kv config success.\n");
    Ok(())
}

pub async fn delete_value(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let (namespace, key) = (given.text('s').into(), given.text('k').into());
    remote.tell_name_servers(&DeleteKv { namespace, key }).await?;
    print("delete kv config from namespace success.\n");
    Ok(())
}
