//! How this node is, as JSON.

use ferrymq_proto::json::{self, Dialect, Writer};

use super::readiness::checks;
use crate::broker::Broker;
use crate::handlers::raft;

const SCHEMA: &str = "ferrymq.status/1";

pub fn json(broker: &Broker) -> String {
    let mut writer = Writer::new(Dialect::Standard);
    writer.object(|object| {
        let text = |object: &mut Writer, key: &str, value: &str| {
            object.key(key);
            object.string(value);
        };
        let number = |object: &mut Writer, key: &str, value: i64| {
            object.key(key);
            object.integer(value);
        };
        text(object, "schema", SCHEMA);
        text(object, "version", env!("CARGO_PKG_VERSION"));
        text(object, "cluster", broker.identity.cluster.as_str());
        text(object, "broker", broker.identity.name.as_str());
        text(object, "address", &broker.address.to_string());
        object.key("takesMessages");
        object.boolean(broker.writer.is_leader());
        number(
            object,
            "runningMs",
            i64::try_from(broker.vitals.running_for().as_millis()).unwrap_or(i64::MAX),
        );
        let log = broker.archive.log();
        number(object, "logStart", log.start().0);
        number(object, "logEnd", log.confirmed().offset.0);
        number(object, "logDurable", log.durable().0);
        let (topics, groups) = {
            let tables = broker.tables.read();
            (tables.topics().count(), tables.groups().count())
        };
        number(object, "topics", i64::try_from(topics).unwrap_or(i64::MAX));
        number(object, "groups", i64::try_from(groups).unwrap_or(i64::MAX));
        object.key("raft");
        match broker.writer.group() {
            Some(group) => {
                let status = raft::shown(group.status(), broker.writer.is_leader());
                object.source(&json::to_string(&status, Dialect::Standard));
            }
            None => object.null(),
        }
        object.key("checks");
        object.array(|array| {
            for check in checks(broker) {
                array.element();
                array.object(|object| {
                    text(object, "name", check.name);
                    object.key("ok");
                    object.boolean(check.is_met);
                    text(object, "says", &check.says);
                });
            }
        });
    });
    writer.finish()
}
