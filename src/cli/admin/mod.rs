//! `ferrymq admin`, or `mqadmin` by name: the verbs of Apache's mqadmin, with its options and its columns.
//!
//! For scripts and runbooks that call mqadmin. A verb asks what the commands of ours ask, and prints it as Apache's does; it
//! differs where that misleads a script: it ends with a code other than 0 when it failed, and its times are in UTC.

mod cluster;
mod configuration;
mod groups;
mod inspect;
mod messages;
mod offsets;
mod options;
mod shown;
mod topics;
mod trace;

use std::fmt::Write as _;
use std::pin::Pin;
use std::process::ExitCode;

use clap::Args;

use self::options::Given;
use super::remote::{Failure, Reach, Remote, run as with_remote};
use crate::config::quoted;

/// The verbs of Apache's mqadmin, with its options and its columns: for scripts that call it.
#[derive(Debug, Args)]
#[command(after_long_help = overview())]
pub struct Arguments {
    /// A verb and its options, such as `topicStatus -n 127.0.0.1:9876 -t orders`; `help VERB` lists the options of one.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "VERB")]
    words: Vec<String>,
}

type Work<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// One verb: its name, its options (see [`options`]), what it does.
struct Verb {
    name: &'static str,
    options: &'static str,
    what: &'static str,
    run: for<'a> fn(&'a Remote, &'a Given) -> Work<'a>,
}

macro_rules! verbs {
    ($($name:literal $options:literal $what:literal => $run:path;)*) => {
        const VERBS: &[Verb] = &[$(Verb {
            name: $name, options: $options, what: $what, run: |remote, given| Box::pin($run(remote, given)),
        },)*];
    };
}

verbs! {
    "clusterList" "m.moreStats c:clusterName" "all brokers and what they do" => cluster::list;
    "brokerStatus" "b:brokerAddr c:clusterName" "what a broker says of itself" => cluster::status;
    "wipeWritePerm" "b:brokerName!" "take a broker out of writing, at all name servers" => cluster::wipe_write;
    "addWritePerm" "b:brokerName!" "let a broker be written again" => cluster::add_write;
    "getBrokerConfig" "b:brokerAddr c:clusterName" "the settings of a broker" => configuration::get;
    "updateBrokerConfig" "b:brokerAddr c:clusterName a:updateAllBroker k:key! v:value!" "change a setting of a broker" => configuration::update;
    "getNamesrvConfig" "" "the settings of the name servers" => configuration::get_of_name_servers;
    "updateNamesrvConfig" "k:key! v:value!" "change a setting of the name servers" => configuration::update_name_servers;
    "updateKvConfig" "s:namespace! k:key! v:value!" "put a value into the table of the name servers" => configuration::put_value;
    "deleteKvConfig" "s:namespace! k:key!" "delete a value from the table of the name servers" => configuration::delete_value;
    "topicList" "c.clusterModel" "all topics" => topics::list;
    "topicClusterList" "t:topic!" "the clusters that have a topic" => topics::clusters;
    "topicRoute" "t:topic! l.list" "where clients find a topic" => topics::route;
    "topicStatus" "t:topic!" "the queues of a topic and what is in them" => topics::status;
    "statsAll" "a.activeTopic t:topic" "rates of topics and their groups" => topics::rates;
    "updateTopic" "b:brokerAddr c:clusterName t:topic! r:readQueueNums w:writeQueueNums p:perm o:order u:unit s:hasUnitSub a:attributes" "make a topic, or change one" => topics::put;
    "updateTopicPerm" "b:brokerAddr c:clusterName t:topic! p:perm!" "change what clients may do with a topic" => topics::allow;
    "deleteTopic" "t:topic! c:clusterName!" "delete a topic" => topics::delete;
    "updateSubGroup" "b:brokerAddr c:clusterName g:groupName! s:consumeEnable m:consumeFromMinEnable d:consumeBroadcastEnable o:consumeMessageOrderly q:retryQueueNums r:retryMaxTimes i:brokerId w:whichBrokerWhenConsumeSlowly a:notifyConsumerIdsChanged" "make a consumer group, or change one" => groups::put;
    "deleteSubGroup" "b:brokerAddr c:clusterName g:groupName! r:removeOffset" "delete a consumer group" => groups::delete;
    "getConsumerConfig" "g:groupName!" "the settings of a consumer group" => groups::config;
    "consumerProgress" "g:groupName t:topicName s:showClientIP" "how far groups are" => groups::progress;
    "consumerConnection" "g:consumerGroup! b:brokerAddr" "who is in a group" => inspect::consumers;
    "producerConnection" "g:producerGroup! t:topic!" "the producers of a group" => inspect::producers;
    "consumerStatus" "g:consumerGroup! i:clientId b:brokerAddr s.jstack" "what consumers say of themselves" => inspect::running;
    "resetOffsetByTime" "g:group! t:topic! s:timestamp! f:force b:broker q:queue o:offset" "move a group to a time" => offsets::reset;
    "skipAccumulatedMessage" "g:group! t:topic! f:force" "move a group past all that waits" => offsets::skip;
    "sendMessage" "t:topic! p:body! k:key c:tags b:broker i:qid" "send a message" => messages::send;
    "consumeMessage" "t:topic! b:brokerName i:queueId o:offset g:consumerGroup s:beginTimestamp e:endTimestamp c:MessageNumber" "read messages" => messages::consume;
    "printMsg" "t:topic! s:subExpression b:beginTimestamp e:endTimestamp d:printBody" "read all messages of a topic" => messages::print_all;
    "queryMsgById" "t:topic i:msgId! g:consumerGroup d:clientId s:sendMessage f:bodyFormat" "the message with an id; send it again (-s true), or to one consumer (-g, -d)" => messages::by_id;
    "queryMsgByKey" "t:topic! k:msgKey! b:beginTimestamp e:endTimestamp m:maxNum" "messages with a key" => messages::by_key;
    "queryMsgByUniqueKey" "t:topic! i:msgId! g:consumerGroup d:clientId a.showAll" "the message that a client gave an id" => messages::by_unique_key;
    "queryMsgByOffset" "t:topic! b:brokerName! i:queueId! o:offset! f:bodyFormat" "the message at an offset" => messages::by_offset;
    "queryMsgTraceById" "i:msgId! t:traceTopic b:beginTimestamp e:endTimestamp c:maxNum" "what became of a message, from its traces" => trace::of_message;
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let mut words = arguments.words.iter().map(String::as_str);
    let is_help = |word: &str| ["help", "-h", "--help"].contains(&word);
    match (words.next(), words.next()) {
        (None, _) => {
            super::print(&overview());
            ExitCode::SUCCESS
        }
        (Some(word), None) if is_help(word) => {
            super::print(&overview());
            ExitCode::SUCCESS
        }
        (Some(word), Some(name)) if is_help(word) => help(name),
        (Some(name), Some(word)) if word == "-h" || word == "--help" => help(name),
        (Some(name), _) => call(name, arguments.words.get(1..).unwrap_or_default()),
    }
}

fn call(name: &str, words: &[String]) -> ExitCode {
    let verb = match find(name) {
        Ok(verb) => verb,
        Err(failure) => return failure.tell(),
    };
    match Given::read(verb.options, words) {
        Ok(given) => {
            let reach = Reach::naming(given.get('n'));
            with_remote(&reach, async |remote| (verb.run)(&remote, &given).await)
        }
        Err(problem) => Failure::usage(&format!("{name}: {problem}\n{}", usage(verb))).tell(),
    }
}

fn find(name: &str) -> Result<&'static Verb, Failure> {
    let found = VERBS.iter().find(|verb| verb.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let nearest = VERBS.iter().max_by(|one, other| {
            strsim::jaro_winkler(one.name, name).total_cmp(&strsim::jaro_winkler(other.name, name))
        });
        let nearest = nearest.map_or("topicList", |verb| verb.name);
        Failure::usage(&format!(
            "there is no verb {} here; did you mean {nearest}? `ferrymq admin` lists all. Groups are led and changed with `ferrymq raft`.",
            quoted(name)
        ))
    })
}

fn help(name: &str) -> ExitCode {
    match find(name) {
        Ok(verb) => {
            super::print(&usage(verb));
            ExitCode::SUCCESS
        }
        Err(failure) => failure.tell(),
    }
}

fn usage(verb: &Verb) -> String {
    let mut text = format!("usage: mqadmin {}: {}\n", verb.name, verb.what);
    for option in options::all(verb.options) {
        let _ = writeln!(text, "  {option}");
    }
    text
}

fn overview() -> String {
    let lines: String = VERBS.iter().map(|verb| format!("   {:<24} {}\n", verb.name, verb.what)).collect();
    format!(
        "The verbs are:\n{lines}\nSee `ferrymq admin help VERB` for its options. All take -n HOST:PORT, the name servers.\n"
    )
}

#[cfg(test)]
mod tests;
