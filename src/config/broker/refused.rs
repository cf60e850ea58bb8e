//! Keys that ask for what is not offered and must not be missing in silence.

use super::rows::Row;
use crate::config::keys::Key;
use crate::errors::{FEATURE_NOT_OFFERED, SECURITY_NOT_OFFERED};

const fn no_feature(
    name: &'static str,
    default: &'static str,
    harmless: &'static [&'static str],
    reason: &'static str,
) -> Row {
    Key::refused(name, default, harmless, &FEATURE_NOT_OFFERED, reason)
}

const fn no_switch(name: &'static str, reason: &'static str) -> Row {
    no_feature(name, "false", &["false"], reason).listed()
}

const fn no_access_control(name: &'static str) -> Row {
    let reason = "access control is not offered yet, and this key asks for it";
    Key::refused(name, "false", &["false"], &SECURITY_NOT_OFFERED, reason)
}

const fn no_tls(name: &'static str, default: &'static str, harmless: &'static [&'static str]) -> Row {
    let reason = "TLS is not offered yet, and this key asks for it";
    Key::refused(name, default, harmless, &SECURITY_NOT_OFFERED, reason)
}

pub(super) static KEYS: &[Row] = &[
    no_access_control("aclEnable").listed().important(),
    no_access_control("authenticationEnabled"),
    no_access_control("authorizationEnabled"),
    no_access_control("migrateAuthFromV1Enabled"),
    no_tls("useTLS", "false", &["false"]).listed(),
    no_tls("tls.enable", "false", &["false"]),
    no_tls("tls.server.mode", "permissive", &["disabled", "permissive"]),
    no_tls("tls.server.need.client.auth", "none", &["none", "optional"]),
    no_tls("tls.server.authClient", "false", &["false"]),
    no_tls("tls.server.keyPath", "", &[]),
    no_tls("tls.server.keyPassword", "", &[]),
    no_tls("tls.server.certPath", "", &[]),
    no_tls("tls.server.trustCertPath", "", &[]),
    no_tls("tls.config.file", "", &[]),
    no_switch(
        "enableControllerMode",
        "the broker would wait for a controller to make it master; a ferrymq broker group elects its leader by itself",
    ),
    no_feature(
        "messageStorePlugIn",
        "",
        &[],
        "there are no plug-ins, and messages that are in a tiered store only would be out of reach",
    )
    .listed(),
    no_feature(
        "storeType",
        "default",
        &["default"],
        "there is no RocksDB, and what is kept in it only would be out of reach",
    )
    .listed()
    .important(),
    no_feature(
        "configManagerVersion",
        "v1",
        &["v1"],
        "there is no RocksDB, and topics, groups and offsets that are kept in it would be out of reach",
    )
    .listed(),
    no_switch("timerRocksDBEnable", "there is no RocksDB, and timers that are kept in it would never end"),
    no_switch(
        "transRocksDBEnable",
        "there is no RocksDB, and transactions that are kept in it would stay open",
    ),
    no_feature(
        "readOnlyCommitLogStorePaths",
        "",
        &[],
        "the log lies in one folder, and messages in others would be out of reach",
    )
    .listed_if_set(),
    no_switch("enableLmq", "light queues are not offered, and consumers of them would wait in vain"),
    no_switch(
        "enableMultiDispatch",
        "light queues are not offered, and consumers of them would wait in vain",
    ),
    no_switch(
        "enableRemoteEscape",
        "messages are not passed to other groups, and those waiting for it would stay",
    ),
    no_feature(
        "defaultMessageRequestMode",
        "PULL",
        &["PULL"],
        "POP consumption is not offered yet, and consumers would be told to use it",
    )
    .listed(),
    no_switch("fetchNameSrvAddrByDnsLookup", "name servers are not looked up; list them in namesrvAddr")
        .important(),
    no_switch("fetchNamesrvAddrByAddressServer", "name servers are not looked up; list them in namesrvAddr")
        .important(),
];
