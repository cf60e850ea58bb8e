import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.body.CMResult;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;

/** What an operator does through the admin API. */
final class Administration {
    private static final int NO_PERMISSION = 16;
    private static final int TOPIC_NOT_EXIST = 17;
    private static final int INVALID_PARAMETER = 29;
    private static final int TIMEOUT_MS = 5_000;
    /** What clusterList, the dashboard and the exporter read. */
    private static final List<String> RUNTIME_KEYS = List.of("brokerVersionDesc", "bootTimestamp", "putTps",
        "getTransferredTps", "getFoundTps", "getMissTps", "getTotalTps", "msgPutTotalYesterdayMorning", "msgPutTotalTodayMorning",
        "msgPutTotalTodayNow", "msgGetTotalYesterdayMorning", "msgGetTotalTodayMorning", "msgGetTotalTodayNow",
        "sendThreadPoolQueueSize", "pullThreadPoolQueueSize", "sendThreadPoolQueueHeadWaitTimeMills",
        "pullThreadPoolQueueHeadWaitTimeMills", "pageCacheLockTimeMills", "earliestMessageTimeStamp", "commitLogDiskRatio",
        "consumeQueueDiskRatio", "commitLogMinOffset", "commitLogMaxOffset", "commitLogDirCapacity", "brokerActive",
        "timerReadBehind", "timerOffsetBehind", "timerCongestNum", "timerEnqueueTps", "timerDequeueTps", "runtime",
        "dispatchBehindBytes", "putMessageTimesTotal", "putMessageSizeTotal", "putMessageAverageSize", "putMessageEntireTimeMax",
        "getMessageEntireTimeMax", "remainTransientStoreBufferNumbs", "remainHowManyDataToFlush",
        "startAcceptSendRequestTimeStamp", "sendThreadPoolQueueCapacity", "pullThreadPoolQueueCapacity");

    static void list(Map<String, Features.Feature> features) {
        features.put("admin-topic-life-cycle", Administration::topicLifeCycle);
        features.put("admin-topic-attributes", Administration::topicAttributes);
        features.put("admin-topic-illegal", Administration::topicIllegal);
        features.put("admin-group-life-cycle", Administration::groupLifeCycle);
        features.put("admin-group-disabled", Administration::groupDisabled);
        features.put("admin-broker-config", Administration::brokerConfig);
        features.put("admin-runtime-info", Administration::runtimeInfo);
        features.put("admin-consumer-running-info", Administration::consumerRunningInfo);
        features.put("admin-consume-directly", Administration::consumeDirectly);
        features.put("admin-consume-lag", Administration::consumeLag);
        features.put("admin-topic-stats", Administration::topicStats);
        features.put("admin-who-consumes", Administration::whoConsumes);
        features.put("admin-time-span", Administration::timeSpan);
        features.put("admin-broker-stats", Administration::brokerStats);
        features.put("admin-message-track", Administration::messageTrack);
        features.put("admin-lists", Administration::lists);
        features.put("admin-consume-queue", Administration::consumeQueue);
        features.put("admin-set-offset", Administration::setOffset);
        features.put("admin-consumer-status", Administration::consumerStatus);
        for (CompressionType type : CompressionType.values()) {
            features.put("send-compressed-" + type.name().toLowerCase(), trial -> compressed(trial, type));
        }
    }

    private static void topicLifeCycle(Trial trial) throws Exception {
        String broker = trial.place.broker();
        String topic = trial.topic(3);
        Check.equal("as made", "3 3 6", print(trial.admin().examineTopicConfig(broker, topic)));
        TopicConfig changed = new TopicConfig(topic, 5, 4, 4);
        trial.admin().createAndUpdateTopicConfig(broker, changed);
        Check.equal("as changed", "5 4 4", print(trial.admin().examineTopicConfig(broker, topic)));
        Check.eventually("the route follows", () -> trial.admin().examineTopicRouteInfo(topic).getQueueDatas().get(0).getReadQueueNums() == 5);
        trial.topic("", 1, 6);
        Trial.sendNumbered(trial.producer(), trial.queue(topic, 0), "m", 5);
        trial.admin().deleteTopicInBroker(Set.of(broker), topic);
        trial.admin().deleteTopicInNameServer(Set.of(trial.place.nameServers()), trial.place.cluster(), topic);
        Check.refused("its route", TOPIC_NOT_EXIST, () -> trial.admin().examineTopicRouteInfo(topic));
        Check.refused("its settings", TOPIC_NOT_EXIST, () -> trial.admin().examineTopicConfig(broker, topic));
        trial.topic("", 1, 6);
        Check.eventually("a new one of that name is empty", () -> trial.admin().maxOffset(trial.queue(topic, 0)) == 0);
    }

    private static String print(TopicConfig config) {
        return config.getReadQueueNums() + " " + config.getWriteQueueNums() + " " + config.getPerm();
    }

    private static void topicAttributes(Trial trial) throws Exception {
        TopicConfig config = new TopicConfig(trial.own(""), 1, 1, 6);
        config.getAttributes().put("+message.type", "FIFO");
        trial.admin().createAndUpdateTopicConfig(trial.place.broker(), config);
        Check.equal("attributes", Map.of("message.type", "FIFO"),
            trial.admin().examineTopicConfig(trial.place.broker(), trial.own("")).getAttributes());
        config.getAttributes().clear();
        config.getAttributes().put("-message.type", "");
        trial.admin().createAndUpdateTopicConfig(trial.place.broker(), config);
        Check.equal("attributes", Map.of(), trial.admin().examineTopicConfig(trial.place.broker(), trial.own("")).getAttributes());
    }

    private static void topicIllegal(Trial trial) throws Exception {
        for (String name : List.of("no spaces", "ř", "a".repeat(128), "TBW102", "SCHEDULE_TOPIC_XXXX")) {
            Check.refused(name, INVALID_PARAMETER,
                () -> trial.admin().createAndUpdateTopicConfig(trial.place.broker(), new TopicConfig(name, 1, 1, 6)));
        }
    }

    private static void groupLifeCycle(Trial trial) throws Exception {
        String broker = trial.place.broker();
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(trial.group());
        config.setRetryMaxTimes(3);
        config.setRetryQueueNums(2);
        config.setConsumeBroadcastEnable(false);
        config.setConsumeTimeoutMinute(7);
        trial.admin().createAndUpdateSubscriptionGroupConfig(broker, config);
        SubscriptionGroupConfig read = trial.admin().examineSubscriptionGroupConfig(broker, trial.group());
        Check.equal("as made", "3 2 false 7 true", read.getRetryMaxTimes() + " " + read.getRetryQueueNums() + " "
            + read.isConsumeBroadcastEnable() + " " + read.getConsumeTimeoutMinute() + " " + read.isConsumeEnable());
        String topic = trial.topic(1);
        trial.consume(trial.group(), topic, "*");
        trial.awaitRoute("%RETRY%" + trial.group());
        Check.equal("queues for retries", 2,
            trial.admin().examineTopicRouteInfo("%RETRY%" + trial.group()).getQueueDatas().get(0).getReadQueueNums());
        String gone = trial.own("gone");
        config.setGroupName(gone);
        trial.admin().createAndUpdateSubscriptionGroupConfig(broker, config);
        trial.admin().deleteSubscriptionGroup(broker, gone, true);
        Check.that("it is gone", !trial.admin().getAllSubscriptionGroup(broker, TIMEOUT_MS).getSubscriptionGroupTable().containsKey(gone));
    }

    private static void groupDisabled(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Trial.sendNumbered(trial.producer(), topic, "m", 3);
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(trial.group());
        config.setConsumeEnable(false);
        trial.admin().createAndUpdateSubscriptionGroupConfig(trial.place.broker(), config);
        var puller = trial.puller(trial.group());
        Check.refused("a pull", NO_PERMISSION, () -> puller.pull(trial.queue(topic, 0), "*", 0, 32));
        config.setConsumeEnable(true);
        trial.admin().createAndUpdateSubscriptionGroupConfig(trial.place.broker(), config);
        Check.equal("afterwards", 3, puller.pull(trial.queue(topic, 0), "*", 0, 32).getMsgFoundList().size());
    }

    private static void brokerConfig(Trial trial) throws Exception {
        String broker = trial.place.broker();
        Properties config = trial.admin().getBrokerConfig(broker);
        Check.equal("name", trial.place.brokerName(), config.getProperty("brokerName"));
        Check.equal("cluster", trial.place.cluster(), config.getProperty("brokerClusterName"));
        Check.equal("id", "0", config.getProperty("brokerId"));
        Check.equal("address", broker, trial.place.behindDoor(config.getProperty("brokerIP1") + ":" + config.getProperty("listenPort")));
        for (String key : List.of("brokerIP1", "namesrvAddr", "brokerPermission", "defaultTopicQueueNums", "autoCreateTopicEnable",
                "autoCreateSubscriptionGroup", "messageDelayLevel", "storePathRootDir", "fileReservedTime", "deleteWhen", "flushDiskType",
                "brokerRole", "maxMessageSize", "traceTopicEnable", "msgTraceTopicName")) {
            Check.that(key + " is there", config.getProperty(key) != null);
        }
        String before = config.getProperty("fileReservedTime");
        set(trial, "fileReservedTime", "71");
        Check.equal("as changed", "71", trial.admin().getBrokerConfig(broker).getProperty("fileReservedTime"));
        set(trial, "fileReservedTime", before);
        Check.refused("a setting that may not be changed", NO_PERMISSION, () -> set(trial, "brokerConfigPath", "/nowhere"));
    }

    private static void set(Trial trial, String key, String value) throws Exception {
        Properties change = new Properties();
        change.setProperty(key, value);
        trial.admin().updateBrokerConfig(trial.place.broker(), change);
    }

    private static void runtimeInfo(Trial trial) throws Exception {
        String topic = trial.topic(1);
        var before = trial.admin().fetchBrokerRuntimeStats(trial.place.broker()).getTable();
        trial.note("keys " + new java.util.TreeSet<>(before.keySet()));
        Set<String> missing = new HashSet<>(RUNTIME_KEYS);
        missing.removeAll(before.keySet());
        Check.equal("missing keys", Set.of(), missing);
        for (String average : before.get("putTps").trim().split(" ")) {
            Double.parseDouble(average);
        }
        trial.note("putTps " + before.get("putTps"));
        double used = Double.parseDouble(before.get("commitLogDiskRatio"));
        Check.that("a ratio, not " + used, used >= 0 && used <= 1);
        Trial.sendNumbered(trial.producer(), topic, "m", 10);
        var after = trial.admin().fetchBrokerRuntimeStats(trial.place.broker()).getTable();
        for (String key : List.of("msgPutTotalTodayNow", "commitLogMaxOffset")) {
            long growth = Long.parseLong(after.get(key)) - Long.parseLong(before.get(key));
            Check.that(key + " grows by " + growth, growth >= 10);
        }
    }

    private static DefaultMQPushConsumer consumer(Trial trial, String topic, Inbox inbox) throws Exception {
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(Trial.into(inbox));
        return trial.start(consumer);
    }

    private static String clientId(DefaultMQPushConsumer consumer) {
        return consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().getClientId();
    }

    private static void consumerRunningInfo(Trial trial) throws Exception {
        String topic = trial.topic(2);
        DefaultMQPushConsumer consumer = consumer(trial, topic, new Inbox());
        Trial.sendNumbered(trial.producer(), topic, "m", 10);
        trial.awaitAllConsumed(trial.group(), topic);
        var info = trial.admin().getConsumerRunningInfo(trial.group(), clientId(consumer), false);
        Check.equal("subscriptions", Set.of(topic, "%RETRY%" + trial.group()),
            new HashSet<>(info.getSubscriptionSet().stream().map(each -> each.getTopic()).toList()));
        Check.equal("queues of the topic", 2L, info.getMqTable().keySet().stream().filter(queue -> queue.getTopic().equals(topic)).count());
        Check.equal("type", "CONSUME_PASSIVELY", info.getProperties().getProperty("PROP_CONSUME_TYPE"));
        Check.that("stack traces", !trial.admin().getConsumerRunningInfo(trial.group(), clientId(consumer), true).getJstack().isEmpty());
        Check.refused("of a client that is not there", 1, () -> trial.admin().getConsumerRunningInfo(trial.group(), "nobody", false));
    }

    private static void consumeDirectly(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(trial, topic, inbox);
        SendResult sent = Trial.send(trial.producer(), new Message(topic, "tag", "key", Trial.bytes("again please")));
        inbox.await(1);
        var result = trial.admin().consumeMessageDirectly(trial.group(), clientId(consumer), topic, sent.getOffsetMsgId());
        Check.equal("result", CMResult.CR_SUCCESS, result.getConsumeResult());
        MessageExt again = inbox.await(2).get(1);
        Check.equal("body and key", "again please key", Inbox.text(again) + " " + again.getKeys());
    }

    private static void consumeLag(Trial trial) throws Exception {
        String topic = trial.topic(1);
        MessageQueue queue = trial.queue(topic, 0);
        DefaultMQPushConsumer consumer = consumer(trial, topic, new Inbox());
        DefaultMQProducer producer = trial.producer();
        Trial.sendNumbered(producer, queue, "m", 10);
        trial.awaitAllConsumed(trial.group(), topic);
        consumer.shutdown();
        Trial.sendNumbered(producer, queue, "late ", 7);
        trial.awaitStored(queue, 17);
        var stats = trial.admin().examineConsumeStats(trial.group(), topic);
        Check.equal("behind", 7L, stats.computeTotalDiff());
        var offsets = stats.getOffsetTable().get(queue);
        Check.equal("offsets", "10 17", offsets.getConsumerOffset() + " " + offsets.getBrokerOffset());
        long consumed = trial.puller(trial.own("other")).pull(queue, "*", 9, 1).getMsgFoundList().get(0).getStoreTimestamp();
        Check.equal("time of the last consumed", consumed, offsets.getLastTimestamp());
    }

    private static void topicStats(Trial trial) throws Exception {
        String topic = trial.topic(3);
        DefaultMQProducer producer = trial.producer();
        Trial.sendNumbered(producer, trial.queue(topic, 0), "m", 4);
        Trial.sendNumbered(producer, trial.queue(topic, 2), "m", 2);
        trial.awaitStored(trial.queue(topic, 2), 2);
        var table = trial.admin().examineTopicStats(topic).getOffsetTable();
        Check.equal("queues", 3, table.size());
        long[] counts = {4, 0, 2};
        for (int number = 0; number < 3; number++) {
            var offset = table.get(trial.queue(topic, number));
            Check.equal("queue " + number, "0 " + counts[number], offset.getMinOffset() + " " + offset.getMaxOffset());
            Check.equal("queue " + number + " has a time", counts[number] > 0, offset.getLastUpdateTimestamp() > 0);
        }
        Check.refused("of no topic", TOPIC_NOT_EXIST, () -> trial.admin().examineTopicStats(trial.place.broker(), trial.own("none")));
    }

    private static void whoConsumes(Trial trial) throws Exception {
        String topic = trial.topic(1);
        consumer(trial, topic, new Inbox());
        Trial.sendNumbered(trial.producer(), topic, "m", 1);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.equal("groups of the topic", Set.of(trial.group()), new HashSet<>(trial.admin().queryTopicConsumeByWho(topic).getGroupList()));
        Check.that("topics of the group", trial.admin().queryTopicsByConsumer(trial.group()).getTopicList().contains(topic));
        var subscription = trial.admin().querySubscription(trial.group(), topic);
        Check.equal("subscription", "* TAG", subscription.getSubString() + " " + subscription.getExpressionType());
    }

    private static void timeSpan(Trial trial) throws Exception {
        String topic = trial.topic(1);
        MessageQueue queue = trial.queue(topic, 0);
        consumer(trial, topic, new Inbox());
        Trial.sendNumbered(trial.producer(), queue, "m", 5);
        trial.awaitAllConsumed(trial.group(), topic);
        var pulled = trial.puller(trial.own("other")).pull(queue, "*", 0, 32).getMsgFoundList();
        var span = trial.admin().queryConsumeTimeSpan(topic, trial.group()).get(0);
        Check.equal("queue", queue, span.getMessageQueue());
        Check.equal("first and last", pulled.get(0).getStoreTimestamp() + " " + pulled.get(4).getStoreTimestamp(),
            span.getMinTimeStamp() + " " + span.getMaxTimeStamp());
        Check.equal("consumed up to", pulled.get(4).getStoreTimestamp(), span.getConsumeTimeStamp());
    }

    private static void brokerStats(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Trial.sendNumbered(trial.producer(), topic, "m", 12);
        Check.eventually("12 messages are counted", () ->
            trial.admin().viewBrokerStatsData(trial.place.broker(), "TOPIC_PUT_NUMS", topic).getStatsMinute().getSum() == 12);
        Check.refused("statistics of no topic", 1,
            () -> trial.admin().viewBrokerStatsData(trial.place.broker(), "TOPIC_PUT_NUMS", trial.own("none")));
    }

    private static void messageTrack(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQPushConsumer consumer = consumer(trial, topic, new Inbox());
        SendResult sent = Trial.send(trial.producer(), new Message(topic, "tag", "key", Trial.bytes("tracked")));
        // A queue into which nothing is dispatched yet has nothing that is not consumed.
        trial.awaitStored(trial.queue(topic, 0), 1);
        trial.awaitAllConsumed(trial.group(), topic);
        MessageExt message = trial.admin().viewMessage(topic, sent.getOffsetMsgId());
        var track = trial.admin().messageTrackDetail(message).get(0);
        Check.equal("online", trial.group() + " CONSUMED", track.getConsumerGroup() + " " + track.getTrackType());
        consumer.shutdown();
        track = trial.admin().messageTrackDetail(message).get(0);
        Check.equal("offline", trial.group() + " NOT_ONLINE", track.getConsumerGroup() + " " + track.getTrackType());
    }

    private static void lists(Trial trial) throws Exception {
        String broker = trial.place.broker();
        String topic = trial.topic(2);
        consumer(trial, topic, new Inbox());
        Trial.sendNumbered(trial.producer(), topic, "m", 1);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.equal("the topic", "2 2 6", print(trial.admin().getAllTopicConfig(broker, TIMEOUT_MS).getTopicConfigTable().get(topic)));
        Check.that("the topic, of the user", trial.admin().getUserTopicConfig(broker, false, TIMEOUT_MS).getTopicConfigTable().containsKey(topic));
        Check.that("the group", trial.admin().getAllSubscriptionGroup(broker, TIMEOUT_MS).getSubscriptionGroupTable().containsKey(trial.group()));
        Check.that("the producer", trial.admin().getAllProducerInfo(broker).getData().containsKey(trial.own("producer")));
        var cluster = trial.admin().examineBrokerClusterInfo();
        Check.equal("brokers of the cluster", Set.of(trial.place.brokerName()), cluster.getClusterAddrTable().get(trial.place.cluster()));
        String leader = cluster.getBrokerAddrTable().get(trial.place.brokerName()).getBrokerAddrs().get(0L);
        Check.equal("address", broker, trial.place.behindDoor(leader));
        Check.that("all topics", trial.admin().fetchAllTopicList().getTopicList().contains(topic));
    }

    private static void consumeQueue(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 5; number++) {
            Trial.send(producer, new Message(topic, "tag" + number, "key", Trial.bytes("m" + number)));
        }
        trial.awaitStored(trial.queue(topic, 0), 5);
        var answer = trial.admin().queryConsumeQueue(trial.place.broker(), topic, 0, 1, 3, null);
        Check.equal("smallest and largest", "0 5", answer.getMinQueueIndex() + " " + answer.getMaxQueueIndex());
        Check.equal("entries", 3, answer.getQueueData().size());
        for (int number = 0; number < 3; number++) {
            Check.equal("hash of the tag", (long) ("tag" + (number + 1)).hashCode(), answer.getQueueData().get(number).getTagsCode());
        }
    }

    private static void setOffset(Trial trial) throws Exception {
        String topic = trial.topic(1);
        MessageQueue queue = trial.queue(topic, 0);
        Trial.sendNumbered(trial.producer(), queue, "m", 10);
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(trial.group());
        trial.admin().createAndUpdateSubscriptionGroupConfig(trial.place.broker(), config);
        trial.admin().updateConsumeOffset(trial.place.broker(), trial.group(), queue, 6);
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        inbox.await("m9");
        trial.awaitAllConsumed(trial.group(), topic);
        Check.sameElements("messages", List.of("m6", "m7", "m8", "m9"), inbox.bodies());
        trial.admin().resetOffsetByQueueId(trial.place.broker(), trial.group(), topic, 0, 8);
        inbox.await(6);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.sameElements("messages", List.of("m6", "m7", "m8", "m9", "m8", "m9"), inbox.bodies());
    }

    private static void consumerStatus(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQPushConsumer consumer = consumer(trial, topic, new Inbox());
        Trial.sendNumbered(trial.producer(), topic, "m", 4);
        trial.awaitAllConsumed(trial.group(), topic);
        var status = trial.admin().getConsumeStatus(topic, trial.group(), "");
        Check.equal("offsets as the client has them", Map.of(clientId(consumer), Map.of(trial.queue(topic, 0), 4L)), status);
    }

    private static void compressed(Trial trial, CompressionType type) throws Exception {
        String topic = trial.topic(1);
        String body = "compress me well ".repeat(2_000);
        DefaultMQProducer producer = trial.producer();
        producer.setCompressType(type);
        Trial.send(producer, new Message(topic, Trial.bytes(body)));
        MessageExt got = Sending.exactly(trial, topic, List.of(body)).get(0);
        Check.that("stored in less than a tenth, in " + got.getStoreSize(), got.getStoreSize() < body.length() / 10);
    }

    private Administration() { }
}
