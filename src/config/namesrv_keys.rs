//! The name server's keys: what can be set, and what is known from Apache RocketMQ 5.5.0 and means nothing here.
//!
//! Apache's `-c` fills NamesrvConfig, NettyServerConfig and NettyClientConfig from one file, and ControllerConfig and
//! JraftConfig when the controller is on; each of their keys has a row, and so has each `tls.` property.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use ferrymq_namesrv::settings::Settings;
use ferrymq_proto::net::Limits;

use super::field::{Field, Unit};
use super::keys::{Change, Ignored, Key, KeyTable};
use super::log_filter;
use super::server::Server;
use crate::errors::{FEATURE_NOT_OFFERED, SECURITY_NOT_OFFERED};

/// What a name server is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct NamesrvConfig {
    pub bind_address: IpAddr,
    pub listen_port: u16,
    pub config_store_path: PathBuf,
    /// Keys that must not change by request although their row allows it, separated by `;`.
    pub config_black_list: String,
    /// What is logged, if not what the environment says.
    pub log_filter: String,
    pub shutdown_wait: Duration,
    pub settings: Settings,
    pub limits: Limits,
}

impl NamesrvConfig {
    /// The shape alone. No value in it means anything until the table's defaults are laid over it.
    pub fn blank() -> Self {
        NamesrvConfig {
            bind_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            listen_port: 0,
            config_store_path: PathBuf::new(),
            config_black_list: String::new(),
            log_filter: String::new(),
            shutdown_wait: Duration::ZERO,
            settings: Settings {
                kv_config_path: PathBuf::new(),
                order_message_enable: false,
                return_order_topic_config_to_broker: false,
                scan_not_active_broker_interval: Duration::ZERO,
                unregister_broker_queue_capacity: 0,
                support_acting_master: false,
                enable_all_topic_list: false,
                enable_topic_list: false,
                notify_min_broker_id_changed: false,
                need_wait_for_service: false,
                wait_for_service: Duration::ZERO,
                delete_topic_with_broker_registration: false,
            },
            limits: Limits::default(),
        }
    }
}

/// How a name server is configured.
pub static NAMESRV: Server<NamesrvConfig> = Server {
    noun: "name server",
    keys: KEYS,
    prefix: "FERRYMQ_NAMESRV_",
    variables: &[],
    file_key: "configStorePath",
    update_verb: "updateNamesrvConfig",
    blank: NamesrvConfig::blank,
    dependent: |_| &[],
    settle: |_| Vec::new(),
    file: |config| &config.config_store_path,
    black_list: |config| &config.config_black_list,
};

/// The row of a switch that anyone may turn.
const fn switch(
    name: &'static str,
    default: &'static str,
    place: fn(&mut NamesrvConfig) -> &mut bool,
    about: &'static str,
) -> Key<NamesrvConfig> {
    row(name, default, Field::Switch(place), Change::ByRequest, about)
}

const fn row(
    name: &'static str,
    default: &'static str,
    field: Field<NamesrvConfig>,
    change: Change,
    about: &'static str,
) -> Key<NamesrvConfig> {
    Key::effective(name, default, field, change, about)
}

const fn no_effect(
    name: &'static str,
    default: &'static str,
    family: &'static Ignored,
) -> Key<NamesrvConfig> {
    Key::ignored(name, default, family)
}

const fn no_controller(name: &'static str, default: &'static str) -> Key<NamesrvConfig> {
    Key::ignored(name, default, &CONTROLLER)
}

const fn no_client(name: &'static str, default: &'static str) -> Key<NamesrvConfig> {
    Key::ignored(name, default, &CLIENT)
}

const fn no_tls(
    name: &'static str,
    default: &'static str,
    harmless: &'static [&'static str],
) -> Key<NamesrvConfig> {
    let reason = "TLS is not offered yet, and this key asks for it";
    Key::refused(name, default, harmless, &SECURITY_NOT_OFFERED, reason)
}

static THREADS: Ignored = Ignored {
    plural: "thread-pool keys",
    reason: "half as many threads as there are cores serve all requests; there are no pools",
};
static NETTY: Ignored = Ignored {
    plural: "Netty keys",
    reason: "there is no Netty; buffers and queues have fixed bounds, and a stop always closes connections in order",
};
static HOME: Ignored = Ignored {
    plural: "keys of the Java installation",
    reason: "nothing is looked up in an installation folder or by environment name",
};
static CLIENT: Ignored =
    Ignored { plural: "client keys", reason: "a name server opens no connection and reports to nobody" };
static CONTROLLER: Ignored = Ignored {
    plural: "controller keys",
    reason: "there is no controller: a ferrymq broker group elects its leader by itself",
};
static TLS_DETAILS: Ignored =
    Ignored { plural: "TLS keys", reason: "they only refine TLS, which is not offered yet" };

/// Every key, Apache's in the order of its classes.
pub static KEYS: KeyTable<NamesrvConfig> = KeyTable(&[&[
    // NamesrvConfig
    no_effect("rocketmqHome", "", &HOME).listed(),
    row(
        "kvConfigPath",
        "~/namesrv/kvConfig.json",
        Field::Path(|config| &mut config.settings.kv_config_path),
        Change::Restart,
        "The file that keeps the key-value table, such as the order of ordered topics.",
    ),
    row(
        "configStorePath",
        "~/namesrv/namesrv.properties",
        Field::Path(|config| &mut config.config_store_path),
        Change::Restart,
        "The file that is read at the start and keeps changes made by request. `-c FILE` sets it; in a file it means nothing.",
    ),
    no_effect("productEnvName", "center", &HOME).listed(),
    Key::refused(
        "clusterTest",
        "false",
        &["false"],
        &FEATURE_NOT_OFFERED,
        "routes that are missing here would have to be asked from the name servers of productEnvName",
    )
    .listed(),
    switch(
        "orderMessageEnable",
        "false",
        |config| &mut config.settings.order_message_enable,
        "Answer routes with the topic's entry in the key-value namespace ORDER_TOPIC_CONFIG.",
    ),
    switch(
        "returnOrderTopicConfigToBroker",
        "true",
        |config| &mut config.settings.return_order_topic_config_to_broker,
        "Hand the namespace ORDER_TOPIC_CONFIG to each broker that registers.",
    ),
    no_effect("clientRequestThreadPoolNums", "8", &THREADS).listed(),
    no_effect("defaultThreadPoolNums", "16", &THREADS).listed(),
    no_effect("clientRequestThreadPoolQueueCapacity", "50000", &THREADS).listed(),
    no_effect("defaultThreadPoolQueueCapacity", "10000", &THREADS).listed(),
    row(
        "scanNotActiveBrokerInterval",
        "5000",
        Field::Time(Unit::Milliseconds, 10..=3_600_000, |config| {
            &mut config.settings.scan_not_active_broker_interval
        }),
        Change::ByRequest,
        "How often brokers that fell silent are looked for and forgotten.",
    ),
    row(
        "unRegisterBrokerQueueCapacity",
        "3000",
        Field::Number(1..=1_000_000, |config| &mut config.settings.unregister_broker_queue_capacity),
        Change::Restart,
        "Brokers that leave may wait for each other so many at a time; past this one hears an error and tries again.",
    )
    .also(&["unregisterBrokerQueueCapacity"]),
    switch(
        "supportActingMaster",
        "false",
        |config| &mut config.settings.support_acting_master,
        "Present the smallest broker id of a group without a master as its master, if the group allows it.",
    ),
    switch(
        "enableAllTopicList",
        "true",
        |config| &mut config.settings.enable_all_topic_list,
        "Answer requests for the list of all topics.",
    ),
    switch(
        "enableTopicList",
        "true",
        |config| &mut config.settings.enable_topic_list,
        "Answer requests for the list of one cluster's topics.",
    ),
    switch(
        "notifyMinBrokerIdChanged",
        "false",
        |config| &mut config.settings.notify_min_broker_id_changed,
        "Tell the members of a group when its smallest broker id changes.",
    ),
    Key::refused(
        "enableControllerInNamesrv",
        "false",
        &["false"],
        &FEATURE_NOT_OFFERED,
        "brokers would wait for a controller that is not there; a ferrymq broker group elects its leader by itself",
    )
    .listed(),
    switch(
        "needWaitForService",
        "false",
        |config| &mut config.settings.need_wait_for_service,
        "Refuse routes for waitSecondsForService after the start, so that brokers can register first.",
    ),
    row(
        "waitSecondsForService",
        "45",
        Field::Time(Unit::Seconds, 0..=3600, |config| &mut config.settings.wait_for_service),
        Change::ByRequest,
        "See needWaitForService.",
    ),
    switch(
        "deleteTopicWithBrokerRegistration",
        "false",
        |config| &mut config.settings.delete_topic_with_broker_registration,
        "Forget those topics of a broker that its newest registration does not name.",
    ),
    row(
        "configBlackList",
        "configBlackList;configStorePath;kvConfigPath",
        Field::Text(|config| &mut config.config_black_list),
        Change::Restart,
        "Keys, separated by `;`, that must not change by request. It can only forbid more: keys whose row here says \
         `restart` never change by request.",
    ),
    row(
        "logFilter",
        "",
        Field::Parsed(log_filter::EXPECTED, |config, text| {
            config.log_filter = log_filter::parse(text)?;
            Some(text.to_owned())
        }),
        Change::ByRequest,
        log_filter::ABOUT,
    ),
    // NettyServerConfig
    row(
        "bindAddress",
        "0.0.0.0",
        Field::Address(|config| &mut config.bind_address),
        Change::Restart,
        "The address to listen on; 0.0.0.0 means all of this machine.",
    ),
    row(
        "listenPort",
        "9876",
        Field::Port(|config| &mut config.listen_port),
        Change::Restart,
        "The port to listen on. 0 takes a free one, which the ready line names.",
    ),
    no_effect("serverWorkerThreads", "8", &THREADS).listed(),
    no_effect("serverCallbackExecutorThreads", "0", &THREADS).listed(),
    no_effect("serverSelectorThreads", "3", &THREADS).listed(),
    no_effect("serverOnewaySemaphoreValue", "256", &THREADS).listed(),
    no_effect("serverAsyncSemaphoreValue", "64", &THREADS).listed(),
    row(
        "serverChannelMaxIdleTimeSeconds",
        "120",
        Field::Time(Unit::Seconds, 1..=86_400, |config| &mut config.limits.idle),
        Change::Restart,
        "A connection that is silent for so long is closed. Brokers and clients speak every 30 seconds.",
    ),
    no_effect("serverSocketSndBufSize", "0", &NETTY).listed(),
    no_effect("serverSocketRcvBufSize", "0", &NETTY).listed(),
    no_effect("writeBufferHighWaterMark", "0", &NETTY).listed(),
    no_effect("writeBufferLowWaterMark", "0", &NETTY).listed(),
    no_effect("serverSocketBacklog", "1024", &NETTY).listed(),
    no_effect("serverNettyWorkerGroupEnable", "true", &NETTY).listed(),
    no_effect("serverPooledByteBufAllocatorEnable", "true", &NETTY).listed(),
    no_effect("enableShutdownGracefully", "false", &NETTY).listed(),
    row(
        "shutdownWaitTimeSeconds",
        "30",
        Field::Time(Unit::Seconds, 1..=3600, |config| &mut config.shutdown_wait),
        Change::Restart,
        "A stop takes no longer than this: connections that are still open then are cut.",
    ),
    no_effect("useEpollNativeSelector", "false", &NETTY).listed(),
    // Our own limits
    row(
        "connectionsMax",
        "32768",
        Field::Number(1..=1_048_576, |config| &mut config.limits.connections_max),
        Change::Restart,
        "Open connections. The next one is closed as soon as it is accepted.",
    ),
    row(
        "connectionsPerAddressMax",
        "16384",
        Field::Number(1..=1_048_576, |config| &mut config.limits.connections_per_address_max),
        Change::Restart,
        "Open connections from one address. Wide, since whole data centres sit behind one.",
    ),
    row(
        "heldBytesMax",
        "1073741824",
        Field::Size(33_554_432..=1_099_511_627_776, |config| &mut config.limits.held_bytes_max),
        Change::Restart,
        "Bytes that all connections together may have sent without being served, or leave unread. Past this, only \
         connections that hold none are read from until there is room.",
    ),
    row(
        "frameBytesMax",
        "16777216",
        Field::Size(65_536..=67_108_864, |config| &mut config.limits.frame_bytes_max),
        Change::Restart,
        "The longest request. A connection that sends a longer one is closed.",
    ),
    // NettyClientConfig, and the property that Apache makes of -n
    no_client("namesrvAddr", ""),
    no_client("clientWorkerThreads", "4"),
    no_client("clientCallbackExecutorThreads", ""),
    no_client("clientOnewaySemaphoreValue", "65535"),
    no_client("clientAsyncSemaphoreValue", "65535"),
    no_client("connectTimeoutMillis", "3000"),
    no_client("channelNotActiveInterval", "60000"),
    no_client("scanAvailableNameSrv", "true"),
    no_client("clientChannelMaxIdleTimeSeconds", "120"),
    no_client("clientSocketSndBufSize", "0"),
    no_client("clientSocketRcvBufSize", "0"),
    no_client("clientPooledByteBufAllocatorEnable", "false"),
    no_client("clientCloseSocketIfTimeout", "true"),
    no_client("useTLS", "false"),
    no_client("socksProxyConfig", "{}"),
    no_client("disableCallbackExecutor", "false"),
    no_client("disableNettyWorkerGroup", "false"),
    no_client("maxReconnectIntervalTimeSeconds", "60"),
    no_client("enableReconnectForGoAway", "true"),
    // ControllerConfig and JraftConfig
    no_controller("controllerType", "DLedger"),
    no_controller("controllerThreadPoolNums", "16"),
    no_controller("controllerRequestThreadPoolQueueCapacity", "50000"),
    no_controller("controllerDLegerGroup", ""),
    no_controller("controllerDLegerPeers", ""),
    no_controller("controllerDLegerSelfId", ""),
    no_controller("mappedFileSize", "1073741824"),
    no_controller("controllerStorePath", ""),
    no_controller("electMasterMaxRetryCount", "3"),
    no_controller("enableElectUncleanMaster", "false"),
    no_controller("processReadEvent", "false").also(&["isProcessReadEvent"]),
    no_controller("notifyBrokerRoleChanged", "true"),
    no_controller("scanInactiveMasterInterval", "5000"),
    no_controller("metricsExporterType", "DISABLE"),
    no_controller("metricsGrpcExporterTarget", ""),
    no_controller("metricsGrpcExporterHeader", ""),
    no_controller("metricGrpcExporterTimeOutInMills", "3000"),
    no_controller("metricGrpcExporterIntervalInMills", "60000"),
    no_controller("metricLoggingExporterIntervalInMills", "10000"),
    no_controller("metricsPromExporterPort", "5557"),
    no_controller("metricsPromExporterHost", ""),
    no_controller("metricsLabel", ""),
    no_controller("metricsInDelta", "false"),
    no_controller("jRaftElectionTimeoutMs", "1000"),
    no_controller("jRaftScanWaitTimeoutMs", "1000"),
    no_controller("jRaftSnapshotIntervalSecs", "3600"),
    no_controller("jRaftGroupId", "jRaft-Controller"),
    no_controller("jRaftServerId", "localhost:9880"),
    no_controller("jRaftInitConf", "localhost:9880,localhost:9881,localhost:9882"),
    no_controller("jRaftControllerRPCAddr", "localhost:9770,localhost:9771,localhost:9772"),
    // TlsSystemConfig
    no_tls("tls.enable", "false", &["false"]),
    no_tls("tls.server.mode", "permissive", &["disabled", "permissive"]),
    no_tls("tls.server.need.client.auth", "none", &["none", "optional"]),
    no_tls("tls.server.authClient", "false", &["false"]),
    no_tls("tls.server.keyPath", "", &[]),
    no_tls("tls.server.keyPassword", "", &[]),
    no_tls("tls.server.certPath", "", &[]),
    no_tls("tls.server.trustCertPath", "", &[]),
    no_tls("tls.config.file", "", &[]),
    no_effect("tls.test.mode.enable", "true", &TLS_DETAILS),
    no_effect("tls.ciphers", "", &TLS_DETAILS),
    no_effect("tls.protocols", "", &TLS_DETAILS),
    no_client("tls.client.keyPath", ""),
    no_client("tls.client.keyPassword", ""),
    no_client("tls.client.certPath", ""),
    no_client("tls.client.authServer", "false"),
    no_client("tls.client.trustCertPath", ""),
]]);

#[cfg(test)]
mod tests;
